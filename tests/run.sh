#!/usr/bin/env bash
# Installs what the tests need, builds, and runs the tests with ctest. Can be run again: what is done is skipped.
#
#   tests/run.sh [option of ctest …]             Release, in build/
#   tests/run.sh -L quick                        of these what tells most, in three minutes on two cores
#   tests/run.sh sanitize [option of ctest …]    with address and undefined-behaviour sanitizers, in build-sanitize/,
#                                                on at most 2 ranks
#   tests/run.sh threads [option of ctest …]     with clang's thread sanitizer, in build-threads/: what runs on several
#                                                threads or in the background, on at most 2 ranks
#
# What tests compare with (PyTorch, ONNX Runtime, Slurm, …) may be absent: they are skipped then. In CI (CI=true), and
# with RETORT_NEED_WITNESSES=1, they fail.
set -euo pipefail

cd "$(dirname "$0")/.."
build=build
options=(-DRETORT_TESTS=ON -DCMAKE_BUILD_TYPE=Release -DCMAKE_COMPILE_WARNING_AS_ERROR=ON)
case ${1:-} in
  sanitize)
    shift
    build="build-sanitize"
    options=(-DRETORT_TESTS=ON -DCMAKE_BUILD_TYPE=Sanitize '-DRETORT_TEST_RANKS=1;2')
    ;;
  threads)
    shift
    build="build-threads"
    options=(-DRETORT_TESTS=ON -DCMAKE_BUILD_TYPE=Threads -DCMAKE_C_COMPILER=clang-14 '-DRETORT_TEST_RANKS=1;2')
    ;;
esac
[ "${CI:-}" != true ] || export RETORT_NEED_WITNESSES=1

# shellcheck source=.ci/packages.sh
source .ci/packages.sh
packages_install "$build/packages.log" "${packages_build[@]}" "${packages_data[@]}" "${packages_report[@]}" \
  "${packages_test[@]}"

# ONNX Runtime, to compare with.
if [ "$build" = build ] && [ ! -e build/node_modules/onnxruntime-node ]; then
  mkdir -p build
  if ! command -v npm >/dev/null || ! npm install --silent --no-save --no-package-lock --ignore-scripts \
    --prefix build onnxruntime-node >build/npm.log 2>&1 </dev/null; then
    if [ "${RETORT_NEED_WITNESSES:-}" = 1 ]; then
      [ ! -e build/npm.log ] || tail -n 15 build/npm.log >&2
      echo "tests: no ONNX Runtime (npm package onnxruntime-node), and witnesses are needed here" >&2
      exit 1
    fi
    echo "tests: no ONNX Runtime (npm package onnxruntime-node): comparisons with it are skipped"
  fi
fi

echo "building in $build/"
log=$build/tests-build.log
mkdir -p "$build"
if ! { cmake -S . -B "$build" "${options[@]}" && cmake --build "$build" --parallel "$(nproc)"; } >"$log" 2>&1; then
  grep -E -A 5 'warning:|error:|CMake Error' "$log" >&2 || tail -n 25 "$log" >&2
  echo "tests: the build failed; its log is $log" >&2
  exit 1
fi
exec ctest --test-dir "$build" --parallel "$(nproc)" --output-on-failure "$@"
