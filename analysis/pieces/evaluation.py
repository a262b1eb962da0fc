"""Pictures of eval.nc: what the models confuse, how far their confidence can be trusted, how large errors are."""
import matplotlib
import numpy as np

from . import draw
from .draw import COLOUR, MUTED, Picture
from .runs import ROLES

PAIRS = 8  # rows in a table of confused pairs


def roles_of(result):
    return [role for role in ROLES if f"{role}_parameters" in result]


def side(count):
    """Inches of a square matrix of so many classes."""
    return draw.WIDTH if count <= 14 else min(draw.WIDTH + 0.09 * (count - 14), 7.5)


def colour_bar(figure, axes, image, label, integer=True):
    bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02, label=label)
    bar.outline.set_visible(False)
    bar.locator = matplotlib.ticker.MaxNLocator(nbins=6, integer=integer)
    bar.update_ticks()


@draw.styled
def confusion(result, role, names):
    """Errors by label and prediction. The diagonal is what is right: it is written, but has no colour."""
    counts = result[f"{role}_confusion"].values
    errors = counts.astype(float)
    errors[(counts == 0) | np.eye(len(counts), dtype=bool)] = np.nan
    figure, axes = draw.panel(side(len(counts)), 0.9 * side(len(counts)))
    image = draw.heat(
        axes,
        errors,
        names,
        draw.shades(role),
        high=max(1, np.nanmax(errors, initial=0)),
        write=lambda row, column: str(counts[row, column]) if counts[row, column] else "",
    )
    colour_bar(figure, axes, image, "samples that are wrong")
    axes.set_xlabel(f"class that the {role} gives")
    axes.set_ylabel("class of the label")
    wrong, total = int(np.nansum(errors)), int(counts.sum())
    worst = worst_pairs(counts, names, 1)
    most = f" Most often {worst[0][0]} is taken for {worst[0][1]}, {worst[0][2]} times." if worst else ""
    return Picture(
        f"{role}-confusion",
        figure,
        f"Confusion of the {role}",
        f"Matrix of {len(names)} by {len(names)} classes: the {role} is wrong on {wrong} of {total} samples.{most}",
        "Colours are for errors only: the grey diagonal is what is right.",
    )


def worst_pairs(counts, names, most):
    """[(label, prediction, samples)] of the most frequent errors."""
    errors = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    order = np.argsort(-errors, axis=None, kind="stable")[:most]
    places = [np.unravel_index(i, errors.shape) for i in order]
    return [(names[r], names[c], int(errors[r, c])) for r, c in places if errors[r, c] > 0]


@draw.styled
def difference(result, names):
    """Where student and teacher differ: their confusion matrices, one less the other."""
    change = (result.student_confusion - result.teacher_confusion).values
    far = max(1, np.abs(change).max())
    figure, axes = draw.panel(side(len(change)), 0.9 * side(len(change)))
    image = draw.heat(
        axes,
        np.where(change == 0, np.nan, change),
        names,
        "PuOr",
        low=-far,
        high=far,
        write=lambda row, column: f"{change[row, column]:+d}".replace("-", "\u2212") if change[row, column] else "",
    )
    colour_bar(figure, axes, image, "samples, student less teacher")
    axes.set_xlabel("class that the model gives")
    axes.set_ylabel("class of the label")
    loss = np.diag(change)
    where = names[int(loss.argmin())]
    alt = f"Matrix of differences, from {change.min():+d} to {change.max():+d} samples. "
    alt += (
        f"The student loses most right answers in class {where}: {-loss.min()}."
        if loss.min() < 0
        else "The student loses no class."
    )
    return Picture(
        "confusion-difference",
        figure,
        "Where student and teacher differ",
        alt,
        "Student's counts less the teacher's. On the diagonal, less is worse; elsewhere, more is worse.",
    )


