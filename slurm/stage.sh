# shellcheck shell=bash
# What the scripts of this folder share. They source it; nobody runs it.

slurm_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { printf '%(%F %T)T slurm: %s\n' -1 "$*"; }

# Read site.sh and find the program.
read_site() {
  # shellcheck disable=SC2034
  mail='' label_array='' launcher=(srun --mpi=pmix) tries=5 stop_seconds=120 python=python3 analysis=$slurm_folder/../analysis
  # shellcheck source=slurm/site.sh
  source "$slurm_folder/site.sh"
  : "${RETORT:=$slurm_folder/../build/retort}"
  [ -x "$RETORT" ] || RETORT=$(type -P retort) || RETORT=''
}

# Retort without mpirun, beside others: with a temporary folder of its own, as Open MPI's programs that start at the same
# time disturb each other in a common one.
alone() {
  local folder code=0
  folder=$(mktemp -d)
  TMPDIR=$folder OMPI_MCA_ess_singleton_isolated=1 OMP_NUM_THREADS=1 timeout 60 "$RETORT" "$@" || code=$?
  rm -rf "$folder"
  return $code
}

# find_run JOB [option …]: what the job says, as Retort reads it. Sets run, the directory of the run; stages, those that it
# needs; and inputs, the files that it names. Ends the script where the job is not one.
find_run() {
  local job=${1:-} said code=0
  [ $# -gt 0 ] || { echo "slurm: name a job file, as in: $0 jobs/mnist.yaml" >&2; exit 2; }
  [ -r "$job" ] || { echo "slurm: no job file $job in $PWD" >&2; exit 2; }
  [ -n "$RETORT" ] || { echo "slurm: there is no program retort: set RETORT in $slurm_folder/site.sh" >&2; exit 1; }
  shift
  said=$(alone job -job "$job" "$@" -print run_dir,stages,teacher_model,data_test,data_train,student_model) || code=$?
  if [ $code -ne 0 ]; then
    echo "slurm: $job cannot be read: $RETORT ended with exit code $code" >&2
    exit $code
  fi
  mapfile -t -n 6 inputs <<<"$said"$'\n\n\n\n\n' # which $(…) took from its end
  run=${inputs[0]}
  read -r -a stages <<<"${inputs[1]}"
  inputs=("${inputs[@]:2}")
  [ -n "$run" ] || { echo "slurm: $job names no directory of the run: run: {dir: …}, or the option -run_dir" >&2; exit 2; }
  [[ $run != -* ]] || run=./$run
}

# --- what is done ----------------------------------------------------------------------------------------------------

declare -A made_by=([train]=teacher.onnx [label]=labels [distill]=student.onnx [eval]=eval.nc [report]=student.onnx)

# state_of STAGE JOB [option …]: a sum over all that a finished stage depends on and made: job file, options, files that
# the job names, files of the run. Fails where the stage's output is not there.
state_of() {
  local stage=$1 file
  shift
  [ -e "$run/${made_by[$stage]}" ] || return 1
  {
    printf '%s\n' "$stage" "$@"
    cat "$1"
    for file in "${inputs[@]}"; do
      if [ -f "$file" ]; then stat -c '%n %s %y' -- "$file"; fi
    done
    { find "$run/" ! -name '.*' -type f -printf '%P %s %T@\n' | sort | case $stage in
      train) grep '^teacher.onnx' ;;
      label) grep -E '^(teacher.onnx|labels/)' ;;
      distill) grep -E '^(teacher.onnx|labels/|student.onnx)' ;;
      *) grep -E '^(teacher.onnx|labels/|student.onnx|eval.nc)' ;;
    esac; } || true
  } | sha256sum
}

mark_done() { # mark_done STAGE JOB [option …]
  state_of "$@" >"$run/slurm/.$1-$$" && mv "$run/slurm/.$1-$$" "$run/slurm/$1.done"
}

is_done() { # is_done STAGE JOB [option …]
  [ -e "$run/slurm/$1.done" ] && [ "$(state_of "$@")" = "$(cat "$run/slurm/$1.done")" ]
}

# --- one stage inside a job ------------------------------------------------------------------------------------------

