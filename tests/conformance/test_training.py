"""Training runs of ten steps against PyTorch in double: hard labels, soft labels of a teacher, regression; both
optimizers. A batch is the whole dataset, so that the order of samples does not matter; models come from PyTorch."""

import os

import common
import numpy as np

torch = common.need_torch()
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
        loss(model(x)).backward()
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

# other operators than those of a perceptron
compare("pieces", classes, CLASSES, lambda z: functional.cross_entropy(z, y), sgd(lr=0.05, momentum=0.9, nesterov=True),
        ["-distill_alpha", 0, "-distill_lanes", 4, "-distill_rate", 0.05], model=Pieces())

# regression
compare("regression", numbers, TARGETS, lambda z: functional.mse_loss(z, torch.from_numpy(targets).double()),
        sgd(lr=0.1, momentum=0.9, nesterov=True),
        ["-distill_loss", "mse", "-distill_alpha", 0, "-distill_rate", 0.1])
common.finish("9 training runs of 10 steps")
