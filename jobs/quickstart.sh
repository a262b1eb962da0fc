#!/usr/bin/env bash
# From a fresh Debian 12 machine to a distilled student and its report: installs what is missing, builds, gets MNIST, runs
# jobs/mnist.yaml on 2 ranks, and draws the results. Can be run again: what is done is skipped.
#
#   jobs/quickstart.sh [-n RANKS] [option of retort run …]
set -euo pipefail

cd "$(dirname "$0")/.."
ranks=2
if [ "${1:-}" = -n ]; then
  ranks=${2:-}
  shift 2 || true
fi
[[ $ranks =~ ^[1-9][0-9]*$ ]] || { echo "usage: jobs/quickstart.sh [-n RANKS] [option of retort run …]" >&2; exit 2; }

# shellcheck source=.ci/packages.sh
source .ci/packages.sh
packages_install build/packages.log "${packages_build[@]}" "${packages_data[@]}" "${packages_report[@]}"

echo "building in build/"
log=build/quickstart.log
mkdir -p build
if ! { cmake -S . -B build && cmake --build build --parallel "$(nproc)" --target retort_program; } >"$log" 2>&1; then
  tail -n 25 "$log" >&2
  echo "quickstart: the build failed; its log is $log" >&2
  exit 1
fi

jobs/get-mnist.sh data/mnist

# Open MPI asks root twice whether it is meant. Between ranks of one node, its default copy mechanism is refused in
# many containers, and slower.
if [ "$(id -u)" -eq 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_btl_vader_single_copy_mechanism=none
mpirun -n "$ranks" --oversubscribe --bind-to none build/retort run -job jobs/mnist.yaml "$@"

command -v python3 >/dev/null || exit 0 # the line above says how to make the report elsewhere
run=$(build/retort job -job jobs/mnist.yaml "$@" -print run_dir | head -n 1)
page=$(python3 analysis/report.py "$run")
echo "page       $page"
