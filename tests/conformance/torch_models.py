"""Networks as users build and export them. export(folder) writes NAME.onnx, NAME.in.npy and NAME.out.npy for each."""

import copy
import os
import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def mlp(*sizes, bias=True, dropout=0.0, activation=nn.ReLU):
    layers = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        layers.append(nn.Linear(a, b, bias=bias))
        if i < len(sizes) - 2:
            layers.append(activation())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


class Lambda(nn.Module):
    """f(x, **modules), with f given as a plain function."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, x)


def flat():
    return nn.Sequential(nn.Flatten(), mlp(784, 50, 40, 10))


def view_size():
    return Lambda(lambda m, x: m.net(x.view(x.size(0), -1)), net=mlp(784, 50, 10))


def view_free():
    return Lambda(lambda m, x: m.net(x.view(-1, 784)), net=mlp(784, 50, 10))


def reshape_sizes():
    return Lambda(lambda m, x: m.net(x.reshape(x.shape[0], x.shape[1] * x.shape[2] * x.shape[3])), net=mlp(784, 50, 10))


def flatten_function():
    return Lambda(lambda m, x: m.net(torch.flatten(x, 1)), net=mlp(784, 50, 10))


class Normalise(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.register_buffer("mean", torch.rand(shape))
        self.register_buffer("std", torch.rand(shape) + 0.5)
        self.net = mlp(784, 50, 10)

    def forward(self, x):
        x = (x - self.mean) / self.std
        return self.net(x.view(x.size(0), -1))


def pixels():
    return Lambda(lambda m, x: m.net((x.float() / 255.0 - 0.13) / 0.31), net=nn.Sequential(nn.Flatten(), mlp(784, 50, 10)))


def dropout():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.2), mlp(784, 50, 40, 10, dropout=0.5))


def no_bias():
    return nn.Sequential(nn.Flatten(), mlp(784, 50, 10, bias=False))


def tokens():
    return Lambda(lambda m, x: m.head(torch.flatten(F.relu(m.each(x)), 1)), each=nn.Linear(16, 24), head=nn.Linear(8 * 24, 10))


def tokens_no_bias():
    return Lambda(lambda m, x: m.head(torch.flatten(F.relu(m.each(x)), 1)), each=nn.Linear(16, 24, bias=False),
                  head=nn.Linear(8 * 24, 10))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(784, 50)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(50, 60), nn.ReLU(), nn.Linear(60, 50)) for _ in range(2))
        self.last = nn.Linear(50, 10)

    def forward(self, x):
        x = self.first(torch.flatten(x, 1))
        for block in self.blocks:
            x = F.relu(x + block(x))
        return self.last(x)


class Gated(nn.Module):
    """Products and differences of two branches, and a learned scale and shift."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(784, 50), nn.Linear(784, 50)
        self.last = nn.Linear(50, 10)

    def forward(self, x):
        x = x.flatten(1)
        a, b = F.relu(self.a(x)), self.b(x)
        return self.last(a * b - a + b / 2)


def log_softmax():
    return Lambda(lambda m, x: F.log_softmax(m.net(x), dim=1), net=flat())


def softmax():
    return Lambda(lambda m, x: F.softmax(m.net(x), dim=-1), net=flat())


def softmax_layer():
    return nn.Sequential(flat(), nn.Softmax(dim=1))


def reused():
    """One layer applied twice."""
    return Lambda(lambda m, x: m.last(m.middle(F.relu(m.middle(F.relu(m.first(x.flatten(1))))))), first=nn.Linear(784, 50),
                  middle=nn.Linear(50, 50), last=nn.Linear(50, 10))


def tied():
    """The weights of the first layer are those of the second, transposed."""
    return Lambda(lambda m, x: m.last(F.relu(F.linear(F.relu(m.first(x.flatten(1))), m.first.weight.t()))),
                  first=nn.Linear(784, 50), last=nn.Linear(784, 10))


class Same(nn.Module):
    """Two layers that share a Parameter: the exporter writes it once and names it again through Identity."""

    def __init__(self):
        super().__init__()
        self.first, self.one, self.two, self.last = nn.Linear(784, 50), nn.Linear(50, 50), nn.Linear(50, 50), nn.Linear(50, 10)
        self.two.weight = self.one.weight
        self.two.bias = self.one.bias

    def forward(self, x):
        return self.last(F.relu(self.two(F.relu(self.one(F.relu(self.first(x.flatten(1))))))))


def equal_values():
    """Layers that only happen to be equal: the exporter joins them too."""
    layer = nn.Linear(50, 50)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 50), nn.ReLU(), layer, nn.ReLU(), copy.deepcopy(layer), nn.ReLU(),
                         nn.Linear(50, 10))


def regression():
    return Lambda(lambda m, x: m.net(x.flatten(1)).squeeze(-1), net=mlp(784, 30, 1))


def unsqueezed():
    return Lambda(lambda m, x: m.net(x.unsqueeze(1)).squeeze(1), net=mlp(20, 30, 10))


