"""NumPy in double precision: what the closed forms of linear algebra must give, for perceptrons by recipe."""
import os

import numpy as np
import onnx
import onnx.numpy_helper

from .cli import TEST, TRAIN, read

train_rows = read(TRAIN, "input").reshape(1200, -1).astype("f8")
test_rows = read(TEST, "input").reshape(400, -1).astype("f8")


def tensors(path):
    return {t.name: onnx.numpy_helper.to_array(t).astype("f8") for t in onnx.load(path).graph.initializer}


def hidden(t, rows, layers):
    """What enters layer number `layers`, with the model's tensors t."""
    if "input_mean" in t:
        rows = (rows - t["input_mean"]) / t["input_deviation"]
    for i in range(layers):
        rows = np.maximum(rows @ t[f"layer{i}.weight"] + t[f"layer{i}.bias"], 0)
    return rows


def activations(path, rows):
    """Those of the hidden layers, and the logits."""
    t = tensors(path)
    last = sum("weight" in name for name in t) - 1
    return [hidden(t, rows, i + 1) for i in range(last)] + [hidden(t, rows, last) @ t[f"layer{last}.weight"] + t[f"layer{last}.bias"]]


def far(a, b):
    """The largest difference, as a part of the largest number."""
    return np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)


def borrow(name, base="base"):
    """A run directory with the teacher and the labels of another one."""
    os.makedirs(name, exist_ok=True)
    for made in "teacher.onnx", "labels":
        if not os.path.exists(f"{name}/{made}"):
            os.symlink(os.path.abspath(f"{base}/{made}"), f"{name}/{made}")


def soft_labels(folder):
    return np.concatenate([read(f"{folder}/labels/shard-{s:06d}.nc", "logits") for s in range(4)]).astype("f8")


def ridge(x, y, part):
    """Weight and bias of the regression of y on x; the penalty is a part of the mean variance of a column of x."""
    x0, y0 = x - x.mean(0), y - y.mean(0)
    moments = x0.T @ x0 / len(x)
    weight = np.linalg.solve(moments + part * np.trace(moments) / len(moments) * np.eye(len(moments)), x0.T @ y0 / len(x))
    return weight, y.mean(0) - x.mean(0) @ weight


def principal(rows):
    """Variances along the principal directions, the largest first, and the directions as columns, of which the element of
    largest magnitude is positive."""
    value, vector = np.linalg.eigh(np.cov(rows.T, bias=True))
    value, vector = value[::-1], vector[:, ::-1]
    return value, vector * np.sign(vector[np.abs(vector).argmax(0), np.arange(len(value))])


def check_pca(start, random, rows, part):
    """The first layer of the start is that of random weights, projected onto as few principal directions of the rows as
    hold this part of the variance, and scaled."""
    value, vector = principal(rows)
    vector = vector[:, : int(np.argmax(np.cumsum(value) >= part * value.sum())) + 1]
    projected = vector @ (vector.T @ random["layer0.weight"])
    scale = (start["layer0.weight"] * projected).sum() / (projected**2).sum()
    off = far(start["layer0.weight"], scale * projected)
    assert off < 1e-4, f"pca is {off} off"
    out = rows @ start["layer0.weight"] + start["layer0.bias"]
    assert np.abs(out.mean(0)).max() < 1e-4, "the mean is not zero"
    wanted = value.sum() * (random["layer0.weight"] ** 2).mean()
    assert abs(out.var(0).mean() / wanted - 1) < 1e-4, f"variance {out.var(0).mean()}, not {wanted}"


def cut(path, ranks, weighted=True):
    """Logits of the test set by a model with its layers cut to these ranks (None: whole), weighted by what enters them; and
    the spectra of the layers, as parts of their sums."""
    t, x, spectra = tensors(path), None, []
    for i, rank in enumerate(ranks):
        w, b, entering = t[f"layer{i}.weight"], t[f"layer{i}.bias"], hidden(t, train_rows, i)
        x = hidden(t, test_rows, 0) if i == 0 else np.maximum(x, 0)
        root = w.T
        if weighted:
            value, vector = np.linalg.eigh(np.cov(entering.T, bias=True))
            root = w.T @ (vector * np.sqrt(np.maximum(value, 0)))
        u, s, _ = np.linalg.svd(root, full_matrices=False)
        spectra.append(s**2 / (s**2).sum())
        if rank:
            low = w @ u[:, :rank] @ u[:, :rank].T
            b = b + entering.mean(0) @ (w - low) if weighted else b
            w = low
        x = x @ w + b
    return x, spectra


def cka(x, y):
    """By the definition with kernels: K = X Xᵀ, centred, ⟨K, L⟩ / (‖K‖ ‖L‖)."""
    k, l = ((r - r.mean(0)) @ (r - r.mean(0)).T for r in (x, y))
    return (k * l).sum() / np.linalg.norm(k) / np.linalg.norm(l)
