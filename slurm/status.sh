#!/usr/bin/env bash
# Says how far a run is, from the files in its directory: which stage, which epoch, what is left.
#
#   slurm/status.sh [-line] RUN …       -line: only what is being made now, in one line
set -euo pipefail

# shellcheck source=slurm/stage.sh
source "$(dirname "$0")/stage.sh"
read_site
only_line=
if [ "${1:-}" = -line ]; then
  only_line=yes
  shift
fi
[ $# -gt 0 ] || { echo "usage: slurm/status.sh [-line] RUN …" >&2; exit 2; }
[ -n "$RETORT" ] || { echo "slurm: there is no program retort: set RETORT in $slurm_folder/site.sh" >&2; exit 1; }

# What retort says about a file; nothing where it cannot be read.
info() { alone info "$1" 2>/dev/null || true; }

age() { # age FILE: how long ago it was written; a file may go away while this looks
  local written seconds
  written=$(stat -c %Y "$1" 2>/dev/null) || written=$(date +%s)
  seconds=$(($(date +%s) - written))
  if [ $seconds -lt 120 ]; then
    echo "$seconds s ago"
  elif [ $seconds -lt 7200 ]; then
    echo "$((seconds / 60)) min ago"
  else
    echo "$((seconds / 3600)) h ago"
  fi
}

newest() { # newest FILE …: the one written last, of those that are there
  local file last=''
  for file in "$@"; do
    if [ -e "$file" ] && { [ -z "$last" ] || [ "$file" -nt "$last" ]; }; then last=$file; fi
  done
  echo "$last"
}

# How long so many epochs will take if each takes as long as the last one; nothing without ncdump.
time_left() { # time_left HISTORY EPOCHS
  local last
  last=$(ncdump -v seconds "$1" 2>/dev/null | sed -n '/^ seconds =/,$p' | tr -c '0-9.e+\n-' ' ' | xargs | sed 's/.* //') || true
  [ -z "$last" ] || awk -v s="$last" -v n="$2" 'BEGIN { t = s * n
    if (t < 120) printf ", %.0f s left", t; else if (t < 7200) printf ", %.0f min left", t / 60
    else printf ", %.1f h left", t / 3600 }'
}

# One stage of training: training ROLE SECTION. Sets state (done, begun or '') and text.
training() {
  local role=$1 section=$2 history=$run/$1-history.nc point epochs=0 of='' words
  point=$(newest "$run/checkpoint/$role"*.nc)
  state='' text=''
  if [ -e "$history" ]; then
    words=$(info "$history")
    epochs=$(sed -n 's/^  \([0-9]*\) epochs\?$/\1/p' <<<"$words")
    of=$(sed -n "s/^ *-\?${section}_epochs=//p" <<<"$words")
  fi
  if [ -z "$of" ] && [ -n "$point" ]; then of=$(info "$point" | sed -n "s/^ *-\?${section}_epochs=//p"); fi
  if [ -e "$run/$role.onnx" ] && [ -z "$point" ]; then
    state='done' text="${epochs:-?} epochs"
  elif [ -n "$point" ] || [ -e "$history" ]; then
    state=begun text="${epochs:-0} of ${of:-?} epochs done"
    if [ "${of:-0}" -gt "${epochs:-0}" ]; then text+=$(time_left "$history" $((of - epochs))); fi
    [ -z "$point" ] || text+=", checkpoint of $(age "$point")"
  fi
}

labelling() {
  local words missing shards
  state='' text=''
  [ -n "$(find "$run/labels/" -name 'shard-*.nc' -print -quit 2>/dev/null)" ] || return 0
  words=$(info "$run/labels")
  if [[ $words == *"label store, complete"* ]]; then
    state='done' text="$(find "$run/labels/" -name 'shard-*.nc' | wc -l) shards"
  else
    read -r missing shards < <(sed -n 's/.*label store, \([0-9]*\) of \([0-9]*\) shards.*/\1 \2/p' <<<"$words") || true
    state=begun text="$((${shards:-0} - ${missing:-0})) of ${shards:-?} shards made, the last $(
      age "$(newest "$run"/labels/shard-*.nc)")"
  fi
}

result() { # result FILE INPUT: a stage that writes one file
  state='' text=''
  if [ -e "$1" ] && { [ ! -e "$2" ] || [ ! "$2" -nt "$1" ]; }; then state='done' text="$1, $(age "$1")"; fi
}

report() {
  local page
  page=$(find "$run/report/" -name '*.html' -print -quit 2>/dev/null) || true
  state='' text=''
  if [ -n "$page" ]; then result "$page" "$run/eval.nc"; fi
}

show() {
  local stage state text now='' left=() stages=(train label distill eval report)
  [ -d "$run" ] || { echo "slurm: no directory $run" >&2; exit 1; }
  [ -n "$only_line" ] || echo "$run"
  for stage in "${stages[@]}"; do
    case $stage in
      train) training teacher teacher ;;
      label) labelling ;;
      distill) training student distill ;;
      eval) result "$run/eval.nc" "$run/student.onnx" ;;
      report) report ;;
    esac
    # A teacher of one's own is not trained, a student of hard labels needs no teacher.
    if [ "$stage" = train ] && [ -z "$state" ] && [ -e "$run/labels" ]; then continue; fi
    if [[ $stage =~ train|label ]] && [ -z "$state" ] && [ -e "$run/student-history.nc" ]; then continue; fi
    if [ "$state" != 'done' ]; then
      if [ -z "$now" ]; then now="$stage${text:+: $text}"; else left+=("$stage"); fi
    fi
    [ -n "$only_line" ] || printf '  %-8s %-8s %s\n' "$stage" "${state:--}" "$text"
  done
  if [ -n "$only_line" ]; then
    echo "${now:-all done}"
    return
  fi
  echo "  now: ${now:-all done}${left[*]:+; then ${left[*]}}"
  # What Slurm knows of its jobs, where there is a Slurm.
  if [ -s "$run/slurm/jobs" ] && command -v squeue >/dev/null; then
    squeue -h -u "$(id -un)" -S i -o '%F %i %j %T %M %l %r' 2>/dev/null | while read -r base id name job_state used limit why; do
      if grep -q " $base$" "$run/slurm/jobs"; then
        printf '  job %-8s %-8s %s, %s of %s%s\n' "$id" "$name" "$job_state" "$used" "$limit" \
          "$([ "$why" = None ] || echo ", $why")"
      fi
    done
  fi
}

for run in "$@"; do
  run=${run%/}
  [[ $run != -* ]] || run=./$run
  show
done
