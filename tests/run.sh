#!/usr/bin/env bash
# Installs what the tests need, builds, and runs the tests with ctest. Can be run again: what is done is skipped.
#
#   tests/run.sh [option of ctest …]             Release, in build/
#   tests/run.sh sanitize [option of ctest …]    with address and undefined-behaviour sanitizers, in build-sanitize/,
#                                                on at most 2 ranks
set -euo pipefail

cd "$(dirname "$0")/.."
build=build
options=(-DRETORT_TESTS=ON -DCMAKE_BUILD_TYPE=Release -DCMAKE_COMPILE_WARNING_AS_ERROR=ON)
if [ "${1:-}" = sanitize ]; then
  shift
  build="build-sanitize"
  options=(-DRETORT_TESTS=ON -DCMAKE_BUILD_TYPE=Sanitize '-DRETORT_TEST_RANKS=1;2')
fi

# shellcheck source=.ci/packages.sh
source .ci/packages.sh
packages_install "$build/packages.log" "${packages_build[@]}" "${packages_data[@]}" "${packages_report[@]}" \
  "${packages_test[@]}"

# ONNX Runtime, to compare with. Tests skip the comparison where it is absent.
if [ "$build" = build ] && [ ! -e build/node_modules/onnxruntime-node ]; then
  if ! command -v npm >/dev/null || ! npm install --silent --no-save --no-package-lock --ignore-scripts \
    --prefix build onnxruntime-node >build/npm.log 2>&1 </dev/null; then
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
