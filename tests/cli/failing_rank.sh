#!/usr/bin/env bash
# One rank fails: the job ends on all ranks, soon, with one message and the exit code of the failure.
#
# Arguments: the program retort, an empty folder.
set -u
cd "$2" || exit 1
program=$RETORT_BIN/failing_rank
failures=0

# expect CODE SECONDS MESSAGE RANKS RANK WAY
expect() {
  local code=$1 limit=$2 message=$3 ranks=$4 rank=$5 way=$6 start=$SECONDS got lines
  # shellcheck disable=SC2086
  timeout 60 $RETORT_MPIRUN -n "$ranks" "$program" "$rank" "$way" >out 2>err
  got=$?
  lines=$(grep -c '^retort: ' err)
  if [ "$got" != "$code" ] || [ $((SECONDS - start)) -gt "$limit" ] ||
    { [ -n "$message" ] && { [ "$lines" != 1 ] || ! grep -qx "retort: $message" err; }; } ||
    { [ -z "$message" ] && [ "$lines" != 0 ]; }; then
    echo "FAILED: rank $rank of $ranks, $way: exit code $got (not $code) after $((SECONDS - start)) s, $lines messages:"
    cat out err
    failures=$((failures + 1))
  fi
}

most=${RETORT_RANKS:-4}
last=$((most - 1))
expect 0 10 "" "$most" 0 none
for rank in 0 $last; do
  expect 1 10 "rank $rank fails on purpose" "$most" "$rank" agree
  expect 1 10 "rank $rank fails on purpose" "$most" "$rank" alone
  expect 2 10 "rank $rank was used wrongly" "$most" "$rank" usage
done
# the ranks that hang are waited for, for five seconds
expect 1 10 "rank $last fails on purpose" "$most" "$last" hang
expect 1 10 "rank 0 fails on purpose" "$most" 0 collect
expect 1 10 "rank 0 fails on purpose" 1 0 alone

# an error of the library keeps its trace
# shellcheck disable=SC2086
timeout 60 $RETORT_MPIRUN -n 2 "$program" 1 internal >out 2>err
code=$?
if [ $code != 1 ] || ! grep -q 'rank 1 is broken' err; then
  echo "FAILED: an internal error: exit code $code"
  cat err
  failures=$((failures + 1))
fi
echo "failing_rank: $failures failures"
[ "$failures" = 0 ]