def plain():
    return mlp(20, 30, 10)


IMAGE, VECTOR, SEQUENCE = (1, 28, 28), (20,), (8, 16)
OPSETS = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)
TRAINING, PRESERVE = torch.onnx.TrainingMode.TRAINING, torch.onnx.TrainingMode.PRESERVE

# name: network, shape of a sample, opsets, options. Options: fixed (exported with no dynamic axis), batch (of the
# export; models are run with another), training, fold (constant folding), inputs (initializers are inputs too), dtype,
# count (Retort counts other parameters than the module, for the reason said at the network).
CASES = {
    "flatten": (flat, IMAGE, OPSETS, {}),
    "flatten_fixed": (flat, IMAGE, (9, 13), {"fixed": True}),
    "flatten_function": (flatten_function, IMAGE, (9, 11, 13), {}),
    "plain": (plain, VECTOR, OPSETS, {}),
    "plain_fixed": (plain, VECTOR, (9, 13, 17), {"fixed": True}),
    "view_size": (view_size, IMAGE, (9, 11, 12, 13, 14, 17), {}),
    "view_size_fixed": (view_size, IMAGE, (9, 13), {"fixed": True}),
    "view_free": (view_free, IMAGE, (9, 13, 14), {}),
    "view_free_fixed": (view_free, IMAGE, (9, 13, 14), {"fixed": True}),
    "view_size_single": (view_size, IMAGE, (9, 13), {"fixed": True, "batch": 1}),
    "reshape_sizes": (reshape_sizes, IMAGE, (9, 13, 14), {}),
    "normalise": (lambda: Normalise((1,)), IMAGE, (9, 13, 17), {}),
    "normalise_pixels": (lambda: Normalise((1, 28, 28)), IMAGE, (9, 13), {}),
    "pixels": (pixels, IMAGE, (9, 13, 17), {"dtype": torch.uint8}),
    "dropout": (dropout, IMAGE, (9, 13), {}),
    "dropout_training": (dropout, IMAGE, (9, 11, 12, 13, 17), {"training": TRAINING}),
    "dropout_preserve": (dropout, IMAGE, (13,), {"training": PRESERVE}),
    "no_bias": (no_bias, IMAGE, (9, 11, 13, 17), {}),
    "tokens": (tokens, SEQUENCE, (9, 11, 13, 17), {}),
    "tokens_no_bias": (tokens_no_bias, SEQUENCE, (9, 13), {}),
    "residual": (Residual, IMAGE, (9, 13, 17), {}),
    "gated": (Gated, IMAGE, (9, 13), {}),
    "log_softmax": (log_softmax, IMAGE, (9, 11, 12, 13, 17), {}),
    "softmax": (softmax, IMAGE, (9, 11, 12, 13, 17), {}),
    "softmax_layer": (softmax_layer, IMAGE, (12, 13), {}),
    "reused": (reused, IMAGE, (9, 13), {}),
    "tied": (tied, IMAGE, (9, 13), {"count": False}),
    "same": (Same, IMAGE, (9, 13, 17), {}),
    "equal_values": (equal_values, IMAGE, (9, 13, 17), {"count": False}),
    "regression": (regression, IMAGE, (9, 11, 13, 17), {}),
    "unsqueezed": (unsqueezed, VECTOR, (9, 11, 13, 17), {}),
    "unfolded": (flat, IMAGE, (9, 13), {"fold": False}),
    "listed_inputs": (flat, IMAGE, (9, 13), {"inputs": True}),
}


def export_one(folder, name, build, shape, opset, options):
    """Write the three files; returns what the test has to know."""
    torch.manual_seed(len(name) + opset)
    net = build()
    training = options.get("training", torch.onnx.TrainingMode.EVAL)
    net.train(training == PRESERVE)
    batch = 7
    dtype = options.get("dtype", torch.float32)

    def sample(count):
        return torch.randint(0, 256, (count, *shape), dtype=dtype) if dtype == torch.uint8 else torch.randn(count, *shape)

    axes = {} if options.get("fixed") else {"input": {0: "batch"}, "output": {0: "batch"}}
    path = os.path.join(folder, f"{name}-{opset}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, sample(options.get("batch", 4)), path + ".onnx", opset_version=opset, input_names=["input"],
                          output_names=["output"], dynamic_axes=axes, training=training,
                          do_constant_folding=options.get("fold", training == torch.onnx.TrainingMode.EVAL),
                          keep_initializers_as_inputs=options.get("inputs"))
    given = sample(batch)
    with torch.no_grad():
        expected = net.eval()(given)
    np.save(path + ".in.npy", given.numpy())
    np.save(path + ".out.npy", expected.numpy())
    count = sum(p.numel() for p in net.parameters()) if options.get("count", True) else None
    return {"name": f"{name}-{opset}", "batch": batch, "parameters": count}


def export(folder):
    return [export_one(folder, name, build, shape, opset, options)
            for name, (build, shape, opsets, options) in CASES.items() for opset in opsets]
