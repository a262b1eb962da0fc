#!/bin/sh
# Runs a command in an empty folder: in-folder.sh FOLDER COMMAND [ARGUMENT …]
# Open MPI gets a folder of its own for what it keeps while it runs: in the common one, a program that ends may remove
# what another is about to make a folder in.
# Exit code 77, by which a test says that what it compares with is not there, stays so only where nobody needs to know:
# with RETORT_NEED_WITNESSES=1, and in CI (CI=true), it becomes a failure.
set -eu
folder=$1
shift
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
[ "${CI:-}" != true ] || export RETORT_NEED_WITNESSES=1
OMPI_MCA_orte_tmpdir_base=$(mktemp -d "${TMPDIR:-/tmp}/retort-XXXXXX")
export OMPI_MCA_orte_tmpdir_base
trap 'rm -rf "$OMPI_MCA_orte_tmpdir_base"' EXIT
code=0
"$@" || code=$?
if [ $code -eq 77 ] && [ "${RETORT_NEED_WITNESSES:-}" = 1 ]; then
  echo "skipped, but witnesses are needed here (RETORT_NEED_WITNESSES, CI): install what is missing" >&2
  code=1
fi
exit $code
