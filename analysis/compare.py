#!/usr/bin/env python3
"""Several runs beside each other: accuracy against parameters with its Pareto front, or their students' curves.

In a notebook:
    import compare
    table = compare.table(["runs/a", "runs/b"])      # a list of dicts, one a model
    compare.pareto(table).figure
"""
import argparse
import os

if __name__ == "__main__":
    from pieces import command

    command.need_packages()

import numpy as np

from pieces import draw
from pieces.command import Unusable, run_main
from pieces.draw import COLOUR, INK, MUTED, OTHERS, Picture
from pieces.evaluation import roles_of
from pieces.runs import Run

MARKERS = "osD^vP*X"


def names_of(runs):
    """Names that tell the runs apart: the last parts of their paths, as many as are needed."""
    parts = [os.path.abspath(run.folder).split(os.sep) for run in runs]
    for used in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-used:]) for p in parts]
        if len(set(names)) == len(names):
            break
    return names


def table(runs):
    """The models of all runs as a list of dicts: run, role, parameters, bytes, measure (accuracy, or rmse of a regression),
    quality (its value), kept, agreement, kl_divergence, ece, hash, test_set, front. A teacher that several runs share
    stands there once, with their number as `runs`. runs: Runs or their folders.
    """
    runs = [run if isinstance(run, Run) else Run(run) for run in runs]
    rows = []
    for name, run in zip(names_of(runs), runs):
        result = run.evaluation
        if result is None:
            continue
        measure = "rmse" if run.regression() else "accuracy"
        known = {variable: float(result[variable]) for variable in result.data_vars if result[variable].ndim == 0}
        for role in roles_of(result):
            if f"{role}_{measure}" not in known:
                continue
            row = {
                "run": name,
                "runs": 1,
                "role": role,
                "measure": measure,
                "quality": known[f"{role}_{measure}"],
                "hash": result.attrs[f"{role}_hash"],
                "test_set": result.attrs["dataset_hash"],
                **{what: known.get(f"{role}_{what}", np.nan) for what in ("parameters", "bytes", "ece")},
            }
            student = role == "student"
            row["kept"] = (
                row["quality"] / known["teacher_accuracy"] if student and known.get("teacher_accuracy") else np.nan
            )
            row |= {what: known.get(what, np.nan) if student else np.nan for what in ("agreement", "kl_divergence")}
            same = [r for r in rows if all(r[key] == row[key] for key in ("hash", "test_set", "role"))]
            if same and not student:
                same[0]["runs"] += 1
                same[0]["run"] = f"shared by {same[0]['runs']}"
            else:
                rows.append(row)
    if len({row["measure"] for row in rows}) > 1:
        raise Unusable("some of these runs are regressions and some are not: compare them apart")
    mark_front(rows)
    return rows


def mark_front(rows):
    """front: no other model is as small and better, or as good and smaller."""
    for row in rows:
        sign = -1 if row["measure"] == "rmse" else 1
        row["front"] = not any(
            other["parameters"] <= row["parameters"]
            and sign * other["quality"] >= sign * row["quality"]
            and (other["parameters"], other["quality"]) != (row["parameters"], row["quality"])
            for other in rows
        )


def tests_differ(rows):
    return len({row["test_set"] for row in rows}) > 1


@draw.styled
def pareto(rows):
    """Picture of quality against parameters. rows: from table."""
    if not rows:
        raise Unusable("none of these runs has an eval.nc: `retort eval` writes it")
    figure, axes = draw.panel(height=3.2)
    accuracy = rows[0]["measure"] == "accuracy"
    front = sorted((row for row in rows if row["front"]), key=lambda row: row["parameters"])
    axes.plot(
        [r["parameters"] for r in front],
        [r["quality"] for r in front],
        color=MUTED,
        linewidth=1,
        linestyle="--",
        label="Pareto front",
        drawstyle="steps-post",
    )
    for role, marker in ("teacher", "s"), ("student", "o"):
        chosen = [row for row in rows if row["role"] == role]
        if chosen:
            axes.plot(
                [r["parameters"] for r in chosen],
                [r["quality"] for r in chosen],
                marker,
                color=COLOUR[role],
                markersize=7,
                label=role,
            )
    spread(axes, rows)
    draw.plain_log(axes, "x")
    if accuracy:
        draw.percent(axes)
    axes.set_xlabel("parameters (1)")
    axes.set_ylabel("test accuracy (%)" if accuracy else "root mean squared error (units of the target)")
    label_points(axes, rows, front)
    draw.legend(axes, ncols=3)
    said = ", ".join(
        f"{r['role']} of {r['run'] if r['runs'] == 1 else 'these runs'}, {quality_text(r)} with {draw.short(r['parameters'])} parameters"
        for r in front
    )
    return Picture(
        "pareto",
        figure,
        "Accuracy against parameters" if accuracy else "Error against parameters",
        f"Points of {len(rows)} models. On the Pareto front: {said}.",
        "Up and left is better." if accuracy else "Down and left is better.",
    )


def spread(axes, rows):
    """Limits with room for the labels."""
    x, y = np.array([r["parameters"] for r in rows]), np.array([r["quality"] for r in rows])
    room = max(np.ptp(y), 0.002 * abs(y).max(), 1e-9)
    axes.set_ylim(y.min() - 0.18 * room, y.max() + 0.18 * room)
    wide = max((x.max() / x.min()) ** 0.22, 1.6)
    axes.set_xlim(x.min() / wide, x.max() * wide)


