"""cka.nc: how alike the layers of teacher and student are, by linear centred kernel alignment (Kornblith et al., arXiv
1905.00414)."""
import matplotlib.patches
import numpy as np

from . import draw, page, summary
from .draw import COLOUR, Picture
from .evaluation import colour_bar
from .runs import ROLES

SAID = 6  # teacher layers of which the text says which student layer is most alike


def doubt(run):
    """Why the run's cka.nc is not shown, in words; None where it is."""
    if run.evaluation is None:
        return "is of models that are not known without eval.nc"
    known, said = run.evaluation.attrs, run.similarity.attrs
    if any(said.get(f"{role}_hash") != known.get(f"{role}_hash") for role in ROLES):
        return "belongs to other models than eval.nc"
    return None if said.get("dataset_hash") == known.get("dataset_hash") else "belongs to another test set than eval.nc"


def names_of(result, role):
    """Names of the layers' values, or their numbers where these are not known."""
    names, count = str(result[f"{role}_layer"].attrs.get("names", "")).split(), result.sizes[f"{role}_layer"]
    return names if len(names) == count else [f"layer {i + 1}" for i in range(count)]


def brief(names):
    """Names for an axis, different ones: where what is left of them is not, with their numbers. PyTorch's exporter puts
    _output_0 behind the name of the node."""
    found = [draw.shorten(name.removesuffix("_output_0"), 14) for name in names]
    numbered = [f"{i + 1} {draw.shorten(name, 12)}" for i, name in enumerate(found)]
    return [numbered[i] if found.count(name) > 1 else name for i, name in enumerate(found)]


def most_alike(result):
    """[(teacher layer, student layer, alignment)] as numbers from 0, for each teacher layer that has one."""
    values = result.cka.values
    known = [row for row in range(len(values)) if np.isfinite(values[row]).any()]
    return [(row, int(np.nanargmax(values[row])), float(np.nanmax(values[row]))) for row in known]


def ticks(axis, result, role, lines):
    """Names of layers with their widths, on one line or on two."""
    names, widths = brief(names_of(result, role)), result[f"{role}_width"].values
    between = "\n" if lines == 2 else " · "
    labels = [f"{name}{between}{width}" for name, width in zip(names, widths)]
    step = -(-len(labels) // 24)
    axis.set_ticks(np.arange(len(labels))[::step] + 0.5, labels[::step])
    if axis.axis_name == "x":
        axis.set_tick_params(rotation=0 if lines == 2 else 90)
    for label in axis.get_ticklabels():
        label.set_linespacing(1.3)


@draw.styled
def layers(result):
    """Picture of the alignment of all pairs of layers."""
    values = result.cka.values
    rows, columns = values.shape
    names = {role: names_of(result, role) for role in ROLES}
    longest = max(5, *map(len, brief(names["student"])))
    upright = columns * longest <= 36  # letters that stand side by side below the matrix
    width = draw.WIDTH if columns <= 7 else min(2.6 + 0.36 * columns, 7.5)
    figure, axes = draw.panel(width, min((1.1 if upright else 1.9) + max(0.42 * rows, 1.2), 8))
    image = draw.heat(
        axes,
        values,
        names["teacher"],
        draw.shades("other"),
        columns=names["student"],
        high=1,
        write=lambda row, column: f"{values[row, column]:.2f}" if np.isfinite(values[row, column]) else "–",
    )
    ticks(axes.yaxis, result, "teacher", 2 if rows <= 12 else 1)
    ticks(axes.xaxis, result, "student", 2 if upright else 1)
    best = most_alike(result)
    for row, column, _ in best:
        frame = (column + 0.03, row + 0.03), 0.94, 0.94
        axes.add_patch(matplotlib.patches.Rectangle(*frame, fill=False, edgecolor=COLOUR["student"], linewidth=2))
    colour_bar(figure, axes, image, "alignment", integer=False)
    axes.set_xlabel("student's layer, width")
    axes.set_ylabel("teacher's layer, width")
    said = ", ".join(f"{names['student'][u]} for {names['teacher'][t]} ({value:.2f})" for t, u, value in best)
    return Picture(
        "layer-similarity",
        figure,
        "Centred kernel alignment of layers",
        f"Matrix of {rows} layers of the teacher by {columns} of the student, from 0 to 1; the student layer most alike to"
        f" each teacher layer: {said or 'none'}.",
        "The frame marks the student layer that is most alike to each layer of the teacher."
        + (" Grey is a layer that gives the same for all samples." if np.isnan(values).any() else ""),
    )


def sentences(result):
    """HTML: what the figures mean, and which layers are most alike."""
    text = (
        "<p>Centred kernel alignment compares what two layers give for the test samples: 1 is the same up to rotation and"
        " scale, 0 is nothing in common."
    )
    best, names = most_alike(result), {role: names_of(result, role) for role in ROLES}
    if not best or len(best) > SAID:
        return text + "</p>"
    to = ["is most alike to the teacher's"] + ["to"] * len(best)
    pairs = [
        f"{page.code(names['student'][u])} ({summary.data(f'cka-{t + 1}', value, lambda v: f'{v:.3f}')})"
        f" {words} {page.code(names['teacher'][t])}"
        for words, (t, u, value) in zip(to, best)
    ]
    listed = " and ".join(part for part in (", ".join(pairs[:-1]), pairs[-1]) if part)
    return f"{text} Of the student's layers {listed}.</p>"
