"""The same bits on any number of ranks and threads: models, labels and results of the whole pipeline.

Arguments: the program retort, an empty folder."""
import os
import shutil

import numpy as np
from support.cli import RANKS, forward, main, nothing_half_written, outputs, read, run, same, sha, small, TEST

PLAIN = dict()
RICH = dict(teacher_lanes=7, distill_lanes=7, teacher_batch=100, distill_batch=90, label_views=3, augment_shift=2, augment_rotate=10,
            augment_scale=0.1, augment_shear=0.1, teacher_optimizer="adamw", teacher_rate=0.003, teacher_weight_decay=0.01,
            distill_optimizer="adamw", distill_rate=0.003, teacher_precision="bf16", label_precision="bf16",
            distill_precision="bf16", teacher_dropout="0.2,0.5", student_dropout="0.1,0.1", teacher_max_norm=2,
            label_batch=37, eval_batch=33, distill_omit="3,7", eval_bias_classes="3,7", eval_bias_fit="holdout",
            student_normalize="true", label_shard=170)


def everywhere(name, job, plan):
    """Run on (ranks, threads) of plan; the first decides what the others must give."""
    wanted = None
    for ranks, threads in plan:
        folder = f"{name}-{ranks}-{threads}"
        run("run", small(folder, **job), ranks=ranks, OMP_NUM_THREADS=threads)
        what = f"{name} on {ranks} ranks of {threads} threads"
        if wanted is None:
            wanted = outputs(folder)
            shards = len(wanted) - 3
            assert shards == -(-1200 // int(job.get("label_shard", 300))), f"{what}: {shards} shards"
            nothing_half_written(folder)
        else:
            same(folder, wanted, what)
    return wanted


def plan(*more):
    return [(0, 1)] + [(r, t) for r, t in more if r <= RANKS or (RANKS >= 4 and r <= 8)]


def test_plain():
    wanted = everywhere("plain", PLAIN, plan((1, 2), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2), (8, 1), (0, 3)))
    again = everywhere("seed", dict(run_seed=2), plan())
    assert all(wanted[name] != again[name] for name in wanted), "another seed gives the same bits"


def test_rich():
    everywhere("rich", RICH, plan((1, 2), (2, 1), (3, 2), (4, 1), (7, 1), (0, 7)))


def test_each_precision():
    """Half precision changes the bits, a little: nothing above is equal because nothing is done."""
    run("train", small("half", teacher_precision="bf16"))
    assert sha("half/teacher.onnx") != sha("plain-0-1/teacher.onnx"), "bf16 has no effect"
    inputs = read(TEST, "input")[:200]
    a, b = forward("half/teacher.onnx", inputs), forward("plain-0-1/teacher.onnx", inputs)
    assert 0 < np.abs(a - b).max() < 0.1, f"bf16 and fp32 differ by {np.abs(a - b).max()}"


def test_fast():
    """-reduce fast sums in MPI's order: close, and allowed to differ."""
    ranks = min(3, RANKS)
    run("run", small("fast", reduce="fast"), ranks=ranks)
    inputs = read(TEST, "input")
    for role in "teacher", "student":
        a, b = forward(f"fast/{role}.onnx", inputs), forward(f"plain-0-1/{role}.onnx", inputs)
        assert np.abs(a - b).max() < 1e-4, f"-reduce fast: the {role}'s logits differ by {np.abs(a - b).max()}"


def test_mixed():
    """Each stage on other ranks gives what one run gives."""
    for verb, ranks in ("train", 2), ("label", 3), ("verify", 2), ("distill", 1), ("eval", 4):
        run(verb, small("mixed"), ranks=min(ranks, RANKS))
    same("mixed", outputs("plain-0-1"), "stages on different numbers of ranks")
    shutil.copytree("mixed", "moved")
    os.remove("moved/labels/shard-000002.nc")
    run("label", small("moved"), ranks=2)
    same("moved", outputs("plain-0-1"), "a shard made again")


main(test_plain, test_rich, test_each_precision, test_fast, test_mixed)