@draw.styled
def reliability(result):
    """Accuracy against confidence, by bin (Guo et al., arXiv 1706.04599)."""
    figure, axes = draw.panel(height=3.2)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":", label="calibrated")
    said, most = [], max(int(result[f"{role}_bin_count"].max()) for role in roles_of(result))
    for role in roles_of(result):
        confidence, accuracy = result[f"{role}_bin_confidence"].values, result[f"{role}_bin_accuracy"].values
        held = result[f"{role}_bin_count"].values > 0
        size = 8 + 60 * np.sqrt(result[f"{role}_bin_count"].values[held] / max(most, 1))
        axes.plot(
            confidence[held], accuracy[held], "-" if role == "teacher" else "--", color=COLOUR[role], linewidth=1.4
        )
        axes.scatter(
            confidence[held],
            accuracy[held],
            size,
            color=COLOUR[role],
            marker="o" if role == "teacher" else "s",
            label=role,
            zorder=3,
        )
        said.append(f"the {role}'s expected calibration error is {100 * float(result[f'{role}_ece']):.2f} %")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.02, 1.06)
    draw.percent(axes, "x")
    draw.percent(axes, "y")
    axes.set_xlabel("confidence: mean largest probability of the bin (%)")
    axes.set_ylabel("accuracy in the bin (%)")
    draw.legend(axes, ncols=3)
    return Picture(
        "reliability",
        figure,
        "Reliability",
        f"Line chart of accuracy against confidence; {' and '.join(said)}.",
        "Below the diagonal a model is surer than it is right. Larger marks stand for more samples.",
    )


@draw.styled
def bin_counts(result):
    figure, axes = draw.panel(height=3.2)
    edges = np.linspace(0, 1, result.sizes["bin"] + 1)
    said = []
    for role in roles_of(result):
        counts = result[f"{role}_bin_count"].values
        axes.stairs(
            np.where(counts > 0, counts, np.nan),
            edges,
            color=COLOUR[role],
            label=role,
            linewidth=1.8,
            linestyle="-" if role == "teacher" else "--",
            baseline=None,
        )
        axes.plot(
            (edges[:-1] + edges[1:]) / 2,
            np.where(counts > 0, counts, np.nan),
            "o" if role == "teacher" else "s",
            color=COLOUR[role],
        )
        said.append(f"{100 * counts[-1] / max(counts.sum(), 1):.1f} % of the {role}'s answers")
    axes.set_ylim(0.7, 1.6 * max(result[f"{role}_bin_count"].values.max() for role in roles_of(result)))
    axes.set_xlim(0, 1.02)
    draw.plain_log(axes, "y")
    draw.percent(axes, "x")
    axes.set_xlabel("confidence: largest probability (%)")
    axes.set_ylabel("samples in the bin")
    draw.legend(axes)
    return Picture(
        "confidence",
        figure,
        "How sure the models are",
        f"Counts of samples by confidence: {' and '.join(said)} lie in the surest of {len(edges) - 1} bins.",
    )


@draw.styled
def errors(result):
    """Regression: how large the errors of single samples are, and how far the student is from its teacher."""
    series = [(f"{role}_error", role, COLOUR[role], "-" if role == "teacher" else "--") for role in roles_of(result)]
    series.append(("sample_difference", "student to teacher", draw.OTHERS[0], ":"))
    series = [entry for entry in series if entry[0] in result and np.isfinite(result[entry[0]]).any()]
    if not series:
        return None
    figure, axes = draw.panel()
    top = max(float(np.nanmax(result[name])) for name, *_ in series) or 1.0
    for name, label, colour, dashes in series:
        counts, edges = np.histogram(result[name].values, bins=40, range=(0, top))
        axes.stairs(counts, edges, color=colour, linestyle=dashes, label=label, linewidth=1.8)
    axes.set_xlabel("root mean square over the targets (units of the target)")
    axes.set_ylabel("samples")
    axes.set_ylim(bottom=0)
    draw.whole(axes, "y")
    draw.legend(axes, ncols=3)
    said = [
        f"{label} at most {float(np.nanmax(result[name])):.4g}, median {float(np.nanmedian(result[name])):.4g}"
        for name, label, *_ in series
    ]
    return Picture("errors", figure, "Errors of single samples", f"Histogram of errors: {'; '.join(said)}.")


def pictures(run):
    """[(heading, pictures)] of a run's eval.nc."""
    result, confusions, trust = run.evaluation, [], []
    if result is None:
        return []
    for role in roles_of(result):
        if f"{role}_confusion" in result:
            confusions.append(confusion(result, role, run.names(result.sizes["class"])))
    if len(confusions) == 2:
        confusions.append(difference(result, run.names(result.sizes["class"])))
    if any(f"{role}_bin_count" in result for role in ROLES):
        trust = [reliability(result), bin_counts(result)]
    wrong = [errors(result)] if run.regression() else []
    return [
        (title, [p for p in found if p])
        for title, found in (
            ("What they confuse", confusions),
            ("How far their confidence can be trusted", trust),
            ("How large the errors are", wrong),
        )
        if any(found)
    ]