def label_points(axes, rows, front):
    """The run's name beside each model, on the side where it covers least. A teacher that runs share has none."""
    if len({row["run"] for row in rows}) < 2:
        return
    (left, right), (low, high) = np.log(axes.get_xlim()), axes.get_ylim()

    def place(row):  # in points; the axes are about so large
        return np.array(
            [250 * (np.log(row["parameters"]) - left) / (right - left), 175 * (row["quality"] - low) / (high - low)]
        )

    steps = [place(row) for row in front]
    corners = [np.array([after[0], before[1]]) for before, after in zip(steps, steps[1:])]
    taken = [np.concatenate([place(row) - 4, place(row) + 4]) for row in rows]
    for one, corner, other in zip(steps, corners, steps[1:]):
        taken += [np.concatenate([np.minimum(p, corner) - 1, np.maximum(p, corner) + 1]) for p in (one, other)]
    for row in sorted((row for row in rows if row["runs"] == 1), key=lambda row: row["parameters"]):
        name = draw.shorten(row["run"], 20)
        width, height, at = 5.2 * len(name), 10, place(row)
        sides = {
            (0, 7): ("center", "bottom"),
            (7, 0): ("left", "center"),
            (0, -7): ("center", "top"),
            (-7, 0): ("right", "center"),
        }
        boxes = {}
        for shift, (across, up) in sides.items():
            start = (
                at
                + shift
                - [
                    {"center": width / 2, "left": 0, "right": width}[across],
                    {"center": height / 2, "bottom": 0, "top": height}[up],
                ]
            )
            boxes[shift] = np.concatenate([start, start + [width, height]])
        best = min(
            boxes,
            key=lambda shift: sum(overlap(boxes[shift], other) for other in taken)
            + outside(boxes[shift], width * height),
        )
        taken.append(boxes[best])
        axes.annotate(
            name,
            (row["parameters"], row["quality"]),
            xytext=best,
            textcoords="offset points",
            ha=sides[best][0],
            va=sides[best][1],
            size=8.5,
            color=INK,
        )


def overlap(a, b):
    """Common area of two boxes [left, low, right, high]."""
    return np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))


def outside(box, area):
    """What of a label lies beyond the axes."""
    return 2 * (area - overlap(box, np.array([0, 0, 250, 175])))


def quality_text(row):
    return f"{100 * row['quality']:.2f} %" if row["measure"] == "accuracy" else f"{row['quality']:.5g}"


@draw.styled
def curves(runs, role="student", name=None):
    """Picture of one column of the histories of several runs. name: the column; without it held-out accuracy, else
    training loss."""
    runs = [run if isinstance(run, Run) else Run(run) for run in runs]
    known = [(label, run.history[role]) for label, run in zip(names_of(runs), runs) if run.history[role] is not None]
    usable = [
        n
        for n in ([name] if name else ["holdout_accuracy", "train_accuracy", "train_loss"])
        if any(n in h and not np.isnan(h[n]).all() for _, h in known)
    ]
    if not usable:
        have = sorted({n for _, h in known for n in h.data_vars})
        raise Unusable(
            f"no history of a {role} here has {name or 'a loss'}" + (f"; there are {', '.join(have)}" if have else "")
        )
    figure, axes = draw.panel(height=3.2)
    said = []
    for i, (label, history) in enumerate(known):
        if usable[0] not in history:
            continue
        values = history[usable[0]].values
        axes.plot(
            history.epoch.values,
            values,
            ("-", "--", "-.", ":")[i // 6 % 4],
            color=[*COLOUR.values(), *OTHERS][i % 6],
            marker=MARKERS[i % len(MARKERS)],
            markevery=max(1, len(values) // 8),
            label=label,
        )
        said.append(f"{label} ends at {values[-1]:.4g}")
    if usable[0].endswith("accuracy"):
        draw.percent(axes)
    unit = (
        "%"
        if usable[0].endswith("accuracy")
        else next(h[usable[0]].attrs.get("units", "1") for _, h in known if usable[0] in h)
    )
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"{usable[0].replace('_', ' ')} ({unit})")
    draw.whole(axes)
    draw.legend(axes)
    return Picture(
        "curves",
        figure,
        f"{usable[0].replace('_', ' ').capitalize()} of the {role}s",
        f"Line chart: {', '.join(said)}.",
    )


def print_table(rows):
    """For people."""
    wide = max(len(row["run"]) for row in rows)
    measure = rows[0]["measure"]
    print(f"{'run':{wide}}  model    parameters  {measure:>8}       kept  agreement  front")
    for row in rows:
        kept, agreement = (f"{100 * row[k]:.2f} %" if np.isfinite(row[k]) else "" for k in ("kept", "agreement"))
        words = f"{row['run']:{wide}}  {row['role']:7}  {row['parameters']:10.0f}  {quality_text(row):>8}"
        print(f"{words}  {kept:>9}  {agreement:>9}  {'*' if row['front'] else ''}".rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", nargs="+", help="run directory")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="picture to write: .png, .svg or .pdf")
    parser.add_argument("--draw", choices=("pareto", "curves"), default="pareto", help="which picture (pareto)")
    parser.add_argument("--role", choices=("student", "teacher"), default="student", help="whose curves (student)")
    parser.add_argument("--column", help="which column of the histories (held-out accuracy, or the loss)")
    words = parser.parse_args()
    runs = [Run(folder) for folder in words.run]
    if words.draw == "curves":
        picture = curves(runs, words.role, words.column)
    else:
        rows = table(runs)
        picture = pareto(rows)
        print_table(rows)
        if tests_differ(rows):
            print("note: these runs were tested on different data")
    draw.save(picture.figure, words.output)
    print(f"{words.output}: {picture.alt}")


if __name__ == "__main__":
    run_main(main)
