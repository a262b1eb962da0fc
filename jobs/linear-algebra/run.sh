#!/usr/bin/env bash
# What distributed linear algebra gives on MNIST: students that begin in closed form beside random weights, trained by
# SGD, AdamW and L-BFGS (the optimizer tao); where L-BFGS is at home; teachers of low rank; a layer's activations kept as
# principal components; how alike layers are. Trains what is missing, one run after the other, as times are compared;
# prints tables in Markdown.
#
#   jobs/linear-algebra/run.sh [-ranks N] [-epochs N] [-hidden N,N] [-loss X] [-accuracy X] [-data FOLDER] [-out FOLDER]
#                              2, 40, 128,64, data/mnist, runs/linear-algebra
#
# -loss and -accuracy are the goal on held-out samples whose time is told; without them, what plain SGD ends with.
# With 2 ranks on 2 cores that do nothing else it takes about 6 minutes, with -hidden 800,800 half an hour.
# The scaling of ridge and principal components over ranks is measured by tests/bench/linalg.py.
set -euo pipefail

cd "$(dirname "$0")/../.."
ranks=2 epochs=40 hidden=128,64 loss='' accuracy='' data=data/mnist out=runs/linear-algebra
while [ $# -gt 1 ]; do
  case $1 in
    -ranks) ranks=$2 ;;
    -epochs) epochs=$2 ;;
    -hidden) hidden=$2 ;;
    -loss) loss=$2 ;;
    -accuracy) accuracy=$2 ;;
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
jobs/get-mnist.sh "$data" >&2
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMP_NUM_THREADS=1
mnist=(-job jobs/linear-algebra/job.yaml -data_train "$data/train.nc" -data_test "$data/test.nc")
smooth=(-job jobs/linear-algebra/function.yaml -data_train "$out/function.nc")
job=("${mnist[@]}")

# run DIR VERB [OPTION …]: one verb on all ranks; its log is kept, and shown where it fails
run() {
  local dir=$out/$1 verb=$2
  shift 2
  mkdir -p "$dir"
  mpirun --oversubscribe -n "$ranks" "$retort" "$verb" "${job[@]}" -run_dir "$dir" "$@" >>"$dir/log" 2>&1 ||
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

# student NAME OPTION …
student() {
  echo "$1" >&2
  borrow "$1"
  run "$1" distill "${@:2}"
}

# history RUN: after each record passes, seconds with the start, loss and accuracy on the held-out samples; an accuracy
# that a regression does not have is _
history() {
  local file=$1/student-history.nc
  paste <(numbers "$file" passes) <(numbers "$file" seconds) <(numbers "$file" holdout_loss) \
    <(numbers "$file" holdout_accuracy) |
    awk -v s="$(begun "$1")" '{ p += $1; s += $2; print p, s, $3, $4 }'
}

# race NAME RUN …: passes and seconds of each to the goal; the first is plain SGD
race() {
  local first=$2 goal_loss goal_accuracy whole name tested
  read -r _ whole goal_loss goal_accuracy <<<"$(history "$first" | tail -n 1)"
  goal_loss=${loss:-$goal_loss} goal_accuracy=${accuracy:-$goal_accuracy}
  echo
  printf 'Goal on held-out samples: loss %.3g' "$goal_loss"
  [ "$goal_accuracy" = _ ] || printf ', accuracy %.4f' "$goal_accuracy"
  printf '. Plain SGD ends after %.1f s.\n\n' "$whole"
  echo "| | passes in all | last loss | last accuracy | test errors | passes to the loss | s | passes to the accuracy | s | both, part of SGD's time |"
  echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
  while [ $# -gt 0 ]; do
    name=$1 tested=''
    [ ! -e "$out/$2/eval.nc" ] || tested=$(errors "$2" student)
    history "$2" | awk -v loss="$goal_loss" -v accuracy="$goal_accuracy" -v whole="$whole" -v name="$name" \
      -v tested="$tested" '
      function at(p, t) { return p ? sprintf("%d | %.1f", p, t) : "never |" }
      $3 <= loss && !l { l = $1; lt = $2 }
      accuracy != "_" && $4 >= accuracy && !a { a = $1; at_ = $2 }
      $3 <= loss && (accuracy == "_" || $4 >= accuracy) && !b { b = $2 }
      END { printf "| %s | %d | %.3g | %s | %s | %s | %s | %s |\n", name, $1, $3, $4 == "_" ? "" : sprintf("%.4f", $4), tested,
        at(l, lt), accuracy == "_" ? " |" : at(a, at_), b ? sprintf("%.2f", b / whole) : "never" }'
    shift 2
  done
}

run teacher train
run teacher label
run teacher eval -eval_cka false

# --- where a student begins, and what trains it ----------------------------------------------------------------------

# rate OPTIMIZER START: the best of a few that were tried
rate() {
  case $1-$2 in
    sgd-*ridge | sgd-svd) echo 0.02 ;;
    sgd-*) echo 0.05 ;;
    adamw-svd) echo 0.001 ;;
    *) echo 0.004 ;;
  esac
}

