#!/usr/bin/env python3
"""How soft a teacher's labels are: their entropy, and the classes that the teacher finds similar.

In a notebook:
    import soft_labels
    summary = soft_labels.summarise("runs/mnist/labels", temperature=4)      # an xarray.Dataset
    soft_labels.entropy(summary).figure
"""
import argparse
import os

if __name__ == "__main__":
    from pieces import command

    command.need_packages()

import numpy as np
import xarray as xr

from pieces import draw
from pieces.command import Unusable, run_main
from pieces.draw import OTHERS, Picture
from pieces.evaluation import colour_bar, side
from pieces.runs import Run, Store

BINS = 60
MANY = 2000  # classes of which no matrix is made
NAMED = 60  # classes that a dendrogram names


def probabilities(logits, temperature):
    """Softmax of logits over the last axis, at a temperature. → [rows, class]"""
    scaled = np.asarray(logits, "f8") / temperature
    scaled -= scaled.max(-1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(-1, keepdims=True)
    return scaled


def entropy_of(p):
    """Entropy of each row, in nats."""
    return -(p * np.log(np.where(p > 0, p, 1))).sum(-1)


def summarise(store, temperature=1.0, names=None):
    """One walk over a store, block by block, at temperature 1 and at the given one. store: a Store or its folder.

    entropy_count(temperature, bin)   soft labels by entropy, in equal bins from 0 to log(classes)
    entropy_mean(temperature)         nats
    top_count(class)                  soft labels whose largest logit is that of the class
    similarity(class, other)          mean soft label, at the given temperature, where `class` has the largest logit
    distance(class, other)            of Hellinger, between these means: 0 for the same, 1 where nothing is shared
    """
    store = store if isinstance(store, Store) else Store(store)
    width, wanted = store.width, [1.0] if temperature == 1 else [1.0, float(temperature)]
    if width < 2:
        raise Unusable(f"{store.folder}: the labels are single numbers of a regression; they have no entropy")
    matrix = width <= MANY
    counts, sums, rows = np.zeros((len(wanted), BINS), "i8"), np.zeros(len(wanted)), 0
    top_count, total = np.zeros(width, "i8"), np.zeros((width, width)) if matrix else None
    for block in store.blocks():
        rows += len(block)
        top = block.argmax(1)
        top_count += np.bincount(top, minlength=width)
        for t, value in enumerate(wanted):
            p = probabilities(block, value)
            h = entropy_of(p)
            sums[t] += h.sum()
            counts[t] += np.histogram(h, bins=BINS, range=(0, np.log(width)))[0]
        if matrix:
            order = np.argsort(top, kind="stable")
            classes, first = np.unique(top[order], return_index=True)
            total[classes] += np.add.reduceat(p[order], first, axis=0)
    middle = (np.arange(BINS) + 0.5) * np.log(width) / BINS
    found = xr.Dataset(
        {
            "entropy_count": (("temperature", "bin"), counts, {"units": "1", "long_name": "soft labels in the bin"}),
            "entropy_mean": ("temperature", sums / rows, {"units": "1", "long_name": "mean entropy in nats"}),
            "top_count": (
                "class",
                top_count,
                {"units": "1", "long_name": "soft labels whose largest logit is the class's"},
            ),
        },
        {
            "temperature": ("temperature", wanted, {"units": "1"}),
            "bin": ("bin", middle, {"units": "1", "long_name": "entropy in nats"}),
            "class": ("class", names if names else [str(k) for k in range(width)]),
        },
        {"rows": rows, "views": store.views, "shards": len(store.shards), "expected": store.expected},
    )
    if matrix:
        with np.errstate(invalid="ignore"):
            mean = total / top_count[:, None]
        found["similarity"] = (
            ("class", "other"),
            mean,
            {"units": "1", "long_name": "mean soft label by the class of the largest logit"},
        )
        found["distance"] = (
            ("class", "other"),
            hellinger(mean),
            {"units": "1", "long_name": "Hellinger distance of mean soft labels"},
        )
    return found


def hellinger(mean):
    """Distance between distributions: sqrt(1 - sum sqrt(p q)). A class without samples is far from all."""
    root = np.sqrt(np.nan_to_num(mean))
    distance = np.sqrt(np.clip(1 - root @ root.T, 0, 1))
    np.fill_diagonal(distance, 0)
    return (distance + distance.T) / 2


def cluster(distance):
    """Average linkage (Sokal and Michener 1958): joins, in order, the two groups with the smallest mean distance.
    → [(group, group, distance)]; groups 0 … n - 1 are the classes, n, n + 1, … the joins. Of equals, the first."""
    n = len(distance)
    apart = np.array(distance, "f8")
    np.fill_diagonal(apart, np.inf)
    size, name, joins = np.ones(n), np.arange(n), []
    for step in range(n - 1):
        a, b = sorted(np.unravel_index(apart.argmin(), apart.shape))
        joins.append((int(name[a]), int(name[b]), float(apart[a, b])))
        merged = (size[a] * apart[a] + size[b] * apart[b]) / (size[a] + size[b])
        apart[a], apart[:, a] = merged, merged
        apart[a, a] = apart[b] = apart[:, b] = np.inf
        size[a] += size[b]
        name[a] = n + step
    return joins


def leaves(joins, n):
    """The classes in the order in which a dendrogram draws them."""
    if not joins:
        return list(range(n))
    order, todo = [], [n + len(joins) - 1]
    while todo:
        group = todo.pop()
        if group < n:
            order.append(group)
        else:
            todo += [joins[group - n][1], joins[group - n][0]]
    return order


@draw.styled
def entropy(summary):
    """Picture of the entropy of the soft labels."""
    figure, axes = draw.panel()
    width = summary.sizes["class"]
    edges = np.linspace(0, np.log(width), BINS + 1)
    for t, value in enumerate(summary.temperature.values):
        share = summary.entropy_count.values[t] / summary.attrs["rows"]
        axes.stairs(
            share,
            edges,
            color=(OTHERS[1], OTHERS[0])[t],
            fill=False,
            linewidth=1.8,
            linestyle=("--", "-")[t],
            label=f"temperature {value:g}",
        )
    axes.axvline(np.log(width), color=draw.MUTED, linewidth=1, linestyle=":", label=f"all {width} classes alike")
    axes.set_xlabel("entropy of a soft label (nats)")
    axes.set_ylabel("share of soft labels (%)")
    axes.set_ylim(0.7 / summary.attrs["rows"], 1.5)
    draw.plain_log(axes, "y")
    draw.percent(axes)
    draw.legend(axes)
    said = [
        f"{float(m):.3f} nats at temperature {t:g}"
        for t, m in zip(summary.temperature.values, summary.entropy_mean.values)
    ]
    views = f", {summary.attrs['views']} views of a sample" if summary.attrs["views"] > 1 else ""
    return Picture(
        "soft-label-entropy",
        figure,
        "Entropy of the soft labels",
        f"Histogram of {summary.attrs['rows']} soft labels; the mean entropy is {' and '.join(said)},"
        f" of at most {np.log(width):.3f}.",
        f"{summary.attrs['rows']} soft labels{views}. The vertical scale is logarithmic.",
    )


@draw.styled
def similarity(summary):
    """Picture of the mean soft label of each class, in the order of the dendrogram."""
    order = leaves(cluster(summary.distance.values), summary.sizes["class"])
    mean = summary.similarity.values[np.ix_(order, order)]
    names = [str(summary["class"].values[k]) for k in order]
    others = np.array(mean)
    np.fill_diagonal(others, np.nan)
    figure, axes = draw.panel(side(len(names)), 0.9 * side(len(names)))
    image = draw.heat(
        axes,
        100 * others,
        names,
        draw.shades("other"),
        write=lambda row, column: f"{100 * mean[row, column]:.1f}"
        if np.isfinite(mean[row, column]) and mean[row, column] >= 5e-4
        else "",
    )
    colour_bar(figure, axes, image, "mean probability (%)", integer=False)
    axes.set_xlabel("class of the probability")
    axes.set_ylabel("class that the teacher gives")
    pairs, temperature = similar_pairs(summary, 3), summary.temperature.values[-1]
    alt = ", ".join(f"{b} for {a} ({100 * p:.1f} %)" for a, b, p in pairs)
    return Picture(
        "class-similarity",
        figure,
        "What else the teacher sees",
        f"Matrix of mean soft labels of {len(names)} classes at temperature {temperature:g}; the largest beside the"
        f" diagonal: {alt}.",
        f"Mean soft label at temperature {temperature:g}, in %, by the class that the teacher gives. "
        "The grey diagonal is the class itself"
        + (", and grey rows are classes that it never gives." if np.isnan(mean).any() else "."),
    )


def similar_pairs(summary, most):
    """[(class that the teacher gives, another, its mean probability)], the largest first."""
    mean = np.nan_to_num(summary.similarity.values.copy())
    np.fill_diagonal(mean, 0)
    names = summary["class"].values
    places = [np.unravel_index(i, mean.shape) for i in np.argsort(-mean, axis=None, kind="stable")[:most]]
    return [(str(names[a]), str(names[b]), float(mean[a, b])) for a, b in places if mean[a, b] > 0]


@draw.styled
def dendrogram(summary):
    """Picture of which classes join, and at what distance."""
    joins, n = cluster(summary.distance.values), summary.sizes["class"]
    order = leaves(joins, n)
    named = n <= NAMED
    figure, axes = draw.panel(height=max(2.5, 0.19 * n + 0.8) if named else 5)
    place = {k: (0.0, float(y)) for y, k in enumerate(order)}
    for step, (a, b, distance) in enumerate(joins):
        (xa, ya), (xb, yb) = place[a], place[b]
        axes.plot(
            [xa, distance, distance, xb],
            [ya, ya, yb, yb],
            color=OTHERS[0],
            linewidth=1.5 if named else 0.8,
            solid_joinstyle="miter",
        )
        place[n + step] = distance, (ya + yb) / 2
    axes.set_ylim(n - 0.4, -0.6)
    axes.set_xlim(0, 1.05 * max([d for *_, d in joins] or [1]))
    names = [str(summary["class"].values[k]) for k in order]
    axes.set_yticks(range(n) if named else [], [draw.shorten(name, 20) for name in names] if named else [])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("Hellinger distance (1)")
    axes.set_ylabel("class" if named else f"{n} classes")
    first = [(a, b) for a, b, _ in joins if a < n and b < n][:3]
    said = ", ".join(f"{summary['class'].values[a]} with {summary['class'].values[b]}" for a, b in first)
    return Picture(
        "class-dendrogram",
        figure,
        "Classes that the teacher finds similar",
        f"Dendrogram of {n} classes. Classes that join first: {said}.",
        f"Hellinger distance of mean soft labels at temperature {summary.temperature.values[-1]:g}, average linkage: what"
        " joins further left is more similar.",
    )


@draw.styled
def outputs(store):
    """Picture of a regression's soft labels: the teacher's outputs. Two walks: for the range, and for the counts."""
    low, high = np.full(store.width, np.inf), np.full(store.width, -np.inf)
    for block in store.blocks():
        low, high = np.minimum(low, block.min(0)), np.maximum(high, block.max(0))
    shown = min(store.width, len(OTHERS))
    edges = np.linspace(low[:shown].min(), max(high[:shown].max(), low[:shown].min() + 1e-6), 61)
    counts = np.zeros((shown, 60), "i8")
    for block in store.blocks():
        for k in range(shown):
            counts[k] += np.histogram(block[:, k], edges)[0]
    figure, axes = draw.panel()
    for k in range(shown):
        axes.stairs(
            counts[k], edges, color=OTHERS[k], linestyle=("-", "--", "-.", ":")[k], linewidth=1.8, label=f"output {k}"
        )
    axes.set_xlabel("output of the teacher (units of the target)")
    axes.set_ylabel("soft labels in the bin")
    axes.set_ylim(bottom=0)
    draw.legend(axes, ncols=4)
    said = ", ".join(f"output {k} from {low[k]:.4g} to {high[k]:.4g}" for k in range(shown))
    return Picture(
        "soft-labels",
        figure,
        "Soft labels",
        f"Histogram of the teacher's outputs: {said}.",
        "" if shown == store.width else f"The first {shown} of {store.width} outputs.",
    )


def pictures(run, temperature=None):
    """All pictures of a run's soft labels. temperature: instead of the one that the student learned at."""
    if run.regression() or run.store.width < 2:
        return [outputs(run.store)]
    summary = summarise(run.store, temperature or run.temperature(), run.names(run.store.width))
    return [entropy(summary)] + ([similarity(summary), dendrogram(summary)] if "similarity" in summary else [])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], epilog="Reads shard by shard: a store may be larger than memory."
    )
    parser.add_argument("run", help="run directory, or a folder of shards")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="picture to write: .png, .svg or .pdf")
    parser.add_argument(
        "--draw",
        choices=("entropy", "similarity", "dendrogram", "outputs"),
        default="entropy",
        help="which picture (entropy); outputs is for regression",
    )
    parser.add_argument(
        "--temperature", type=float, help="of the soft labels; without it the one that the student learned at, else 1"
    )
    words = parser.parse_args()
    if words.temperature is not None and not words.temperature > 0:
        parser.error("--temperature must be above 0")
    whole = not os.path.isdir(words.run) or not any(name.startswith("shard-") for name in os.listdir(words.run))
    run = Run(words.run) if whole else None
    store = run.store if run else Store(words.run)
    if store is None:
        raise Unusable(f"{words.run}: there is no label store; {run.command('label')} makes it")
    if words.draw == "outputs":
        picture = outputs(store)
    elif run and run.regression():
        raise Unusable(f"{words.run}: a regression's labels have no {words.draw}; take --draw outputs")
    else:
        names = run.names(store.width) if run else None
        summary = summarise(store, words.temperature or (run.temperature() if run else 1.0), names)
        if words.draw != "entropy" and "similarity" not in summary:
            raise Unusable(f"{words.run}: {store.width} classes are too many for a matrix; at most {MANY}")
        picture = {"entropy": entropy, "similarity": similarity, "dendrogram": dendrogram}[words.draw](summary)
    draw.save(picture.figure, words.output)
    print(f"{words.output}: {picture.alt}")


if __name__ == "__main__":
    run_main(main)
