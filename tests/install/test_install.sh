#!/usr/bin/env bash
# Installs Retort into a folder, moves that folder, and builds a user's C program with the CMake package and with
# pkg-config, each with the shared and the static library, and as C++. All must print what numpy computed.
# test_install.sh BUILD FOLDER
set -euo pipefail

build=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)
numbers=(1.5 -2 0.25)
flags=()
if [ "$RETORT_BUILD_TYPE" = Sanitize ]; then
  flags=("-fsanitize=address,undefined")
  export ASAN_OPTIONS=detect_leaks=0 # Open MPI's would be seen: harness/keep_loaded.c is no part of a user's program
fi

cmake --install "$build" --prefix "$folder/first" >install.log
mv "$folder/first" "$folder/prefix"
prefix=$folder/prefix
for file in bin/retort include/retort/retort.h share/retort/jobs/get-mnist.sh share/retort/analysis/report.py; do
  [ -e "$prefix/$file" ] || { echo "not installed: $file"; exit 1; }
done
"$RETORT_PYTHON" "$here/model.py" model.onnx expected.txt "${numbers[@]}"

# Run a program and compare its numbers: 1e-5 is far above float's rounding here, and far below any mistake.
check() { # check NAME PROGRAM
  "$2" model.onnx "${numbers[@]}" >answer.txt
  paste expected.txt answer.txt | awk -v name="$1" '
    { d = $1 - $2; if (NF != 2 || d > 1e-5 || d < -1e-5) { print name ": expected " $1 ", got " $2; bad = 1 } }
    END { if (NR != 4) { print name ": " NR " lines"; bad = 1 } exit bad }'
  echo "$1: as numpy"
}

cmake -S "$here" -B user -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="${flags[*]:-}" -DCMAKE_C_COMPILER="$CC" \
  >user.log
cmake --build user >>user.log || { cat user.log; exit 1; }
check "CMake, shared" user/use_retort
check "CMake, static" user/use_retort_static

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name retort.pc)")
export PKG_CONFIG_PATH
libraries=$(dirname "$PKG_CONFIG_PATH")
[ "$(pkg-config --modversion retort)" = "$(sed -n 's/^#define RETORT_VERSION "\(.*\)"/\1/p' \
  "$prefix/include/retort/types.h")" ] || { echo "pkg-config: another version than retort/types.h"; exit 1; }
# shellcheck disable=SC2046 # flags are to be split
"$CC" "${flags[@]}" "$here/use_retort.c" -o pc_shared $(pkg-config --cflags --libs retort)
LD_LIBRARY_PATH=$libraries check "pkg-config, shared" ./pc_shared

# Every header alone, as strict C11 and as C++17; and the program as C++, whose names must be those of the library.
read -ra include <<<"$(pkg-config --cflags retort | sed 's/-I/-isystem /g')" # what MPI and PETSc write is not ours
for header in "$prefix"/include/retort/*.h; do
  for language in "$CC -x c -std=c11" "${CXX:-c++} -x c++ -std=c++17"; do
    echo "#include <retort/$(basename "$header")>" | $language -pedantic-errors -Wall -Wextra -Werror -fsyntax-only \
      -I "$prefix/include" "${include[@]}" - || { echo "$language: $header"; exit 1; }
  done
done
# What stands behind a handle is Retort's.
for handle in RtGraph RtNode RtPlan RtDataset RtDatasetWriter RtLabelstoreReader; do
  ! printf '#include <retort/retort.h>\nint size = sizeof(%s);' $handle | "$CC" -x c -std=c11 -fsyntax-only \
    -I "$prefix/include" "${include[@]}" - 2>/dev/null || { echo "$handle: a user's program sees its fields"; exit 1; }
done
# shellcheck disable=SC2046
"${CXX:-c++}" "${flags[@]}" -x c++ -std=c++20 "$here/use_retort.c" -x none -o cpp_shared \
  $(pkg-config --cflags --libs retort)
LD_LIBRARY_PATH=$libraries check "C++, shared" ./cpp_shared

# Only the static library in sight.
rm "$libraries"/libretort.so*
# shellcheck disable=SC2046
"$CC" "${flags[@]}" "$here/use_retort.c" -o pc_static $(pkg-config --static --cflags --libs retort)
check "pkg-config, static" ./pc_static
