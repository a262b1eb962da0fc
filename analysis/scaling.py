#!/usr/bin/env python3
"""How training scales: samples per second and parallel efficiency over ranks and threads, from histories of runs.

In a notebook:
    import scaling
    points = scaling.measure(["runs/n1", "runs/n2", "runs/n4"])      # a list of dicts
    scaling.throughput(points).figure
"""
import argparse
import re

if __name__ == "__main__":
    from pieces import command

    command.need_packages()

import numpy as np

from pieces import draw
from pieces.command import Unusable, run_main
from pieces.draw import COLOUR, MUTED, OTHERS, Picture
from pieces.runs import Run, record

SERIES = [COLOUR["teacher"], COLOUR["student"], *OTHERS]


def measure(runs, role="student"):
    """A dict a run: run, ranks, threads, workers (ranks times threads), throughput (samples/s, median over epochs but the
    first), slowest, fastest, job (the options that determine the result: only runs of the same job can be compared),
    efficiency (against the run of the same job with the fewest workers). runs: Runs or their folders."""
    points = []
    for run in runs:
        run = run if isinstance(run, Run) else Run(run)
        history = run.history[role]
        if history is None or "samples_per_second" not in history:
            raise Unusable(f"{run.folder}: no {role}-history.nc with a throughput; {run.command('run')} makes it")
        parallel = re.match(r"(\d+) ranks? of (\d+) threads?", str(history.attrs.get("parallel")))
        if not parallel:
            raise Unusable(
                f"{run.folder}: its {role}-history.nc does not say on how many ranks and threads it was made"
            )
        ranks, threads = map(int, parallel.groups())
        rates = history.samples_per_second.values
        rates = rates[1:] if len(rates) > 1 else rates  # the first epoch warms up
        points.append(
            {
                "run": run.name,
                "ranks": ranks,
                "threads": threads,
                "workers": ranks * threads,
                "throughput": float(np.median(rates)),
                "slowest": float(rates.min()),
                "fastest": float(rates.max()),
                "job": record(history),
            }
        )
    for point in points:
        least = min((p for p in points if p["job"] == point["job"]), key=lambda p: p["workers"])
        point["efficiency"] = (point["throughput"] / point["workers"]) / (least["throughput"] / least["workers"])
    return sorted(points, key=lambda p: p["workers"])


def jobs_of(points):
    """[(label, points)]: runs of the same job, named by the options in which the jobs differ."""
    jobs = []
    for point in points:
        if point["job"] not in jobs:
            jobs.append(point["job"])
    differ = sorted(
        {name for job in jobs for name in job if len({j.get(name) for j in jobs}) > 1} - {"teacher", "dataset", "start"}
    )
    labels = [
        ", ".join(f"{name} {job.get(name, 'absent')}" for name in differ[:2]) or f"job {i + 1}"
        for i, job in enumerate(jobs)
    ]
    return [
        (label if len(jobs) > 1 else "measured", [p for p in points if p["job"] == job])
        for label, job in zip(labels, jobs)
    ]


def prepare(axes, points):
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted({p["workers"] for p in points}), [str(w) for w in sorted({p["workers"] for p in points})])
    axes.minorticks_off()
    axes.set_xlabel("workers: ranks times threads (1)")
    least, most = points[0]["workers"], points[-1]["workers"]
    axes.set_xlim(least / 1.25, most * 1.25)


@draw.styled
def throughput(points):
    """Picture of samples per second. points: from measure."""
    figure, axes = draw.panel(height=3.2)
    for i, (label, chosen) in enumerate(jobs_of(points)):
        x, y = [p["workers"] for p in chosen], np.array([p["throughput"] for p in chosen])
        around = [y - [p["slowest"] for p in chosen], [p["fastest"] for p in chosen] - y]
        axes.errorbar(
            x, y, around, fmt="-" + "osD^vP"[i % 6], color=SERIES[i % 6], label=label, capsize=3, elinewidth=1
        )
        ideal = y[0] * np.array([x[0], points[-1]["workers"]]) / x[0]
        axes.plot(
            [x[0], points[-1]["workers"]], ideal, ":", color=MUTED, linewidth=1.2, label="ideal" if i == 0 else None
        )
    axes.margins(y=0.15)
    draw.plain_log(axes, "y")
    prepare(axes, points)
    axes.set_ylabel("samples per second (1/s)")
    draw.legend(axes)
    said = ", ".join(f"{p['workers']}: {draw.short(p['throughput'])}" for p in points)
    return Picture(
        "scaling",
        figure,
        "Throughput",
        f"Line chart of samples per second by workers: {said}.",
        "Medians over epochs but the first; bars reach from the slowest epoch to the fastest.",
    )


@draw.styled
def efficiency(points):
    """Picture of the throughput of each worker, against the run with the fewest. points: from measure."""
    figure, axes = draw.panel(height=2.9)
    axes.axhline(1, color=MUTED, linestyle=":", linewidth=1.2, label="ideal")
    for i, (label, chosen) in enumerate(jobs_of(points)):
        axes.plot(
            [p["workers"] for p in chosen],
            [p["efficiency"] for p in chosen],
            "-" + "osD^vP"[i % 6],
            color=SERIES[i % 6],
            label=label,
        )
    axes.set_ylim(0, 1.15 * max(1, *(p["efficiency"] for p in points)))
    draw.percent(axes)
    prepare(axes, points)
    axes.set_ylabel("parallel efficiency (%)")
    draw.legend(axes)
    said = ", ".join(f"{p['workers']}: {100 * p['efficiency']:.0f} %" for p in points)
    return Picture(
        "efficiency",
        figure,
        "Parallel efficiency",
        f"Line chart of efficiency by workers: {said}.",
        "Samples per second and worker, against the run of the same job with the fewest workers.",
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        epilog="Of a run that was stopped and went on, its last part says how many ranks there were.",
    )
    parser.add_argument("run", nargs="+", help="run directory")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="picture to write: .png, .svg or .pdf")
    parser.add_argument(
        "--draw", choices=("throughput", "efficiency"), default="throughput", help="which picture (throughput)"
    )
    parser.add_argument("--role", choices=("student", "teacher"), default="student", help="whose training (student)")
    words = parser.parse_args()
    points = measure(words.run, words.role)
    picture = {"throughput": throughput, "efficiency": efficiency}[words.draw](points)
    draw.save(picture.figure, words.output)
    wide = max(len(p["run"]) for p in points)
    print(f"{'run':{wide}}  ranks  threads  samples/s  efficiency")
    for p in points:
        print(
            f"{p['run']:{wide}}  {p['ranks']:5}  {p['threads']:7}  {p['throughput']:9.0f}  {100 * p['efficiency']:8.1f} %"
        )
    print(f"{words.output}: {picture.alt}")


if __name__ == "__main__":
    run_main(main)
