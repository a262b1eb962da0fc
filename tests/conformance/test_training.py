"""Training runs of ten steps against PyTorch in double: hard labels, soft labels of a teacher, regression, terms that
read hidden layers, with a regressor, and relations of the batch; both optimizers. A batch is the whole dataset, so that
the order of samples does not matter; models come from PyTorch."""

import os

import common
import numpy as np

torch = common.need_torch()
import netCDF4  # noqa: E402
import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from torch.nn import functional  # noqa: E402

RETORT = os.path.join(os.environ["RETORT_BUILD"], "retort")
SAMPLES, FEATURES, CLASSES, TARGETS, STEPS = 60, 12, 5, 3, 10
TOLERANCE = 2e-6
random = np.random.default_rng(11)
inputs = random.standard_normal((SAMPLES, FEATURES)).astype(np.float32)
labels = random.integers(0, CLASSES, SAMPLES)
targets = random.standard_normal((SAMPLES, TARGETS)).astype(np.float32)


def retort(*words):
    answer = common.Answer([RETORT, *map(str, words)])
    common.check(answer.code == 0, f"retort {' '.join(map(str, words))}: {answer.code} {answer.err}")
    return answer.code == 0


def network(outputs, hidden, seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(FEATURES, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, hidden),
                               torch.nn.ReLU(), torch.nn.Linear(hidden, outputs))


