"""Pictures of histories: accuracy, loss and learning rate over epochs, where the time went, and every column beyond."""
import numpy as np

from . import draw
from .draw import COLOUR, INK, MUTED, OTHERS, Picture
from .runs import ROLES

DRAWN = {
    "train_loss",
    "train_soft_loss",
    "train_hard_loss",
    "train_accuracy",
    "holdout_loss",
    "holdout_accuracy",
    "learning_rate",
    "seconds",
    "samples_per_second",
}
SECONDS = "_seconds"


def column(history, name):
    """The values of a column, or None where it is absent or says nothing."""
    if history is None or name not in history or np.isnan(history[name]).all():
        return None
    return history[name].values


def ends(history, name):
    values = column(history, name)
    return f"{values[0]:.4g} to {values[-1]:.4g}"


def line(axes, history, name, label, colour, dashes="-", marker=""):
    values = column(history, name)
    if values is None:
        return False
    epochs = history.epoch.values
    axes.plot(
        epochs,
        values,
        dashes,
        color=colour,
        label=label,
        marker=marker or ("o" if len(epochs) == 1 else ""),
        linewidth=1.8 if dashes == "-" else 1.3,
    )
    return True


def finish(axes, label):
    last = max(float(l.get_xdata()[-1]) for l in axes.lines) if axes.lines else None
    if last:
        axes.set_xlim(1 - max(0.3, 0.02 * last), last + max(0.3, 0.02 * last))
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    draw.whole(axes)
    draw.legend(axes)


@draw.styled
def accuracy(histories):
    """{role: history} → accuracy over epochs, or None for regression."""
    figure, axes = draw.panel()
    said = []
    for role, history in histories.items():
        held = line(axes, history, "holdout_accuracy", f"{role}, held out", COLOUR[role])
        line(axes, history, "train_accuracy", f"{role}, training", COLOUR[role], "--" if held else "-")
        name = "holdout_accuracy" if held else "train_accuracy"
        values = column(history, name)
        if values is not None:
            said.append(
                f"{'held-out' if held else 'training'} accuracy of the {role} goes from {100 * values[0]:.2f} % to "
                f"{100 * values[-1]:.2f} % in {len(values)} epochs"
            )
    if not said:
        return None
    draw.percent(axes)
    finish(axes, "accuracy (%)")
    return Picture(
        "accuracy",
        figure,
        "Accuracy",
        f"Line chart: {'; '.join(said)}.",
        "Training accuracy is taken while the model learns, with dropout and on augmented views, so it may lie below"
        " the held-out one.",
    )


@draw.styled
def loss(history, role):
    figure, axes = draw.panel()
    drawn = line(axes, history, "train_loss", "training", COLOUR[role])
    if drawn and role == "student":
        line(axes, history, "train_soft_loss", "soft term", OTHERS[0], "--")
        line(axes, history, "train_hard_loss", "hard term", OTHERS[1], "-.")
    line(axes, history, "holdout_loss", "held out", INK, ":")
    if not drawn:
        return None
    values = np.concatenate([l.get_ydata() for l in axes.lines])
    if np.nanmin(values) > 0 and np.nanmax(values) / np.nanmin(values) > 8:
        draw.plain_log(axes, "y")
    finish(axes, "loss (1)")
    first, last = column(history, "train_loss")[[0, -1]]
    caption = (
        "The objective: soft and hard terms, each before it is weighed."
        if role == "student"
        else "Mean over the samples of an epoch."
    )
    return Picture(
        f"{role}-loss",
        figure,
        f"Loss of the {role}",
        f"Line chart: the {role}'s training loss goes from {first:.4g} to {last:.4g} in {len(history.epoch)} epochs.",
        caption,
    )


@draw.styled
def learning_rate(histories):
    figure, axes = draw.panel(height=2.5)
    drawn = [
        role
        for role, history in histories.items()
        if line(axes, history, "learning_rate", role, COLOUR[role], "-" if role == "teacher" else "--")
    ]
    if not drawn:
        return None
    finish(axes, "learning rate (1)")
    said = [f"of the {role} from {ends(histories[role], 'learning_rate')}" for role in drawn]
    return Picture(
        "learning-rate",
        figure,
        "Learning rate",
        f"Line chart: learning rate at the end of each epoch, {'; '.join(said)}.",
    )


def time_parts(history):
    """Columns of seconds that add up to an epoch, [(name, values)], and those that run beside them. Where a part is
    also told as exposed, only that much of it takes time of its own: the rest runs behind other work."""
    names = [n for n in history.data_vars if n.endswith(SECONDS) and column(history, n) is not None]
    exposed = {n: n.replace("exposed_", "").replace("_exposed", "") for n in names if "exposed" in n}
    beside = [n for n in names if n in exposed.values()]
    return [(n, column(history, n)) for n in names if n not in beside], [(n, column(history, n)) for n in beside]