declare -A title=([sgd]=SGD [adamw]=AdamW [tao]=L-BFGS)
rows=()
for optimizer in sgd adamw tao; do
  for start in random pca ridge pca+ridge svd; do
    options=(-student_hidden "$hidden" -student_init "$start" -distill_optimizer "$optimizer" -distill_epochs "$epochs"
      -distill_rate "$(rate "$optimizer" "$start")")
    [ $optimizer != tao ] || options+=(-distill_epochs $((5 * epochs)) -distill_batch 2500)
    [ $start != svd ] || options+=(-student_init_parameters "$budget")
    student "$optimizer-$start" "${options[@]}"
    run "$optimizer-$start" eval "${options[@]}"
    [ $optimizer-$start != sgd-random ] || budget=$(numbers sgd-random/eval.nc student_parameters)
    rows+=("${title[$optimizer]}, $start" "$optimizer-$start")
  done
done
echo
echo "## Students of at most $budget parameters on $ranks ranks: optimizer, start"
race "${rows[@]}"

# --- where L-BFGS is at home: few samples, smooth functions ------------------------------------------------------------

rows=()
for optimizer in sgd adamw tao; do
  options=(-student_hidden "$hidden" -distill_samples 5000 -distill_epochs $((5 * epochs)) -distill_batch 128
    -distill_optimizer "$optimizer" -distill_rate "$(rate "$optimizer" random)")
  [ $optimizer != tao ] || options+=(-distill_batch 2500)
  student "few-$optimizer" "${options[@]}"
  rows+=("${title[$optimizer]}" "few-$optimizer")
done
echo
echo "## The same student from random weights, soft labels of 5,000 images"
race "${rows[@]}"

if [ ! -e "$out/function.nc" ]; then
  awk 'BEGIN { srand(7); print "a,b,c,d,f"
    for (i = 0; i < 6000; i++) {
      a = 2 * rand() - 1; b = 2 * rand() - 1; c = 2 * rand() - 1; d = 2 * rand() - 1
      print a "," b "," c "," d "," sin(3 * a + b) * cos(2 * b - c) + c * d } }' >"$out/function.csv"
  "$retort" import csv "$out/function.csv" -target f -o "$out/function.nc" >&2
fi
job=("${smooth[@]}")
rows=()
for optimizer in sgd adamw tao; do
  options=(-distill_optimizer "$optimizer" -distill_epochs $((10 * epochs)) -distill_batch 64 -distill_rate 0.1)
  [ $optimizer != adamw ] || options+=(-distill_rate 0.01)
  [ $optimizer != tao ] || options+=(-distill_batch 5000 -distill_epochs $((50 * epochs)))
  echo "function-$optimizer" >&2
  run "function-$optimizer" distill "${options[@]}"
  rows+=("${title[$optimizer]}" "function-$optimizer")
done
job=("${mnist[@]}")
echo
echo "## A perceptron 4-32-32-1 for a smooth function, 5,000 samples, mean square"
loss='' accuracy='' race "${rows[@]}"

# --- teachers of low rank --------------------------------------------------------------------------------------------

size=$("$retort" info "$out/teacher/teacher.onnx" | awk '/parameters/ { print $1 }')
echo
echo "## The teacher ($size parameters, $(errors teacher teacher) errors) cut to fewer parameters, and after $((epochs / 4 > 0 ? epochs / 4 : 1)) epochs of distillation"
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
echo "## The teacher's second hidden layer (1200 numbers, 4800 bytes a sample) in the label store, one view"
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
echo "## Centred kernel alignment of teacher and student on the test set (AdamW), layers of the student as columns"
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
