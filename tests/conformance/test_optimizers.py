"""Runs of 20 steps of every optimizer against PyTorch's."""

import ctypes
import itertools

import common
import library
import numpy

torch = common.need_torch()
retort = library.load()
retort.rt_optimizer_find.restype = ctypes.c_void_p
retort.rt_optimizer_names.restype = ctypes.c_char_p
compared = {"tao"}  # no steps of its own: tests/cli/tao.py

STEPS = 20


class Params(ctypes.Structure):
    _fields_ = [
        ("momentum", ctypes.c_double),
        ("nesterov", ctypes.c_bool),
        ("beta1", ctypes.c_double),
        ("beta2", ctypes.c_double),
        ("epsilon", ctypes.c_double),
    ]


class Update(ctypes.Structure):
    _fields_ = [
        ("count", ctypes.c_int64),
        ("rate", ctypes.c_double),
        ("weight_decay", ctypes.c_double),
        ("gradient_scale", ctypes.c_double),
        ("step", ctypes.c_int64),
        ("parameter", ctypes.c_void_p),
        ("gradient", ctypes.c_void_p),
        ("moment", ctypes.c_void_p * 2),
    ]


class Optimizer(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("help", ctypes.c_char_p),
        ("moments", ctypes.c_int),
        ("update", ctypes.CFUNCTYPE(None, ctypes.POINTER(Params), ctypes.POINTER(Update))),
    ]


def named(name):
    compared.add(name)
    return Optimizer.from_address(retort.rt_optimizer_find(name.encode()))


def compare(case, optimizer, params, peer, scale):
    """peer: makes PyTorch's optimizer of a parameter."""
    random = numpy.random.default_rng(2)
    parameter = random.standard_normal(1000).astype(numpy.float32)
    moments = [numpy.zeros_like(parameter) for _ in range(2)]
    theirs = torch.nn.Parameter(torch.from_numpy(parameter).double())
    torch_optimizer = peer(theirs)
    group = torch_optimizer.param_groups[0]
    start = parameter.copy()
    for step in range(1, STEPS + 1):
        gradient = random.standard_normal(1000).astype(numpy.float32)
        group["lr"] = 0.01 + 0.002 * step
        update = Update(
            len(parameter),
            group["lr"],
            group["weight_decay"],
            scale,
            step,
            parameter.ctypes.data,
            gradient.ctypes.data,
            (ctypes.c_void_p * 2)(*(moment.ctypes.data for moment in moments)),
        )
        optimizer.update(params, update)
        theirs.grad = torch.from_numpy(gradient).double() * scale
        torch_optimizer.step()
    expected = theirs.detach().numpy()
    error = numpy.abs(parameter - expected).max() / numpy.abs(expected).max()
    common.check(numpy.abs(expected - start).max() > 0.1, f"{case}: nothing moved")
    common.check(error < 1e-6, f"{case}: parameters differ by {error:.3g}")


def main():
    cases = 0
    for momentum, nesterov, decay, scale in itertools.product((0.0, 0.5, 0.9), (False, True), (0.0, 0.01), (1.0, 0.3)):
        if nesterov and momentum == 0:
            continue
        params = Params(momentum, nesterov, 0, 0, 0)
        sgd = lambda p: torch.optim.SGD([p], lr=1, momentum=momentum, nesterov=nesterov, weight_decay=decay)
        compare(f"sgd {momentum} {nesterov} {decay} {scale}", named("sgd"), params, sgd, scale)
        cases += 1
    for beta1, beta2, epsilon, decay in itertools.product((0.8, 0.9), (0.99, 0.999), (1e-8, 1e-3), (0.0, 0.01)):
        params = Params(0, False, beta1, beta2, epsilon)
        adamw = lambda p: torch.optim.AdamW([p], lr=1, betas=(beta1, beta2), eps=epsilon, weight_decay=decay)
        compare(f"adamw {beta1} {beta2} {epsilon} {decay}", named("adamw"), params, adamw, 1.0)
        cases += 1
    names = set(retort.rt_optimizer_names().decode().split("|"))
    common.check(compared == names, f"optimizers without a reference here: {names - compared}")
    common.finish(f"{cases} runs of {STEPS} steps against PyTorch {torch.__version__}")


main()
