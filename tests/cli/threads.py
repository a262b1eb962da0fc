"""Everything of a run that threads share, small: lanes, windows read in the background, checkpoints, stops, labelling with
components, evaluation, full batch. The same bits on two threads as on one; the build type Threads looks for races in it.

Arguments: the program retort, an empty folder."""
import os

from support.cli import RANKS, TEST, TRAIN, main, nothing_half_written, options, outputs, run, same

JOB = dict(data_train=TRAIN, data_test=TEST, data_holdout=100, teacher_hidden=16, student_hidden=16, teacher_epochs=2,
           distill_epochs=2, teacher_batch=100, distill_batch=100, label_shard=400, eval_batch=64)
JOBS = dict(
    windows=dict(data_memory="450K", label_views=2, augment_shift=1, teacher_optimizer="adamw", teacher_rate=0.003,
                 teacher_dropout="0.1,0.2", distill_precision="bf16", checkpoint_steps=3),
    features=dict(label_features=1, label_components=3, student_init="pca+ridge", teacher_max_norm=2, teacher_clip=1,
                  eval_cka="true"),
    batch=dict(teacher_optimizer="tao", teacher_epochs=3))


def job(name, folder):
    return options(run_dir=folder, **{**JOB, **JOBS[name]})


def test_threads():
    for name in JOBS:
        run("run", job(name, name), OMP_NUM_THREADS=1)
        nothing_half_written(name)
        run("run", job(name, name + "-2"), OMP_NUM_THREADS=2)
        same(name + "-2", outputs(name), f"{name} on two threads")


def test_stops():
    """Asked to stop in the teacher, after it, and in the student; each part on two threads, by turns on one rank and on two."""
    for part, (verb, step) in enumerate((("train", 5), ("train", 8), ("run", 12), ("run", 6))):
        run(verb, job("windows", "parts"), ranks=(0, min(2, RANKS))[part % 2], code=75, OMP_NUM_THREADS=2,
            RETORT_FAULT=f"term:step:{step}")
    run("run", job("windows", "parts"), ranks=min(2, RANKS), OMP_NUM_THREADS=2)
    same("parts", outputs("windows"), "windows in five parts")
    assert not os.listdir("parts/checkpoint"), "checkpoints are left"


def test_memory():
    """Where gradients may take less, one thread has all lanes: the same bits. Less than that is refused."""
    short = "retort: note: -reduce_memory is short: up to 1 of the threads"
    done = run("run", [job("windows", "short"), options(reduce_memory="250K")], OMP_NUM_THREADS=2, says=r"memory of a rank: .* gradients 199K")
    assert short in done.stderr, done.stderr
    same("short", outputs("windows"), "gradients that take 250K at most")
    done = run("train", [job("windows", "long"), options(reduce_memory="1M")], OMP_NUM_THREADS=2, says=r"gradients 298.5K")
    assert short not in done.stderr, done.stderr
    run("train", [job("windows", "refused"), options(reduce_memory="150K")], OMP_NUM_THREADS=2, code=1, says=r"gradients of this model take a rank 20\d{4} bytes")


main(test_threads, test_stops, test_memory)
