"""Where a student begins (-student_init), and `retort compress`: the closed forms against NumPy's in double precision, the
same bits on any number of ranks and threads, and better than random.

Arguments: the program retort, an empty folder."""
import os
import shutil

import numpy as np
import onnx
import onnx.helper as oh
import onnx.numpy_helper as nh
from support.cli import RANKS, TEST, TRAIN, forward, main, metadata, nothing_half_written, read, run, sha, small
from support.witness import borrow, check_pca, cut, far, hidden, ridge, soft_labels, tensors, train_rows

JOB = dict(teacher_hidden="40,24", teacher_epochs=8, teacher_batch=50, teacher_normalize="true", teacher_dropout="0.1,0.1",
           student_hidden="32,16", student_normalize="true", distill_batch=50, distill_optimizer="adamw", distill_rate=0.001,
           distill_select="last")
STARTS = dict(pca=dict(student_init="pca", student_init_energy=0.9), ridge=dict(student_init="ridge"),
              both={"student_init": "pca+ridge"}, svd=dict(student_init="svd", student_init_parameters=12000))


def distill(name, ranks=0, **options):
    """Distil from the one teacher and its labels in a folder of its own."""
    borrow(name)
    threads = {"OMP_NUM_THREADS": options.pop("threads")} if "threads" in options else {}
    return run("distill", small(name, **{**JOB, **options}), ranks=ranks, **threads)


def still(name, **options):
    """The start itself: a step of no length. Returns the model's tensors."""
    distill(name, **{**dict(distill_epochs=1, distill_rate=0, data_holdout=0), **options})
    return tensors(f"{name}/student.onnx")


def test_base():
    run("train", small("base", **JOB), ranks=2)
    run("label", small("base", **JOB), ranks=2)


