#!/usr/bin/env bash
# The MNIST table of Hinton, Vinyals, Dean 2015 (arXiv 1503.02531), section 3: trains what is missing, prints ours
# beside the paper's. Results do not depend on ranks or threads, so one process a model runs, several at a time.
#
#   jobs/hinton2015/run.sh [-seeds N] [-jobs N] [-out FOLDER]        3 seeds, a job a processor, runs/hinton2015
set -euo pipefail

cd "$(dirname "$0")/../.."
seeds=3 jobs=$(nproc) out=runs/hinton2015
while [ $# -gt 1 ]; do
  case $1 in
    -seeds) seeds=$2 ;;
    -jobs) jobs=$2 ;;
    -out) out=$2 ;;
    *) break ;;
  esac
  shift 2
done
[ $# -eq 0 ] || { echo "usage: jobs/hinton2015/run.sh [-seeds N] [-jobs N] [-out FOLDER]" >&2; exit 2; }
export retort=${RETORT:-build/retort} out OMP_NUM_THREADS=1
command -v "$retort" >/dev/null || { echo "no program $retort: build it with jobs/quickstart.sh" >&2; exit 1; }
command -v ncdump >/dev/null || { echo "ncdump is needed for the table: apt-get install netcdf-bin" >&2; exit 1; }
jobs/get-mnist.sh data/mnist

teacher() { # teacher SEED
  local dir=$out/seed-$1/teacher
  mkdir -p "$dir"
  echo "seed $1: teacher"
  for verb in train eval; do
    "$retort" "$verb" -job jobs/hinton2015/teacher.yaml -run_dir "$dir" -run_seed "$1" >>"$dir/log" 2>&1 ||
      { tail -n 1 "$dir/log" >&2; return 255; }
  done
}

student() { # student SEED ROW
  local dir=$out/seed-$1/$2
  local options=(-job jobs/hinton2015/student.yaml -run_dir "$dir" -run_seed "$1"
    -teacher_model "$out/seed-$1/teacher/teacher.onnx")
  case $2 in
    hard) options+=(-distill_alpha 0) ;;
    soft) ;;
    views) options+=(-label_views 16) ;; # not in the paper: the student sees jittered images as well
    omit3) options+=(-distill_omit 3 -eval_bias_classes 3 -eval_bias_fit test) ;;
    only78) options+=(-distill_omit 0,1,2,3,4,5,6,9 -eval_bias_classes 7,8 -eval_bias_fit test) ;;
  esac
  mkdir -p "$dir"
  echo "seed $1: student, $2"
  "$retort" run "${options[@]}" >>"$dir/log" 2>&1 || { tail -n 1 "$dir/log" >&2; return 255; }
}
export -f teacher student

seq "$seeds" | xargs -P "$jobs" -I{} bash -c 'teacher {}'
for row in hard soft views omit3 only78; do seq -f "%g $row" "$seeds"; done | xargs -P "$jobs" -L 1 bash -c 'student $0 $1'

number() { # number ROW VARIABLE: of each seed, a line each
  local seed
  for seed in $(seq "$seeds"); do
    ncdump -v "$2" "$out/seed-$seed/$1/eval.nc" | sed -n "s/^ $2 = \(.*\) ;/\1/p"
  done
}

threes() { # threes CONFUSION: errors on threes, a line for each seed
  local seed
  for seed in $(seq "$seeds"); do
    ncdump -v "$1" "$out/seed-$seed/omit3/eval.nc" |
      awk -v name="$1" '$1 == name && $2 == "=" { on = 1; next }
        on && ++row == 4 { gsub(/[,;]/, ""); for (i = 1; i <= 10; i++) if (i != 4) sum += $i; print sum + 0; exit }'
  done
}

errors() { awk '{ printf "%.0f\n", (1 - $1) * 10000 }'; }
spread() { awk '{ s += $1; q += $1 * $1 } END { m = s / NR; v = NR > 1 ? (q - NR * m * m) / (NR - 1) : 0
  if (v < 0) v = 0
  printf "%7.1f ± %4.1f", m, sqrt(v) }'; }

row() { printf '%-58s %s   %s\n' "$1" "$2" "$3"; }
echo
row "errors on the 10,000 test images, mean of $seeds seeds" "  ours ± sd   " paper
row "teacher: 2 x 1200, dropout, max-norm, jitter" "$(number teacher teacher_accuracy | errors | spread)" 67
row "student: 2 x 800, hard labels" "$(number hard student_accuracy | errors | spread)" 146
row "student: soft targets, T = 20" "$(number soft student_accuracy | errors | spread)" 74
row "  the same, on 16 jittered views of each image" "$(number views student_accuracy | errors | spread)" "  "
row "student: never saw a 3" "$(number omit3 student_accuracy | errors | spread)" 206
row "  of these on the 1,010 threes" "$(threes student_confusion | spread)" 133
row "  bias of class 3 corrected" "$(number omit3 student_accuracy_corrected | errors | spread)" 109
row "    by adding" "$(number omit3 bias | spread)" 3.5
row "student: saw only 7 and 8" "$(number only78 student_accuracy | errors | spread)" 4730
row "  biases of 7 and 8 corrected" "$(number only78 student_accuracy_corrected | errors | spread)" 1320
row "    by adding" "$(number only78 bias | spread)" -7.6
