#!/usr/bin/env bash
# What distributed linear algebra gives on MNIST: students that begin in closed form beside random weights, teachers of
# low rank, a layer's activations kept as principal components, and how alike layers are. Trains what is missing, one
# run after the other, as times are compared; prints tables in Markdown.
#
#   jobs/linear-algebra/run.sh [-ranks N] [-epochs N] [-hidden N,N] [-data FOLDER] [-out FOLDER]
#                              2, 40, 128,64, data/mnist, runs/linear-algebra
#
# With 2 ranks on 2 cores that do nothing else: about 6 minutes with -hidden 128,64, an hour with -hidden 800,800.
# The scaling of ridge and principal components over ranks is measured by tests/bench/linalg.py.
set -euo pipefail

cd "$(dirname "$0")/../.."
ranks=2 epochs=40 hidden=128,64 data=data/mnist out=runs/linear-algebra
while [ $# -gt 1 ]; do
  case $1 in
    -ranks) ranks=$2 ;;
    -epochs) epochs=$2 ;;
    -hidden) hidden=$2 ;;
    -data) data=$2 ;;
    -out) out=$2 ;;
    *) break ;;
  esac
  shift 2
done
[ $# -eq 0 ] || { sed -n 's/^#   jobs/usage: jobs/p' "$0" >&2; exit 2; }
retort=${RETORT:-build/retort}
command -v "$retort" >/dev/null || { echo "no program $retort: build it with jobs/quickstart.sh" >&2; exit 1; }
command -v ncdump >/dev/null || { echo "ncdump is needed for the tables: apt-get install netcdf-bin" >&2; exit 1; }
jobs/get-mnist.sh "$data"
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMP_NUM_THREADS=1

# run DIR VERB [OPTION …]: one verb on all ranks; its log is kept, and shown where it fails
run() {
  local dir=$out/$1 verb=$2
  shift 2
  mkdir -p "$dir"
  mpirun --oversubscribe -n "$ranks" "$retort" "$verb" -job jobs/linear-algebra/job.yaml -run_dir "$dir" \
    -data_train "$data/train.nc" -data_test "$data/test.nc" "$@" >>"$dir/log" 2>&1 ||
    { grep "^retort: " "$dir/log" >&2 || tail -n 1 "$dir/log" >&2; exit 1; }
}

# borrow DIR: give a run the one teacher and its labels
borrow() {
  mkdir -p "$out/$1"
  for made in teacher.onnx labels; do
    [ -e "$out/$1/$made" ] || ln -s ../teacher/$made "$out/$1/$made"
  done
}

# numbers FILE VARIABLE: a line each
numbers() {
  ncdump -v "$2" "$out/$1" | awk -v name="$2" '$1 == name && $2 == "=" { on = 1; sub(/^[^=]*=/, "") }
    on { end = /;/; gsub(/[,;]/, " "); for (i = 1; i <= NF; i++) print $i; if (end) exit }'
}

errors() { numbers "$1/eval.nc" "$2"_accuracy | awk '{ printf "%.0f", (1 - $1) * 10000 }'; }
begun() { sed -n 's/^student: start .* in \([0-9.]*\) s$/\1/p' "$out/$1/log" | tail -n 1; } # seconds of the start

run teacher train
run teacher label
run teacher eval -eval_cka false

# --- where a student begins ------------------------------------------------------------------------------------------

optimizers=(sgd adamw)
# L-BFGS where this program has it. Grep reads to the end: a pipe that closes early would be an error.
"$retort" distill -help | grep -c -- '<.*|tao' >/dev/null && optimizers+=(tao)
declare -A rate=([sgd]=0.01 [adamw]=0.002 [tao]=1)
starts=(random pca ridge pca+ridge svd)

size=$("$retort" info "$out/teacher/teacher.onnx" | awk '/parameters/ { print $1 }')
for optimizer in "${optimizers[@]}"; do
  for start in "${starts[@]}"; do
    name=$optimizer-$start
    [ "$start" != random ] || budget=0
    borrow "$name"
    options=(-student_hidden "$hidden" -student_init "$start" -distill_optimizer "$optimizer"
      -distill_rate "${rate[$optimizer]}" -distill_epochs "$epochs")
    [ "$start" != svd ] || options+=(-student_init_parameters "$budget")
    run "$name" distill "${options[@]}"
    run "$name" eval "${options[@]}"
    [ "$start" != random ] || budget=$(numbers "$name/eval.nc" student_parameters)
  done
done

# The goal of all: what plain SGD ends with on the held-out samples.
goal_loss=$(numbers sgd-random/student-history.nc holdout_loss | tail -n 1)
goal_accuracy=$(numbers sgd-random/student-history.nc holdout_accuracy | tail -n 1)
goal_seconds=$(numbers sgd-random/student-history.nc seconds | awk '{ s += $1 } END { print s }')

echo
echo "Students of at most $budget parameters, $epochs epochs on $ranks ranks. The goal is the quality on held-out samples"
echo "that plain SGD from random weights ends with: loss $goal_loss, accuracy $goal_accuracy. Seconds contain the start."
echo
echo "| optimizer | start | start, s | first epoch's loss | last loss | test errors | epochs to the goal | seconds to it | part of plain SGD's |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
for optimizer in "${optimizers[@]}"; do
  for start in "${starts[@]}"; do
    history=$optimizer-$start/student-history.nc
    paste <(numbers "$history" holdout_loss) <(numbers "$history" holdout_accuracy) <(numbers "$history" seconds) |
      awk -v loss="$goal_loss" -v accuracy="$goal_accuracy" -v all="$goal_seconds" -v begun="$(begun "$optimizer-$start")" \
        -v errors="$(errors "$optimizer-$start" student)" -v name="$optimizer | $start" '
        { time += $3; if (NR == 1) first = $1; last = $1; if (!at && $1 <= loss && $2 >= accuracy) { at = NR; when = time + begun } }
        END { printf "| %s | %.1f | %.3f | %.3f | %d | ", name, begun, first, last, errors
          if (at) printf "%d | %.1f | %.2f |\n", at, when, when / all; else print "never | | |" }'
  done
done

# --- teachers of low rank --------------------------------------------------------------------------------------------

echo
echo "The teacher ($size parameters, $(errors teacher teacher) errors) cut to fewer parameters, and after $((epochs / 4)) epochs of distillation"
echo
echo "| times fewer | parameters | errors, plain singular values | errors, weighted by what enters | errors after distillation |"
echo "| --- | --- | --- | --- | --- |"
for factor in 2 4 10 20; do
  budget=$((size / factor))
  for weighted in false true; do
    dir=cut-$factor-$weighted
    run "$dir" compress -teacher_model "$out/teacher/teacher.onnx" -o "$out/$dir/cut.onnx" \
      -compress_parameters "$budget" -compress_weighted "$weighted" -compress_samples 5000
    run "$dir" eval -teacher_model "$out/$dir/cut.onnx" -eval_cka false
  done
  borrow "distilled-$factor"
  options=(-student_init svd -student_init_parameters "$budget" -distill_optimizer adamw -distill_rate 0.001
    -distill_epochs $((epochs / 4 > 0 ? epochs / 4 : 1)))
  run "distilled-$factor" distill "${options[@]}"
  run "distilled-$factor" eval "${options[@]}"
  printf '| %d | %d | %s | %s | %s |\n' "$factor" "$(numbers "cut-$factor-true/eval.nc" teacher_parameters)" \
    "$(errors "cut-$factor-false" teacher)" "$(errors "cut-$factor-true" teacher)" "$(errors "distilled-$factor" student)"
done

# --- activations as principal components -----------------------------------------------------------------------------

echo
echo "The teacher's second hidden layer (1200 numbers, 4800 bytes a sample) in the label store, one view"
echo
echo "| components | variance kept | bytes a sample for features |"
echo "| --- | --- | --- |"
bytes() { cat "$out/$1"/labels/shard-*.nc | wc -c; }
samples=$(ncdump -h "$data/train.nc" | sed -n 's/^\tsample = \([0-9]*\) ;/\1/p')
run features-0 label -teacher_model "$out/teacher/teacher.onnx" -label_views 1
for components in 8 32 128; do
  run "features-$components" label -teacher_model "$out/teacher/teacher.onnx" -label_views 1 -label_features 2 \
    -label_components "$components"
  printf '| %d | %.2f %% | %.1f |\n' "$components" \
    "$(numbers "features-$components/components.nc" kept_variance | awk '{ print 100 * $1 }')" \
    "$(awk -v a="$(bytes "features-$components")" -v b="$(bytes features-0)" -v n="$samples" 'BEGIN { print (a - b) / n }')"
done

# --- how alike layers are --------------------------------------------------------------------------------------------

echo
echo "Centred kernel alignment of teacher and student on the test set (AdamW), layers of the student as columns"
for start in random svd; do
  echo
  ncdump -v cka "$out/adamw-$start/cka.nc" | awk -v start="$start" '/:names/ { gsub(/.*= "|" ;/, ""); names[++n] = $0 }
    / cka =/ { on = 1; count = split(names[2], column, " "); split(names[1], row, " ")
      printf "| %s", start; for (i = 1; i <= count; i++) printf " | %s", column[i]
      printf " |\n|"; for (i = 0; i <= count; i++) printf " --- |"; print ""; sub(/.*=/, "") }
    on { end = /;/; gsub(/[,;]/, " ")
      for (i = 1; i <= NF; i++) { if (k++ % count == 0) printf "| %s", row[++r]; printf " | %.3f", $i; if (k % count == 0) print " |" }
      if (end) exit }'
done
