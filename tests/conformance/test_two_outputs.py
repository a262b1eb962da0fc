"""A model of two inputs, one of them token numbers whose table trains, and two outputs: labelled with both, distilled from
both, evaluated; against PyTorch in double. A batch is the whole dataset, so that the order of samples does not matter."""

import os

import common
import numpy as np

torch = common.need_torch()
import netCDF4  # noqa: E402
import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from torch.nn import functional  # noqa: E402

RETORT = os.path.join(os.environ["RETORT_BUILD"], "retort")
MPIRUN = os.environ["RETORT_MPIRUN"].split()
SAMPLES, FEATURES, LENGTH, WORDS, CLASSES, SCORES, STEPS = 60, 7, 5, 13, 4, 3, 10
TOLERANCE = 2e-6
random = np.random.default_rng(5)
x = random.standard_normal((SAMPLES, FEATURES)).astype(np.float32)
token = random.integers(0, WORDS, (SAMPLES, LENGTH))
label = random.integers(0, CLASSES, SAMPLES).astype(np.int32)


class Model(torch.nn.Module):
    """Classes, and numbers beside them, of features and words."""

    def __init__(self, width, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.table = torch.nn.Parameter(torch.randn(WORDS, 3))
        self.mix = torch.nn.Linear(FEATURES + 3 * LENGTH, width)
        self.classes = torch.nn.Linear(width, CLASSES)
        self.scores = torch.nn.Linear(width, SCORES)

    def forward(self, features, words):
        h = torch.relu(self.mix(torch.cat([features, self.table[words].flatten(1)], 1)))
        return self.classes(h), self.scores(h)


def export(model, name):
    path = common.work(name)
    torch.onnx.export(model, (torch.zeros(2, FEATURES), torch.zeros(2, LENGTH, dtype=torch.long)), path,
                      input_names=["features", "words"], output_names=["class", "score"], opset_version=13,
                      dynamic_axes={name: {0: "n"} for name in ("features", "words", "class", "score")})
    return path


def retort(*words, ranks=0):
    answer = common.Answer((MPIRUN + ["-n", str(ranks)] if ranks else []) + [RETORT, *map(str, words)])
    common.check(answer.code == 0, f"retort {' '.join(map(str, words))}: {answer.code} {answer.err}")


def weights(path):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def term(name, **values):
    return [word for key, value in values.items() for word in (f"-distill_terms_{name}_{key}", value)]


data = common.work("data.nc")
with netCDF4.Dataset(data, "w") as file:
    for name, size in ("sample", SAMPLES), ("feature", FEATURES), ("position", LENGTH):
        file.createDimension(name, size)
    for name, type_, axes, values in (("x", "f4", ("sample", "feature"), x), ("token", "i8", ("sample", "position"), token),
                                      ("label", "i4", ("sample",), label)):
        file.createVariable(name, type_, axes)[...] = values
    file["label"].classes = np.int32(CLASSES)

teacher, student = Model(20, 1), Model(8, 2)
with torch.no_grad():
    for p in teacher.parameters():
        p *= 1.5
paths = export(teacher, "teacher.onnx"), export(student, "student.onnx")
before = weights(paths[1])
inputs = torch.from_numpy(x).double(), torch.from_numpy(token)
with torch.no_grad():
    logits, scores = teacher.double()(*inputs)

# the student learns classes from the first output, and numbers from the second one, through the store
job = ["-data_train", data, "-data_test", data, "-data_holdout", 0, "-teacher_model", paths[0], "-student_model", paths[1],
       "-teacher_inputs", "features=x,words=token", "-student_inputs", "features=x,words=token", "-label_shard", 17,
       "-label_taps_score_from", "output:2", "-distill_epochs", STEPS, "-distill_batch", SAMPLES, "-distill_schedule", "constant",
       "-distill_select", "last", "-distill_rate", 0.05, "-distill_lanes", 7,
       *term("soft", loss="kl", weight=0.7, temperature=3), *term("hard", loss="ce", weight=0.3),
       *term("score", loss="hint", weight=0.5, student="output:2", teacher="score")]
for ranks in 0, 2, 3:
    run = common.work(f"run-{ranks}")
    retort("run", "-run_dir", run, *job, ranks=ranks)
    common.check(weights(f"{run}/student.onnx").keys() == before.keys(), f"the student has {sorted(weights(f'{run}/student.onnx'))}")
    for name, value in weights(f"{run}/student.onnx").items():
        common.check(value.tobytes() == weights(common.work("run-0/student.onnx"))[name].tobytes(), f"{ranks} ranks: {name} has other bits")

labels = [netCDF4.Dataset(os.path.join(common.work("run-0/labels"), name)) for name in sorted(os.listdir(common.work("run-0/labels")))]
for name, wanted in ("logits", logits), ("score", scores):
    got = np.concatenate([shard[name][...].reshape(shard[name].shape[0], -1) for shard in labels])
    off = np.max(np.abs(got - wanted.numpy()))
    common.check(got.shape == tuple(wanted.shape) and off < 1e-5, f"stored {name}: {got.shape}, off by {off:.2g}")

model = student.double()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
y = torch.from_numpy(label).long()
for _ in range(STEPS):
    optimizer.zero_grad()
    z, s = model(*inputs)
    loss = (0.7 * 9 * functional.kl_div(functional.log_softmax(z / 3, 1), functional.softmax(logits / 3, 1), reduction="batchmean")
            + 0.3 * functional.cross_entropy(z, y) + 0.5 * 0.5 * ((s - scores) ** 2).sum(1).mean())
    loss.backward()
    optimizer.step()
theirs = {name: value.detach().numpy() for name, value in model.named_parameters()}
ours = weights(common.work("run-0/student.onnx"))
for name in theirs:
    mine = ours.get(name)
    if mine is None:  # the exporter has transposed or renamed it
        same = [value for value in ours.values() if value.shape in (theirs[name].shape, theirs[name].T.shape)]
        mine = min(same, key=lambda value: np.max(np.abs((value if value.shape == theirs[name].shape else value.T) - theirs[name])))
        mine = mine if mine.shape == theirs[name].shape else mine.T
    off, moved = np.max(np.abs(mine - theirs[name])), np.max(np.abs(before[name] - theirs[name])) if name in before else np.inf
    print(f"{name}: moves by {moved:.2g}, is off by {off:.2g}")
    common.check(off < TOLERANCE and moved > 1000 * TOLERANCE, f"{name} is off by {off:.2g}, moves by {moved:.2g}")

with torch.no_grad():
    wanted = {"student": float((model(*inputs)[0].argmax(1) == y).double().mean()), "teacher": float((logits.argmax(1) == y).double().mean())}
with netCDF4.Dataset(common.work("run-0/eval.nc")) as file:
    for role, value in wanted.items():
        got = float(file[f"{role}_accuracy"][...])
        common.check(abs(got - value) < 1e-12, f"the {role}'s accuracy is {got}, not {value}")
common.finish("two inputs and two outputs")
