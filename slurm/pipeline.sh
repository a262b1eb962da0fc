#!/usr/bin/env bash
# Submits all stages of a job, each to start when the one before has ended well: train, label, distill, eval, report.
#
#   slurm/pipeline.sh JOB.yaml [option of retort …]
#
# from the folder that the paths in the job file are relative to. Before: set up slurm/site.sh. It can be run again at any
# time: stages that are done are not submitted, and nothing is while jobs of this run are still in the queue.
set -euo pipefail

# shellcheck source=slurm/stage.sh
source "$(dirname "$0")/stage.sh"
read_site
find_run "$@"
command -v sbatch >/dev/null || { echo "slurm: there is no sbatch on this machine" >&2; exit 1; }
export RETORT_SLURM=$slurm_folder
mkdir -p "$run/slurm"

# Jobs of this run that have not ended: a line each, with number, stage and state.
queued() {
  local known=' '
  while read -r _ id; do known+="$id "; done < <(cat "$run/slurm/jobs" 2>/dev/null)
  squeue -h -u "$(id -un)" -o '%F %j %T' | sort -nu | while read -r id rest; do
    if [[ $known == *" $id "* ]]; then echo "$id $rest"; fi
  done
}

follow() {
  echo
  printf 'follow     slurm/status.sh %q\n' "$run"
  printf '           tail -F %q/slurm/*.log\n' "$run"
  echo "stop       scancel $*     (and to go on: slurm/pipeline.sh again)"
}

still=$(queued)
if [ -n "$still" ]; then
  echo "$run is in the queue already:"
  while read -r id stage state; do printf '%-10s job %s  %s\n' "$stage" "$id" "$state"; done <<<"$still"
  # shellcheck disable=SC2046
  follow $(cut -d ' ' -f 1 <<<"$still")
  exit 0
fi

ids=() before=''
logs=${run//%/%%}/slurm # in names of files, Slurm puts things in the place of %
# Half a pipeline helps nobody.
undo() {
  [ $? -ne 0 ] || return 0
  [ ${#ids[@]} -eq 0 ] || scancel "${ids[@]}"
  echo "slurm: sbatch failed, so no stage is submitted" >&2
}
trap undo EXIT

submit() { # submit STAGE SCRIPT [option of sbatch …] -- JOB [option of retort …]
  local stage=$1 script=$2 id words=(--parsable --job-name="$1" --comment="$run: $1" --output="$logs/%x-%j.log")
  shift 2
  [ -z "$before" ] || words+=(--dependency="afterok:$before" --kill-on-invalid-dep=yes)
  [ -z "$mail" ] || words+=(--mail-user="$mail" --mail-type="$mails")
  while [ "$1" != -- ]; do
    words+=("$1")
    shift
  done
  shift
  id=$(sbatch "${words[@]}" "$slurm_folder/$script.sbatch" "$@")
  id=${id%%;*}
  [ -n "$before" ] || : >"$run/slurm/jobs"
  ids+=("$id")
  echo "$stage $id" >>"$run/slurm/jobs"
  printf '%-10s job %s%s\n' "$stage" "$id" "${before:+, after $before}"
  before=$id
}

echo "run        $run"
for stage in "${stages[@]}"; do
  if [ -z "$before" ] && is_done "$stage" "$@"; then
    printf '%-10s done already\n' "$stage"
    continue
  fi
  mails=FAIL,REQUEUE,INVALID_DEPEND
  declare -n resources=${stage}_resources
  options=(--signal="B:USR1@$stop_seconds" "${resources[@]}")
  if [ "$stage" = label ] && [ -n "$label_array" ]; then
    submit label label-array --array="$label_array" --output="$logs/%x-%A_%a.log" "${options[@]}" -- "$@"
  else
    submit "$stage" "$stage" "${options[@]}" -- "$@"
  fi
done
if [ -n "$before" ] || { [ -e "$analysis/report.py" ] && ! is_done report "$@"; }; then
  mails=END,FAIL,INVALID_DEPEND
  # shellcheck disable=SC2154
  submit report report "${report_resources[@]}" -- "$@"
fi
if [ -z "$before" ]; then echo "all is done; $run/eval.nc has the results"; else follow "${ids[@]}"; fi