class Pieces(torch.nn.Module):
    """Rows of a table by number, pieces put together and taken apart, weights that are transposed, scaled, cast: each
    trains. The numbers of rows are the inputs without their fractions; negative ones count from the end."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(17)
        self.table = torch.nn.Parameter(torch.randn(11, 3))
        self.first = torch.nn.Parameter(torch.randn(20, FEATURES * 4) / 7)
        self.gain = torch.nn.Parameter(torch.ones(20, 1) + 0.1 * torch.randn(20, 1))
        self.scale = torch.nn.Parameter(1 + 0.1 * torch.randn(10))
        self.shift = torch.nn.Parameter(0.1 * torch.randn(10))
        self.last = torch.nn.Parameter(torch.randn(10, CLASSES) / 3)

    def forward(self, x):
        rows = self.table[x.long()]
        h = torch.cat([rows.transpose(1, 2), x.to(rows.dtype).unsqueeze(1)], 1).flatten(1)
        h = h @ (self.gain * self.first).t()
        a, b = torch.split(h, [10, 10], 1)
        return (torch.relu(a) * self.scale - b * self.shift) @ self.last.to(x.dtype)


def export(model, name):
    path = common.work(name)
    torch.onnx.export(model, torch.zeros(2, FEATURES), path, input_names=["x"], output_names=["y"],
                      dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, opset_version=13, do_constant_folding=False)
    return path


def weights(path):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def train(model, loss, optimizer, clip=None):
    """The model after STEPS steps in double."""
    model = model.double()
    x = torch.from_numpy(inputs).double()
    # weight decay leaves biases alone
    optimizer = optimizer([{"params": [p for p in model.parameters() if p.ndim > 1]},
                           {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0}])
    for _ in range(STEPS):
        optimizer.zero_grad()
        (loss.whole(model, x) if hasattr(loss, "whole") else loss(model(x))).backward()
        if clip:
            norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip)))
        optimizer.step()
    return {name: value.detach().numpy() for name, value in model.named_parameters()}


def compare(case, data, outputs, loss, optimizer, words, clip=None, model=None):
    """loss: of PyTorch, of the output; optimizer: makes PyTorch's; model: another than the perceptron, perhaps with
    constants that are no weights."""
    strict, model = model is None, model or network(outputs, 16, 3)
    start = export(model, f"{case}.onnx")
    run = common.work(f"run-{case}")
    if not retort("distill", "-run_dir", run, "-data_train", data, "-student_model", start, "-distill_epochs", STEPS,
                  "-distill_batch", SAMPLES, "-distill_schedule", "constant", "-distill_select", "last", *words):
        return
    ours, theirs = weights(os.path.join(run, "student.onnx")), train(model, loss, optimizer, clip)
    before = weights(start)
    common.check(set(ours) == set(theirs) or (not strict and set(ours) > set(theirs)), f"{case}: {sorted(ours)} and {sorted(theirs)}")
    off = max(np.max(np.abs(ours[name] - theirs[name])) for name in theirs)
    moved = max(np.max(np.abs(before[name] - theirs[name])) for name in theirs)
    print(f"{case}: weights move by {moved:.2g}, and are off by {off:.2g}")
    common.check(off < TOLERANCE, f"{case}: off by {off:.2g}")
    common.check(moved > 1000 * TOLERANCE, f"{case}: weights move by {moved:.2g} only")


def sgd(**options):
    return lambda groups: torch.optim.SGD(groups, **options)


def adamw(**options):
    return lambda groups: torch.optim.AdamW(groups, **options)


np.save(common.work("x.npy"), inputs)
np.save(common.work("labels.npy"), labels)
np.save(common.work("targets.npy"), targets)
classes, numbers = common.work("classes.nc"), common.work("numbers.nc")
retort("import", "npy", common.work("x.npy"), common.work("labels.npy"), "-o", classes)
retort("import", "npy", common.work("x.npy"), common.work("targets.npy"), "-o", numbers)
y = torch.from_numpy(labels)

# hard labels
compare("nesterov", classes, CLASSES, lambda z: functional.cross_entropy(z, y),
        sgd(lr=0.2, momentum=0.9, nesterov=True, weight_decay=0.01),
        ["-distill_alpha", 0, "-distill_lanes", 1, "-distill_rate", 0.2, "-distill_momentum", 0.9,
         "-distill_weight_decay", 0.01])
compare("lanes", classes, CLASSES, lambda z: functional.cross_entropy(z, y, label_smoothing=0.1),
        sgd(lr=0.2, momentum=0.5, weight_decay=0.01),
        ["-distill_alpha", 0, "-distill_lanes", 7, "-distill_rate", 0.2, "-distill_momentum", 0.5,
         "-distill_nesterov", "false", "-distill_weight_decay", 0.01, "-distill_label_smoothing", 0.1])
compare("adamw", classes, CLASSES, lambda z: functional.cross_entropy(z, y),
        adamw(lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
        ["-distill_alpha", 0, "-distill_optimizer", "adamw", "-distill_rate", 0.01, "-distill_beta1", 0.8,
         "-distill_beta2", 0.95, "-distill_epsilon", 1e-6, "-distill_weight_decay", 0.1])

# the norm of the whole gradient is limited, in some of the steps
norms = []
compare("clip", classes, CLASSES, lambda z: functional.cross_entropy(z, y), sgd(lr=0.5, momentum=0.9, nesterov=True),
        ["-distill_alpha", 0, "-distill_lanes", 3, "-distill_rate", 0.5, "-distill_clip", 0.17], clip=0.17)
common.check(min(norms) < 0.17 < max(norms), f"the limit lies outside of the norms: {norms}")

# soft labels: T² KL(teacher || student), both at temperature T
teacher = network(CLASSES, 20, 5)
with torch.no_grad():
    for p in teacher.parameters():
        p *= 3
path = export(teacher, "teacher.onnx")
logits = teacher.double()(torch.from_numpy(inputs).double()).detach()


def soft(z, temperature):
    return temperature**2 * functional.kl_div(functional.log_softmax(z / temperature, 1),
                                              functional.softmax(logits / temperature, 1), reduction="batchmean")


for case, alpha, temperature in (("soft", 1.0, 4.0), ("mixed", 0.7, 2.5)):
    words = ["-teacher_model", path, "-label_shard", 17]
    retort("label", "-run_dir", common.work(f"run-{case}"), "-data_train", classes, *words)
    compare(case, classes, CLASSES,
            lambda z: alpha * soft(z, temperature) + (1 - alpha) * functional.cross_entropy(z, y),
            sgd(lr=0.1, momentum=0.9, nesterov=True),
            [*words, "-distill_alpha", alpha, "-distill_temperature", temperature, "-distill_rate", 0.1])


# terms: objectives of the model, not only of its output; the step is counted from 0
class Steps:
    """A loss of PyTorch that counts its calls and sees the inner layers of the student."""

    def __init__(self, loss):
        self.loss, self.step = loss, 0

    def whole(self, student, x):
        layers = [student[:2](x), student[:4](x)]
        self.step += 1
        return self.loss(student(x), layers, self.step - 1)


def term(name, **values):
    return [word for key, value in values.items() for word in (f"-distill_terms_{name}_{key}", value)]


def linear(first, last, step):
    return first + (last - first) * step / (STEPS - 1)


def distances(x):
    """Of all pairs over their mean; equal rows have distance 0 and no gradient."""
    square = ((x[:, None] - x[None]) ** 2).sum(2)
    apart = torch.where(square > 0, square, torch.ones_like(square)).sqrt() * (square > 0)
    return apart / apart[square > 0].mean()


def cosines(x):
    """At each row, between the directions to any two others."""
    to = functional.normalize(x[None] - x[:, None], dim=2)
    return to @ to.transpose(1, 2)


def rkd(student, reference, distance=25.0, angle=50.0):
    """Park et al., "Relational knowledge distillation"."""
    return (distance * functional.smooth_l1_loss(distances(student), distances(reference))
            + angle * functional.smooth_l1_loss(cosines(student), cosines(reference)))


with torch.no_grad():
    teachers = [teacher[:2](torch.from_numpy(inputs).double()), teacher[:4](torch.from_numpy(inputs).double())]
here = ["-teacher_model", path, "-distill_teacher", "here"]
compare("schedules", classes, CLASSES,
        Steps(lambda z, layers, step: linear(1, 0.2, step) * soft(z, linear(4, 1, step))
              + 0.5 * min(1, (step + 1) / 5) * functional.cross_entropy(z, y, label_smoothing=0.2)),
        sgd(lr=0.1, momentum=0.9, nesterov=True),
        [*here, "-distill_rate", 0.1, *term("a", loss="kl", weight_last=0.2, temperature_last=1),
         *term("b", loss="ce", weight=0.5, warmup=5, smoothing=0.2)])
compare("relations", classes, CLASSES,
        Steps(lambda z, layers, step: 0.05 * rkd(layers[1], teachers[0]) + 0.02 * rkd(z, logits, 10, 0)
              + functional.cross_entropy(z, y)),
        sgd(lr=0.1, momentum=0.9, nesterov=True),
        [*here, "-distill_rate", 0.1, "-distill_lanes", 7,
         *term("rows", loss="rkd", student="hidden:2", teacher="hidden:1", weight=0.05),
         *term("logits", loss="rkd", weight=0.02, distance=10, angle=0), *term("hard", loss="ce")])
# the same width: no regressor
narrow = network(CLASSES, 16, 9)
narrow_path = export(narrow, "narrow.onnx")
narrow = narrow.double()
with torch.no_grad():
    narrow_layer = narrow[:4](torch.from_numpy(inputs).double())
compare("hint", classes, CLASSES,
        Steps(lambda z, layers, step: 0.3 * 0.5 * ((layers[0] - narrow_layer) ** 2).sum(1).mean() + functional.cross_entropy(z, y)),
        sgd(lr=0.1, momentum=0.9, nesterov=True),
        ["-teacher_model", narrow_path, "-distill_teacher", "here", "-distill_rate", 0.1, "-distill_lanes", 3,
         *term("layer", loss="hint", student="hidden:1", teacher="hidden:2", weight=0.3), *term("hard", loss="ce")])


# the student itself as the teacher: a deeper layer as it is, and its moving average; neither gets a gradient
compare("own", classes, CLASSES,
        Steps(lambda z, layers, step: 0.2 * 0.5 * ((layers[0] - layers[1].detach()) ** 2).sum(1).mean()
              + functional.cross_entropy(z, y)),
        sgd(lr=0.1, momentum=0.9, nesterov=True),
        ["-distill_teacher", "self", "-distill_rate", 0.1, "-distill_lanes", 3,
         *term("layer", loss="hint", student="hidden:1", teacher="hidden:2", weight=0.2), *term("hard", loss="ce")])


class Average(Steps):
    """The student and its moving average, with the decay 0.7 that grows from 0.5."""

    def whole(self, student, x):
        with torch.no_grad():
            now = [p.clone() for p in student.parameters()]
            if self.step == 0:
                self.mean, self.teacher = now, network(CLASSES, 16, 3).double()
            else:
                decay = min(1 - 1 / (self.step + 1), 0.7)
                self.mean = [decay * m + (1 - decay) * p for m, p in zip(self.mean, now)]
            for p, m in zip(self.teacher.parameters(), self.mean):
                p.copy_(m)
            target = self.teacher(x)
        self.step += 1
        return self.loss(student(x), target)


compare("average", classes, CLASSES,
        Average(lambda z, target: 2 * 9 * functional.kl_div(functional.log_softmax(z / 3, 1), functional.softmax(target / 3, 1),
                                                            reduction="batchmean") + functional.cross_entropy(z, y)),
        sgd(lr=0.05, momentum=0.9, nesterov=True),
        ["-distill_teacher", "self", "-distill_decay", 0.7, "-distill_rate", 0.05, "-distill_lanes", 3,
         *term("mean", loss="kl", weight=2, temperature=3), *term("hard", loss="ce")])


def regressor_run():
    """A student that is narrower than the layer that it learns from: a map between them trains as well, and is not part
    of the student. Its start is read from the checkpoint of the first step."""
    run, start = common.work("run-regressor"), export(network(CLASSES, 16, 3), "regressor.onnx")
    words = ["distill", "-run_dir", run, "-data_train", classes, "-student_model", start, "-distill_epochs", STEPS,
             "-distill_batch", SAMPLES, "-distill_schedule", "constant", "-distill_select", "last", *here, "-distill_rate",
             0.1, "-distill_momentum", 0, "-distill_nesterov", "false", "-distill_lanes", 4,
             *term("layer", loss="hint", student="hidden:1", teacher="hidden:1", weight=0.3), *term("hard", loss="ce")]
    stopped = common.Answer([RETORT, *map(str, words), "-stop_after", "1e-6"])
    common.check(stopped.code == 75, f"a stop after the first step: {stopped.code} {stopped.err}")
    with netCDF4.Dataset(os.path.join(run, "checkpoint", "student-0000000001.nc")) as data:
        flat = torch.from_numpy(np.array(data["parameters"][:])).double()
    if not retort(*words):
        return
    model, shapes, at = network(CLASSES, 16, 3).double(), [], 0
    weight, bias = torch.zeros(16, 20).double(), torch.zeros(20).double()
    for parameter in [*model.parameters(), weight, bias]:  # each begins a multiple of 16 elements from the first
        with torch.no_grad():
            parameter.copy_(flat[at:at + parameter.numel()].view(parameter.shape))
        at += -(-parameter.numel() // 16) * 16
    common.check(at == len(flat), f"{len(flat)} parameters with those of the regressor, not {at}")
    x = torch.from_numpy(inputs).double()
    trained = [*model.parameters(), weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    before = weight.detach().clone()
    for _ in range(STEPS - 1):
        optimizer.zero_grad()
        hint = 0.5 * ((model[:2](x) @ weight + bias - teachers[0]) ** 2).sum(1).mean()
        (0.3 * hint + functional.cross_entropy(model(x), y)).backward()
        optimizer.step()
    ours, theirs = weights(os.path.join(run, "student.onnx")), dict(model.named_parameters())
    common.check(set(ours) == set(theirs), f"regressor: {sorted(ours)}")
    off = max(np.max(np.abs(ours[name] - theirs[name].detach().numpy())) for name in theirs)
    moved = float((weight - before).abs().max())
    print(f"regressor: it moves by {moved:.2g}, weights of the student are off by {off:.2g}")
    common.check(off < TOLERANCE and moved > 1000 * TOLERANCE, f"regressor: off by {off:.2g}, moved by {moved:.2g}")


regressor_run()

# other operators than those of a perceptron
compare("pieces", classes, CLASSES, lambda z: functional.cross_entropy(z, y), sgd(lr=0.05, momentum=0.9, nesterov=True),
        ["-distill_alpha", 0, "-distill_lanes", 4, "-distill_rate", 0.05], model=Pieces())

# regression
compare("regression", numbers, TARGETS, lambda z: functional.mse_loss(z, torch.from_numpy(targets).double()),
        sgd(lr=0.1, momentum=0.9, nesterov=True),
        ["-distill_loss", "mse", "-distill_alpha", 0, "-distill_rate", 0.1])
common.finish("15 training runs of 10 steps")