def test_ridge():
    for part in 1e-3, 0.1:
        t = still(f"ridge{part}", student_init="ridge", student_init_lambda=part)
        weight, bias = ridge(hidden(t, train_rows, 2), soft_labels("base"), part)
        assert far(t["layer2.weight"], weight) < 1e-3, f"ridge is {far(t['layer2.weight'], weight)} off"
        assert far(t["layer2.bias"], bias) < 1e-3, f"ridge's bias is {far(t['layer2.bias'], bias)} off"
    plain = still("random", student_init="random")
    assert all(np.array_equal(plain[n], t[n]) for n in t if not n.startswith("layer2")), "ridge changed other layers"
    # Only what the student may see: no held-out samples, no omitted class, not beyond -distill_samples.
    keep = read(TRAIN, "label") != 3
    t = still("ridge-omit", student_init="ridge", distill_omit="3")
    weight, _ = ridge(hidden(t, train_rows[keep], 2), soft_labels("base")[keep], 0.1)
    assert far(t["layer2.weight"], weight) < 1e-3, "ridge saw a class that is omitted"
    # And not more samples than that, each as far from the next.
    pool = np.flatnonzero(read(TRAIN, "label") % 2 == 0)
    t = still("ridge-150", student_init="ridge", student_init_samples=150, distill_omit="1,3,5,7,9")
    taken = pool[np.arange(150) * len(pool) // 150]
    weight, bias = ridge(hidden(t, train_rows[taken], 2), soft_labels("base")[taken], 0.1)
    assert far(t["layer2.weight"], weight) < 1e-3 and far(t["layer2.bias"], bias) < 1e-3, "ridge on 150 samples"
    t = still("ridge-1", student_init="ridge", student_init_samples=1, distill_omit="1,3,5,7,9")
    assert not t["layer2.weight"].any() and far(t["layer2.bias"], soft_labels("base")[pool[0]]) < 1e-5, "ridge on one sample"
    held = [still(f"ridge-{n}", student_init="ridge", **{n: 300})["layer2.weight"] for n in ("data_holdout", "distill_samples")]
    assert min(far(h, t["layer2.weight"]) for h in held) > 1e-3, "held-out samples made no difference"


def test_pca():
    plain = still("random2", student_init="random")
    for part in 0.9, 0.5:
        t = still(f"pca{part}", student_init="pca", student_init_energy=part)
        check_pca(t, plain, hidden(t, train_rows, 0), part)
    both = still("both2", **{"student_init": "pca+ridge", "student_init_energy": 0.5})
    assert np.array_equal(both["layer0.weight"], t["layer0.weight"]), "pca+ridge is another pca"
    weight, _ = ridge(hidden(both, train_rows, 2), soft_labels("base"), 0.1)
    assert far(both["layer2.weight"], weight) < 1e-3, "pca+ridge is another ridge"


def test_compress():
    test = read(TEST, "input")

    def compress(name, ranks, weighted=True, **options):
        run("compress", small("base", **JOB, **options), "-o", name, ranks=2)
        onnx.checker.check_model(onnx.load(name))
        wanted = cut("base/teacher.onnx", ranks, weighted)[0]
        found = forward(name, test)
        assert far(found, wanted) < 1e-3, f"{name}: off by {far(found, wanted)}"
        return sum(t.size for t in tensors(name).values() if t.ndim)

    assert compress("ranks.onnx", (12, 9, None), compress_ranks="12,9") == 12 * 824 + 9 * 64 + 240 + 74
    assert compress("plain.onnx", (12, 9, None), False, compress_ranks="12,9", compress_weighted="false") == 12 * 824 + 9 * 64 + 240 + 74
    assert metadata("ranks.onnx")["retort_role"] == "teacher of low rank"
    kept = cut("base/teacher.onnx", (12, 9, None))[1][0]
    assert metadata("ranks.onnx")["retort_low_rank"].startswith(f"784 x 40 rank 12 ({100 * kept[:12].sum() / kept.sum():.2f} %), 40 x 24 rank 9 (")
    teacher = forward("base/teacher.onnx", test)
    assert far(forward("ranks.onnx", test), teacher) < far(forward("plain.onnx", test), teacher), "weights made it worse"
    spectra = cut("base/teacher.onnx", (None,) * 3)[1]
    ranks = [int(np.argmax(np.cumsum(s) >= 0.95)) + 1 for s in spectra]
    thin = [(w.size - 1) // sum(w.shape) for n, w in tensors("base/teacher.onnx").items() if "weight" in n]
    compress("energy.onnx", [r if r <= t else None for r, t in zip(ranks, thin)], compress_energy=0.95)
    run("compress", small("base", **JOB, compress_parameters=9000), "-o", "budget.onnx")
    assert 8000 < sum(t.size for t in tensors("budget.onnx").values() if t.ndim) <= 9000
    # The compressed model is a teacher like any other.
    run("eval", small("as-teacher", **JOB, teacher_model="budget.onnx"))
    wanted = (forward("budget.onnx", test).argmax(1) == read(TEST, "label")).mean()
    assert float(read("as-teacher/eval.nc", "teacher_accuracy")) == wanted > 0.7, wanted
    run("compress", small("base", **JOB, compress_parameters=900), "-o", "x.onnx", code=1, says="asks for 900 parameters; .* 996 are left")
    run("compress", small("base", **JOB, compress_ranks="1,2,3,4"), "-o", "x.onnx", code=1, says="4 ranks are given, the teacher has 3 layers")
    run("compress", small("base", **JOB), "-o", "x.onnx", code=2, says="how far to cut")
    before = sha("base/teacher.onnx")
    run("compress", small("base", **JOB, compress_energy=0.5), "-o", "./base/teacher.onnx", ranks=2, code=1, says="is the teacher itself")
    assert sha("base/teacher.onnx") == before
    run("compress", small("base", **JOB, compress_energy=0.5), code=2, says="-o is missing")
    run("compress", small("base", **JOB, compress_energy=0.5), "-o", "no/such/x.onnx", ranks=2, code=1, says="no/such/x.onnx")
    assert not os.path.exists("x.onnx")


def test_svd():
    t = still("svd", student_init="svd", student_init_parameters=0, student_hidden="12,9")
    wanted = cut("base/teacher.onnx", (12, 9, None))[0]
    assert far(forward("svd/student.onnx", read(TEST, "input")), wanted) < 1e-3, "svd is not the cut teacher"
    graph = onnx.load("svd/student.onnx").graph
    assert "Dropout" not in [n.op_type for n in graph.node], "the student has the teacher's dropout"
    for layer in 0, 1:
        first, second = (t[f"layer{layer}.weight.{n}"] for n in ("first", "second"))
        assert np.allclose(np.linalg.norm(first, axis=0), np.linalg.norm(second, axis=1), rtol=1e-4), "factors of unequal size"


def test_same_bits():
    for name, options in STARTS.items():
        wanted = None
        for ranks, threads in (0, 1), (2, 1), (min(3, RANKS), 2):
            folder = f"bits-{name}-{ranks}"
            distill(folder, ranks=ranks, threads=threads, distill_epochs=1, **options)
            nothing_half_written(folder)
            found = sha(f"{folder}/student.onnx")
            wanted = wanted or found
            assert found == wanted, f"{name}: other bits on {ranks} ranks of {threads} threads"


def test_better():
    """After one and after three epochs the loss is lower than from random weights; svd is there at once."""
    loss = {}
    for name, options in dict(random={}, **STARTS).items():
        distill(f"better-{name}", distill_epochs=3, **options)
        loss[name] = read(f"better-{name}/student-history.nc", "train_loss")
    for name in STARTS:
        assert loss[name][0] < loss["random"][0] and loss[name][2] < loss["random"][2], f"{name}: {loss[name]}, random {loss['random']}"
    assert loss["svd"][0] < loss["random"][2] / 2, loss
    print("train loss:", {name: np.round(values, 2).tolist() for name, values in loss.items()})


def own_student():
    """A perceptron as PyTorch exports it: weights transposed."""
    rng = np.random.default_rng(1)
    constants = dict(w0=rng.standard_normal((20, 784)) / 28, b0=np.zeros(20), w1=rng.standard_normal((10, 20)) / 4, b1=np.zeros(10))
    nodes = [oh.make_node("Flatten", ["image"], ["x"], axis=1), oh.make_node("Gemm", ["x", "w0", "b0"], ["h"], transB=1),
             oh.make_node("Relu", ["h"], ["r"]), oh.make_node("Gemm", ["r", "w1", "b1"], ["score"], transB=1)]
    graph = oh.make_graph(nodes, "own", [oh.make_tensor_value_info("image", 1, ["n", 28, 28])],
                          [oh.make_tensor_value_info("score", 1, ["n", 10])], [nh.from_array(v.astype("f4"), n) for n, v in constants.items()])
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", 13)])
    model.ir_version = 7
    onnx.save(model, "own.onnx")
    return constants


def test_own_student():
    before = own_student()
    after = still("own", student_init="ridge", student_model="own.onnx")
    assert far(after["w0"], before["w0"]) < 1e-6, "ridge changed the first layer"
    weight, bias = ridge(np.maximum(train_rows @ after["w0"].T + after["b0"], 0), soft_labels("base"), 0.1)
    assert far(after["w1"].T, weight) < 1e-3 and far(after["b1"], bias) < 1e-3, "ridge is off in a model of one's own"
    for start, code, says in (("svd", 2, "both say which network"), ("ridge", 2, "begins with the teacher")):
        extra = dict(distill_alpha=0) if start == "ridge" else {}
        run("distill", small("own2", **JOB, **extra, student_model="own.onnx", student_init=start), code=code, says=says)


def test_refused():
    def refused(code, says, **options):
        shutil.rmtree("refused", ignore_errors=True)
        shutil.copytree("base", "refused")
        run("distill", small("refused", **{**JOB, **options}), ranks=2, code=code, says=says)
        assert not os.path.exists("refused/student.onnx")

    refused(2, "begins with the teacher", student_init="svd", distill_alpha=0)
    refused(2, "makes a student without dropout", student_init="svd", student_init_energy=0.9, student_dropout="0.1")
    refused(2, "'best' is not one of random.pca.ridge.pca.ridge.svd", student_init="best")
    refused(1, "not positive definite.*smallest eigenvalue.*raise -student_init_lambda", student_init="ridge", student_init_lambda=0, student_hidden=200,
            distill_samples=100)  # fewer samples than features
    refused(1, "asks for 900 parameters", student_init="svd", student_init_parameters=900)
    refused(2, "parameters and energy both say how far", student_init="svd", student_init_parameters=9000, student_init_energy=0.5)
    # A start is part of what makes the student.
    run("distill", small("bits-ridge-0", **{**JOB, "distill_epochs": 1}), code=1, says="was made with student_init ridge, now it is random")


def test_resume():
    """Stopped while the start is made, or in the first epoch, and begun again on other ranks: the bits are the same. An
    error of one rank ends all."""
    for name in "svd", "ridge":
        job = {**JOB, **STARTS[name], "distill_epochs": 1}
        borrow(f"ended-{name}")
        job = small(f"ended-{name}", **job)
        done = run("distill", job, code=75, RETORT_FAULT="term:open:12:0")
        assert "start" not in done.stdout, f"{name} was not stopped in its start\n{done.stdout}"
        run("distill", job, ranks=2, code=1, says="RETORT_FAULT", RETORT_FAULT="fail:open:8:1", seconds=20)
        run("distill", job, code=75, says=f"start {name}", RETORT_FAULT="term:step:9:0")
        start = sha(f"ended-{name}/checkpoint/student-start.onnx")
        run("distill", job + ["-student_init", "pca"], code=1, says=f"was written with student_init {name}, now it is pca")
        assert sha(f"ended-{name}/checkpoint/student-start.onnx") == start, "a refusal makes another start"
        done = run("distill", job, ranks=2, says="going on after epoch 0")
        assert "start" not in done.stdout, f"{name} was made again\n{done.stdout}"
        assert not os.path.exists(f"ended-{name}/checkpoint/student-start.onnx")
        assert sha(f"ended-{name}/student.onnx") == sha(f"bits-{name}-0/student.onnx"), f"{name}: a resumed student has other bits"


main(test_base, test_ridge, test_pca, test_compress, test_svd, test_same_bits, test_better, test_own_student, test_refused, test_resume)
