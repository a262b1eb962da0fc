"""Losses against PyTorch: values and gradients, on ragged batches with padding."""

import ctypes
import itertools

import common
import library
import numpy

torch = common.need_torch()
F = torch.nn.functional
retort = library.load()
retort.rt_loss_find.restype = ctypes.c_void_p
retort.rt_loss_names.restype = ctypes.c_char_p


class Params(ctypes.Structure):
    _fields_ = [("temperature", ctypes.c_double), ("alpha", ctypes.c_double), ("label_smoothing", ctypes.c_double)]


class Batch(ctypes.Structure):
    _fields_ = [
        ("rows", ctypes.c_int64),
        ("width", ctypes.c_int),
        ("sample", ctypes.c_void_p),
        ("student", ctypes.c_void_p),
        ("teacher", ctypes.c_void_p),
        ("label", ctypes.c_void_p),
        ("target", ctypes.c_void_p),
        ("scale", ctypes.c_double),
    ]


class Sums(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("total", "soft", "hard", "correct", "count")]


EVALUATE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(Params), ctypes.POINTER(Batch), ctypes.c_void_p, ctypes.POINTER(Sums)
)


class Loss(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("help", ctypes.c_char_p),
        ("regression", ctypes.c_bool),
        ("evaluate", EVALUATE),
    ]


def ours(name, params, data):
    """Sums, and the gradient of the mean over the samples."""
    rows, width = data["student"].shape
    gradient = numpy.full((rows, width), numpy.nan, numpy.float32)
    samples = int((data["sample"] >= 0).sum())
    pointers = {key: array.ctypes.data for key, array in data.items()}
    sums = Sums()
    loss = Loss.from_address(retort.rt_loss_find(name.encode()))
    error = loss.evaluate(params, Batch(rows=rows, width=width, scale=1 / samples, **pointers), gradient.ctypes.data, sums)
    assert error == 0, f"{name} returned {error}"
    return sums, gradient


def torchs(name, params, data):
    """The same, with PyTorch's own losses."""
    keep = torch.from_numpy(data["sample"] >= 0)
    z = torch.from_numpy(data["student"]).double().requires_grad_()
    student, teacher, target = z[keep], *(torch.from_numpy(data[k]).double()[keep] for k in ("teacher", "target"))
    label = torch.from_numpy(data["label"]).long()[keep]
    T, alpha = params.temperature, params.alpha
    if name == "mse":
        soft = F.mse_loss(student, teacher, reduction="none").mean(1).sum()
        hard = F.mse_loss(student, target, reduction="none").mean(1).sum()
    else:
        hard = F.cross_entropy(student, label, reduction="sum", label_smoothing=params.label_smoothing)
        if name == "kl":
            soft = T * T * F.kl_div(
                F.log_softmax(student / T, 1), F.log_softmax(teacher / T, 1), reduction="sum", log_target=True
            )
        else:
            assert name == "logits", f"the loss {name} has no reference here"
            soft = 0.5 * F.mse_loss(student, teacher, reduction="sum")
    total = alpha * soft + (1 - alpha) * hard
    (total / int(keep.sum())).backward()
    correct = 0 if name == "mse" else (student.argmax(1) == label).sum()
    return [float(x) for x in (total, soft if alpha else 0, hard if alpha < 1 else 0, correct)], z.grad.numpy()


def main():
    random = numpy.random.default_rng(1)
    cases = 0
    names = retort.rt_loss_names().decode().split("|")
    for name, width, T, alpha, smoothing, size in itertools.product(
        names, (2, 10, 300), (1.0, 2.5, 4.0, 20.0), (0.0, 0.3, 1.0), (0.0, 0.1), (2.0, 50.0, 1e4)
    ):
        rows = 13
        data = {
            "sample": numpy.where(random.random(rows) < 0.2, -1, random.integers(0, 1 << 40, rows)),
            "student": (size * random.standard_normal((rows, width))).astype(numpy.float32),
            "teacher": (size * random.standard_normal((rows, width))).astype(numpy.float32),
            "label": random.integers(0, width, rows).astype(numpy.int32),
            "target": random.standard_normal((rows, width)).astype(numpy.float32),
        }
        params = Params(T, alpha, smoothing)
        sums, gradient = ours(name, params, data)
        expected, slope = torchs(name, params, data)
        case = f"{name}, width {width}, T {T}, alpha {alpha}, smoothing {smoothing}, logits of {size}"
        is_ = [sums.total, sums.soft, sums.hard, sums.correct]
        common.check(numpy.allclose(is_, expected, rtol=1e-10, atol=1e-300), f"{case}: {is_}, PyTorch {expected}")
        common.check(numpy.allclose(gradient, slope, rtol=1e-6, atol=1e-15 * size), f"{case}: gradients")
        padding = data["sample"] < 0
        common.check(sums.count == (~padding).sum() and (gradient[padding] == 0).all(), f"{case}: padding")
        cases += 1
    common.finish(f"{cases} cases of losses against PyTorch {torch.__version__}")


main()
