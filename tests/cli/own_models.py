"""Models that come from PyTorch: a teacher to label with, a student to start from.

Arguments: the program retort, an empty folder."""
import os
import sys

import numpy as np
import onnx
from support.cli import RANKS, TEST, TRAIN, forward, main, nothing_half_written, outputs, read, run, same, sha, small

try:
    import torch
except ImportError:
    print("skipped: python3-torch is not installed")
    sys.exit(77)

torch.set_num_threads(1)


def export(name, hidden, classes=10, flat=True, seed=1):
    """A network as people write it; returns its logits for the test set's inputs."""
    torch.manual_seed(seed)
    layers = ([torch.nn.Flatten()] if flat else []) + [torch.nn.Linear(784, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes)]
    model = torch.nn.Sequential(*layers).eval()
    shape = (1, 28, 28) if flat else (1, 784)
    torch.onnx.export(model, torch.zeros(shape), name, input_names=["image"], output_names=["score"], opset_version=13,
                      dynamic_axes={"image": {0: "batch"}, "score": {0: "batch"}})
    inputs = torch.tensor(np.asarray(read(TEST, "input"), "f4").reshape(-1, *shape[1:]))
    return model, model(inputs).detach().numpy()


def test_teacher():
    model, logits = export("mine.onnx", 32)
    own = dict(teacher_model="mine.onnx")
    for verb in "label", "verify", "distill", "eval":
        run(verb, small("own", **own), ranks=2 if verb == "label" else 0)
    nothing_half_written("own")
    assert not os.path.exists("own/teacher.onnx"), "the teacher of the user was copied or made"
    inputs = torch.tensor(np.asarray(read(TRAIN, "input"), "f4"))
    labels = np.concatenate([read(f"own/labels/shard-{s:06d}.nc", "logits") for s in range(4)])
    far = np.abs(labels - model(inputs).detach().numpy()).max()
    assert far < 1e-4, f"labels are {far} away from PyTorch's logits"
    truth = read(TEST, "label")
    wanted = (logits.argmax(1) == truth).mean()
    assert float(read("own/eval.nc", "teacher_accuracy")) == wanted, "teacher_accuracy is not PyTorch's"
    assert int(read("own/eval.nc", "teacher_parameters")) == 784 * 32 + 32 + 320 + 10
    before = outputs("own")
    run("run", small("whole", **own), ranks=min(3, RANKS))
    same("whole", before, "run with a teacher of one's own")
    run("train", small("own", **own), code=2, says="-teacher_model mine.onnx is a finished teacher")
    export("mine.onnx", 32, seed=2)
    run("run", small("own", **own), code=1, says="was made from something else: its teacher_hash is")


def test_outputs():
    """Probabilities are told from logits also behind Softmax and Identity; of several outputs the first is used, and
    that is said."""
    export("plain.onnx", 16, seed=5)
    graph = onnx.load("plain.onnx")
    last = graph.graph.output[0].name
    for name, node in ("soft", ("Softmax", [last])), ("certain", ("Identity", ["soft"])):
        graph.graph.node.append(onnx.helper.make_node(node[0], node[1], [name]))
    info = [onnx.helper.make_tensor_value_info(name, 1, ["batch", 10]) for name in ("certain", last)]
    del graph.graph.output[:]
    graph.graph.output.extend(info)
    onnx.save(graph, "two.onnx")
    run("label", small("plain", teacher_model="plain.onnx"))
    run("label", small("two", teacher_model="two.onnx"), says="of its 2 outputs the first, 'certain', is used")
    for s in range(4):
        shard = f"labels/shard-{s:06d}.nc"
        one, other = read(f"plain/{shard}", "logits"), read(f"two/{shard}", "logits")
        assert (one == other).all(), "what stands behind the last product is not looked through"


def test_student():
    _, logits = export("start.onnx", 24, seed=3)
    start = dict(teacher_model="mine.onnx", student_model="start.onnx")
    run("label", small("frozen", **start))
    run("distill", small("frozen", **start, distill_rate=0), ranks=2)
    inputs = read(TEST, "input")
    after = forward("frozen/student.onnx", inputs)
    assert np.abs(after - logits).max() < 1e-5, f"without learning the student changed by {np.abs(after - logits).max()}"
    old, new = (sorted(onnx.numpy_helper.to_array(t).tobytes() for t in onnx.load(p).graph.initializer if len(t.dims)) for p in ("start.onnx", "frozen/student.onnx"))
    assert old == new, "without learning the weights changed"
    graph = onnx.load("frozen/student.onnx").graph
    assert graph.input[0].name == "image" and graph.output[0].name == "score", "names of the model's input and output are lost"
    run("run", small("moved", **start))
    after = forward("moved/student.onnx", inputs)
    assert np.abs(after - logits).max() > 1e-3, "the student did not learn"
    before = outputs("moved")
    run("run", small("moved", **start), says="student.onnx is done already")
    export("start.onnx", 24, seed=4)
    run("run", small("moved", **start), code=1, says="student.onnx was made with start [0-9a-f]{64}, now it is [0-9a-f]{64}")
    same("moved", before, "a refused run")
    run("run", small("moved", **start, run_force="true"), ranks=2)
    assert outputs("moved")["student.onnx"] != before["student.onnx"], "another start gives the same student"


def test_flat():
    """A model that reads 784 numbers takes samples of 28 x 28."""
    _, logits = export("flat.onnx", 12, flat=False)
    run("label", small("flat", teacher_model="flat.onnx"))
    run("eval", small("flat", teacher_model="flat.onnx"))
    wanted = (logits.argmax(1) == read(TEST, "label")).mean()
    assert float(read("flat/eval.nc", "teacher_accuracy")) == wanted, "teacher_accuracy is not PyTorch's"


def test_refused():
    for hidden, classes, says in ((12, 7, "gives 7 numbers a sample, the dataset has 10 classes"),):
        export("seven.onnx", hidden, classes)
        run("label", small("bad", teacher_model="seven.onnx"), code=1, says=says)
        run("distill", small("own", student_model="seven.onnx", teacher_model="seven.onnx", distill_alpha=0, run_force=1), code=1, says=says)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10), torch.nn.Hardtanh(), torch.nn.PReLU())
    torch.onnx.export(model, torch.zeros(1, 28, 28), "odd.onnx", opset_version=13)
    run("label", small("bad", teacher_model="odd.onnx"), code=1, ranks=2, says="odd.onnx.*PRelu")


main(test_teacher, test_outputs, test_student, test_flat, test_refused)