def part_name(name):
    return name[: -len(SECONDS)].replace("_", " ")


@draw.styled
def time(history, role):
    """Where the time of each epoch went."""
    parts, beside = time_parts(history) if history is not None else ([], [])
    total = column(history, "seconds")
    if not parts or total is None:
        return None
    figure, axes = draw.panel()
    epochs, base = history.epoch.values, np.zeros(len(total))
    unit, scale = ("s", 1) if np.nanmax(total) >= 0.2 else ("ms", 1000)
    # As steps: an epoch is a column, also where there is only one.
    edges = np.append(epochs - 0.5, epochs[-1] + 0.5)
    colours = [OTHERS[3], OTHERS[2], OTHERS[0], OTHERS[1], *COLOUR.values()]
    for i, (name, values) in enumerate(parts):
        top = base + scale * np.nan_to_num(values)
        colour = colours[i % len(colours)]
        axes.stairs(top, edges, baseline=base, fill=True, color=colour, label=part_name(name), linewidth=0)
        base = top
    axes.stairs(scale * total, edges, baseline=None, color=INK, linewidth=1.2, label="whole epoch")
    for name, values in beside:
        label = f"{part_name(name)}, with what is hidden"
        axes.stairs(scale * values, edges, baseline=None, color=MUTED, linewidth=1.2, linestyle="--", label=label)
    highest = max(np.nanmax(values) for values in (base, scale * total, *(scale * v for _, v in beside)))
    axes.set_ylim(0, 1.05 * highest)
    finish(axes, f"time of an epoch ({unit})")
    axes.set_xlim(edges[0], edges[-1])
    spent = ", ".join(f"{part_name(n)} {100 * np.nansum(v) / np.nansum(total):.1f} %" for n, v in parts)
    return Picture(
        f"{role}-time",
        figure,
        f"Time of the {role}",
        f"Stacked columns by epoch: of {np.nansum(total):.1f} s of the {role}'s training steps, {spent}.",
        f"Means over ranks, {history.attrs.get('parallel', 'number of ranks unknown')}. What is missing to the line is"
        " waiting and the rest.",
    )


@draw.styled
def throughput(histories):
    figure, axes = draw.panel(height=2.5)
    drawn = [
        role
        for role, h in histories.items()
        if line(axes, h, "samples_per_second", role, COLOUR[role], "-" if role == "teacher" else "--")
    ]
    if not drawn:
        return None
    values = np.concatenate([l.get_ydata() for l in axes.lines])
    axes.set_ylim(0.7 * np.nanmin(values), 1.4 * np.nanmax(values))
    draw.plain_log(axes, "y")
    finish(axes, "samples per second (1/s)")
    said = [
        f"{role} {draw.short(np.nanmedian(column(histories[role], 'samples_per_second')))} samples per second"
        for role in drawn
    ]
    return Picture("throughput", figure, "Throughput", f"Line chart over epochs; medians: {', '.join(said)}.")


@draw.styled
def other(histories, name):
    """A column that no other picture shows."""
    figure, axes = draw.panel(height=2.5)
    drawn = [
        role
        for role, h in histories.items()
        if line(axes, h, name, role, COLOUR[role], "-" if role == "teacher" else "--")
    ]
    if not drawn:
        return None
    attributes = histories[drawn[0]][name].attrs
    words = name.replace("_", " ")
    finish(axes, f"{words} ({attributes.get('units', '1')})")
    said = [f"of the {role} from {ends(histories[role], name)}" for role in drawn]
    return Picture(
        name.replace("_", "-"),
        figure,
        words.capitalize(),
        f"Line chart over epochs, {'; '.join(said)}.",
        str(attributes.get("long_name", "")),
    )


def other_names(histories):
    """Columns that no other picture shows; one that is the same throughout, such as no steps left out, tells nothing."""
    names = [
        n
        for h in histories.values()
        if h is not None
        for n in h.data_vars
        if h[n].dims == ("epoch",) and n not in DRAWN and not n.endswith(SECONDS) and not h[n].max() == h[n].min()
    ]
    return list(dict.fromkeys(names))


def curves(run):
    pictures = (
        [accuracy(run.history)] + [loss(run.history[role], role) for role in ROLES] + [learning_rate(run.history)]
    )
    return [p for p in pictures + [other(run.history, name) for name in other_names(run.history)] if p]


def times(run):
    return [p for p in [time(run.history[role], role) for role in ROLES] + [throughput(run.history)] if p]
