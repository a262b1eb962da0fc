"""The figures of a run: in a sentence, in tables, beside those of other runs; and what makes the run repeatable."""
import numpy as np

from . import page
from .runs import ROLES


def percent(value, digits=2):
    return f"{100 * value:.{digits}f} %"


def grouped(value):
    """1234567 as 1 234 567, with narrow blanks that do not break."""
    return f"{value:,.0f}".replace(",", "\u202f")


def size(value):
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:.0f} B"


def duration(seconds):
    if seconds < 60:
        return f"{seconds:.3g} s"
    hours, rest = divmod(int(round(seconds)), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"


def data(name, value, write):
    """A figure of the page: the text that people read, with the value that it was made from; nothing where there is none."""
    if value is None or not np.isfinite(value):
        return ""
    return f'<data id="{page.escape(name)}" value="{value!r}">{page.escape(write(value))}</data>'


def numbers(run):
    """The figures of a run, {name: value}: the scalars of eval.nc, and what follows from them and from the histories."""
    found = {}
    if run.evaluation is not None:
        found = {name: float(v) for name, v in run.evaluation.data_vars.items() if v.ndim == 0}
    get = found.get
    if get("student_parameters") and get("teacher_parameters"):
        found["times_smaller"] = get("teacher_parameters") / get("student_parameters")
    if get("teacher_accuracy") and get("student_accuracy") is not None:
        found["accuracy_kept"] = get("student_accuracy") / get("teacher_accuracy")
    for role, history in run.history.items():
        if history is None:
            continue
        found[f"{role}_epochs"] = float(history.sizes["epoch"])
        for name, column, reduce in (
            ("seconds", "seconds", np.nansum),
            ("throughput", "samples_per_second", np.nanmedian),
            ("best_holdout_accuracy", "holdout_accuracy", np.nanmax),
            ("last_train_loss", "train_loss", lambda v: v[-1]),
        ):
            if column in history and np.isfinite(history[column]).any():
                found[f"{role}_{name}"] = float(reduce(history[column].values))
    return found


# Rows of the summary: what stands in the name after ROLE_, its title, how it is written.
ROWS = [
    ("parameters", "parameters", grouped),
    ("bytes", "size of the weights", size),
    ("accuracy", "test accuracy", percent),
    ("accuracy_corrected", "… with corrected biases", percent),
    ("rmse", "root mean squared error, test", lambda v: f"{v:.5g}"),
    ("cross_entropy", "cross-entropy, test (nats)", lambda v: f"{v:.4f}"),
    ("ece", "expected calibration error", percent),
    ("best_holdout_accuracy", "best held-out accuracy", percent),
    ("last_train_loss", "training loss, last epoch", lambda v: f"{v:.4g}"),
    ("epochs", "epochs", grouped),
    ("seconds", "time of training steps", duration),
    ("throughput", "samples per second, median", grouped),
]
BOTH = [
    ("samples", "test samples", grouped),
    ("accuracy_kept", "share of the teacher's accuracy that is kept", percent),
    ("times_smaller", "parameters of the teacher for one of the student", lambda v: f"{v:.3g}"),
    ("agreement", "test samples on which both give the same class", percent),
    ("kl_divergence", "KL divergence, teacher to student (nats)", lambda v: f"{v:.5f}"),
    ("difference", "root mean squared difference of their outputs", lambda v: f"{v:.5g}"),
    ("bias", "added to the student's logits of named classes", lambda v: f"{v:+g}"),
]


def lead(found):
    """The result in a sentence or two."""
    said = []
    if "times_smaller" in found:
        times = found["times_smaller"]
        size = f"{times:.3g} times fewer parameters than" if times >= 1 else f"{1 / times:.3g} times the parameters of"
        if round(times, 2) == 1:
            size = "as many parameters as"
        kept = f" and keeps {percent(found['accuracy_kept'])} of its accuracy" if "accuracy_kept" in found else ""
        said.append(f"The student has {size} its teacher{kept}.")
    if "agreement" in found:
        said.append(f"They agree on {percent(found['agreement'])} of {grouped(found['samples'])} test samples.")
    if "difference" in found:
        said.append(
            f"The root mean squared error is {found['teacher_rmse']:.4g} for the teacher"
            f" and {found['student_rmse']:.4g} for the student."
        )
    return " ".join(said) or "This run has no comparison of teacher and student yet."


def tables(found):
    roles = [role for role in ROLES if any(name.startswith(role + "_") for name in found)]
    rows = []
    for what, title, write in ROWS:
        cells = [data(f"{role}_{what}", found.get(f"{role}_{what}"), write) for role in roles]
        if any(cells):
            rows.append([title, *cells])
    text = page.table("each model", ["", *((role, role) for role in roles)], rows)
    rows = [[title, data(what, found.get(what), write)] for what, title, write in BOTH]
    rows = [row for row in rows if row[1]]
    text += page.table("both models together", None, rows) if rows else ""
    return f'<div class="summary">{text}</div>' if roles else ""


def models(rows):
    """The table of several runs. rows: of compare.table."""
    quality = ("accuracy", percent) if rows[0]["measure"] == "accuracy" else ("RMSE", lambda v: f"{v:.5g}")
    columns = [
        ("parameters", "parameters", grouped),
        ("bytes", "weights", size),
        ("quality", *quality),
        ("kept", "kept", percent),
        ("agreement", "agreement", percent),
        ("kl_divergence", "KL (nats)", lambda v: f"{v:.5f}"),
        ("ece", "ECE", percent),
    ]
    columns = [c for c in columns if any(np.isfinite(row[c[0]]) for row in rows)]
    lines = []
    for i, row in enumerate(rows):
        cells = [data(f"model-{i}-{key}", row[key], write) for key, _, write in columns]
        lines.append([page.escape(row["run"]), row["role"], *cells, "yes" if row["front"] else ""])
    return page.table(
        "models of all runs", ["run", "model", *(title for _, title, _ in columns), "on the front"], lines
    )


def repeat(run):
    """What makes the run repeatable: commands, options, hashes."""
    histories = [(f"{role}-history.nc", h.attrs) for role, h in run.history.items() if h is not None]
    made = [
        [name, page.code(said["history"]), page.escape(said.get("parallel", ""))]
        for name, said in histories
        if "history" in said
    ]
    text = page.table("commands", ["file", "made at (UTC), by", "on"], made, "words") if made else ""
    hashes = [[page.escape(what), page.code(value)] for what, value in run.hashes()]
    text += page.table("hashes", ["input or output", "SHA-256"], hashes, "words") if hashes else ""
    options = "".join(
        f"<div><dt>{page.escape(name)}</dt><dd>{page.escape(value) or '–'}</dd></div>"
        for name, value in run.options().items()
    )
    return text + (
        f'<p>All options that determine the outputs:</p><dl class="options">{options}</dl>' if options else ""
    )