# run_stage VERB JOB [option of retort …]: runs a stage on the ranks that Slurm gave. Then
#   done                                  returns
#   stopped on request (exit code 75)     queues the job again, to go on from the checkpoint
#   something is wrong (1, 2)             ends the job as FAILED; the last line says why
#   killed, or a node died                queues the job again
# A job that is started several times without getting further is given up.
# part, where it is set: which part of a heterogeneous job.
run_stage() {
  child='' told='' errors=''
  trap on_signal TERM USR1
  trap 'rm -rf "${errors%/*}"' EXIT
  local verb=$1 code of_part=${part:+_HET_GROUP_$part}
  local ranks=SLURM_NTASKS$of_part cpus=SLURM_CPUS_PER_TASK$of_part nodes=SLURM_JOB_NODELIST$of_part
  shift
  # This is still the number that was submitted where the job got fewer nodes when it was queued again.
  local most=$((${SLURM_NTASKS_PER_NODE:-0} * SLURM_JOB_NUM_NODES))
  if [ -z "${part:-}" ] && [ $most -gt 0 ] && [ "${SLURM_NTASKS:-1}" -gt $most ]; then
    export SLURM_NTASKS=$most SLURM_NPROCS=$most
  fi
  read_site
  find_run "$@"
  [ -z "${part:-}" ] || launcher+=("--het-group=$part")
  job_id=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
  job_id=${job_id:-$SLURM_JOB_ID}
  mkdir -p "$run/slurm"
  count_start "$verb"
  say "$verb in $run, job $job_id, start $starts: ${!ranks:-1} ranks of ${!cpus:-1} threads on ${!nodes}"
  comment ""
  launch "$verb" "$@"
  # srun can end with 0 where it could not start the ranks.
  if [ "$code" -eq 0 ] && { [ ! -e "$run/${made_by[$verb]}" ] || grep -q '^srun: error: .*launch failed' "$errors"; }; then
    code=125
  fi
  case $code in
    0)
      rm -rf "$count" "${errors%/*}"
      mark_done "$verb" "$@" || true
      return
      ;;
    75) again "$verb: stopped on request, with a checkpoint" ;;
    2) give_up 2 "$(last_words "$verb")" ;;
    1) nodes_answer && give_up 1 "$(last_words "$verb")" ;;
  esac
  again "$verb: ended with exit code $code, as if killed or with a node that failed"
}

# Ranks and threads follow the allocation. A signal is passed on as SIGUSR1, which also mpirun hands to the ranks.
launch() { # launch VERB JOB [option …]; sets code
  local verb=$1 job=$2 tee folder signalled=1
  shift 2
  export OMP_NUM_THREADS=${!cpus:-1}
  export OPENBLAS_NUM_THREADS=1 SRUN_CPUS_PER_TASK=$OMP_NUM_THREADS
  # What goes to the log as an error is kept as well, for last_words.
  folder=$(mktemp -d)
  errors=$folder/errors
  mkfifo "$folder/pipe"
  (trap '' TERM USR1 && exec tee "$errors" >&2) <"$folder/pipe" &
  tee=$!
  "${launcher[@]}" "$RETORT" "$verb" -job "$job" "$@" 2>"$folder/pipe" &
  child=$!
  [ -z "$told" ] || kill -USR1 "$child" 2>/dev/null || true
  # A signal ends wait before the ranks have ended.
  while [ -n "$signalled" ]; do
    signalled=
    code=0
    wait "$child" || code=$?
  done
  child=
  wait "$tee" || true
}

# Slurm wants this job to stop: before the time limit, to give its nodes to another job, or for good.
on_signal() {
  say "told to stop"
  told=yes signalled=1
  [ -z "$child" ] || kill -USR1 "$child" 2>/dev/null || true
}

# How far the run has got: changes with every checkpoint, shard and model.
progress() {
  (cd -- "$run" && find . -path ./slurm -prune -o -type f ! -name '.*' -printf '%P %s %T@\n') 2>/dev/null | sort | sha256sum
}

# Count the starts that found the run as the one before had found it.
count_start() {
  local before=0 found='' now
  now=$(progress)
  count=$run/slurm/.starts-$job_id starts=$((${SLURM_RESTART_COUNT:-0} + 1))
  [ ! -e "$count" ] || read -r before found <"$count"
  if [ "$now" = "$found" ]; then before=$((before + 1)); else before=1; fi
  echo "$before $now" >"$count"
  [ "$before" -le "$tries" ] || give_up 1 "$1: started $tries times and got no further; see what stands above"
}

# A rank whose peer's node has died fails like any other, so ask all nodes for a sign of life.
nodes_answer() {
  [ "$SLURM_JOB_NUM_NODES" -gt 1 ] || return 0
  timeout 60 srun --overlap --mpi=none --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
    --ntasks-per-node=1 --cpus-per-task=1 true >/dev/null 2>&1
}

# What the program said last.
last_words() { # last_words VERB
  local words
  words=$(grep '^retort: ' "$errors" | grep -v '^retort: note: ' | tail -n 1) || words="see what stands above"
  echo "$1 failed with exit code $code: $words"
}

# What squeue shows with -o %k: comment MORE
comment() {
  local line
  line=$("$slurm_folder/status.sh" -line "$run" 2>/dev/null) || line=''
  scontrol update JobId="$job_id" Comment="$run: $line$1" 2>/dev/null || true
}

# The job has failed, and so it ends. Slurm then cancels the jobs that wait for it.
give_up() { # give_up CODE WHY
  rm -f "${count:-}"
  say "$2"
  exit "$1"
}

# Queue this job again, unless Slurm has decided what becomes of it: it was cancelled, or is queued again already.
again() { # again WHY
  local state reason
  read -r state reason < <(squeue -h -j "$job_id" -o '%T %r') || true
  case ${state:-} in
    RUNNING) ;;
    COMPLETING) [ "$reason" = TimeLimit ] || state= ;;
    *) state= ;;
  esac
  if [ -z "$state" ]; then
    say "$1; Slurm ends this job"
    exit 75
  fi
  comment "; goes on by itself"
  say "$1; job $job_id is queued again"
  scontrol requeue "$job_id" && exit 75
  say "Slurm does not let job $job_id be queued again; submit it again, and it goes on from here"
  exit 75
}
