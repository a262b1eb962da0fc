#!/usr/bin/env python3
"""Writes the report of a run: RUN/report/index.html, one page that needs no network, and its pictures beside it.

Of several runs the first gets the page; the others are compared with it."""
import argparse
import os
import re

if __name__ == "__main__":
    from pieces import command

    command.need_packages()

import compare
import soft_labels
from pieces import disagreement, evaluation, missing, page, summary, training
from pieces.command import Unusable, run_main
from pieces.runs import Run


def disagreement_part(run, folder, test_set):
    """HTML of the samples on which the models disagree; None where eval.nc knows none."""
    result = run.evaluation
    if result is None or disagreement.measure(result) is None:
        return None
    data, why = run.find_test_set(test_set)
    found = disagreement.tiles(result, data, run.names(result.sizes.get("class", 0)), folder)
    if data is not None:
        data.close()
    if not found:
        return "<p>There is none: they give the same outputs for all test samples.</p>"
    measure, gap = "KL divergence from teacher to student, in nats", "KL"
    if disagreement.measure(result) == "sample_difference":
        measure, gap = "root mean squared difference of the outputs", "difference"
    text = f"<p>The {len(found)} test samples with the largest {measure}. Samples are counted from 0.</p>"
    if why:
        text += f'<p class="small">Their images are not shown: {page.words(why)}.</p>'
    return text + page.tiles(found, gap)


def parts_of(run, others, folder, test_set):
    """[(heading, HTML)] of the page. What is missing is left out, and said in the first part."""
    lacks = "".join(f"<li>{page.words(line)}</li>" for line in missing.lines(run))
    lacks = f'<ul class="missing" aria-label="what is missing">{lacks}</ul>' if lacks else ""
    parts = [("", summary.tables(summary.numbers(run)) + lacks)]
    rows = compare.table([run, *others]) if others else []
    if rows:
        note = '<p class="small">These runs were tested on different data.</p>' if compare.tests_differ(rows) else ""
        picture = page.figures([compare.pareto(rows)], folder)
        parts.append(("Beside other runs", note + picture + summary.models(rows)))
    sections = [("Training", training.curves(run)), ("Where the time went", training.times(run))]
    sections += evaluation.pictures(run)
    if run.store:
        sections.append(("The teacher's soft labels", soft_labels.pictures(run)))
    parts += [(heading, page.figures(pictures, folder)) for heading, pictures in sections if pictures]
    differing = disagreement_part(run, folder, test_set)
    if differing:
        parts.append(("Where they disagree most", differing))
    again = summary.repeat(run)
    if again:
        parts.append(("To make it again", again))
    return parts


def write(folder, others=(), test_set=None):
    """Write the report of the run in folder. others: run directories to compare with. Returns the path of the page."""
    run, others = Run(folder), [Run(other) for other in others]
    into = os.path.join(folder, "report")
    try:
        os.makedirs(into, exist_ok=True)
        for name in os.listdir(into):
            if re.fullmatch(r"sample-\d+\.png", name):  # of an earlier report; other pictures are written again
                os.remove(os.path.join(into, name))
    except OSError as error:
        raise Unusable(f"{into}: cannot be written: {error.strerror or error}")
    path = os.path.join(into, "index.html")
    page.write(path, run.name, summary.lead(summary.numbers(run)), parts_of(run, others, into, test_set), run.version())
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n")[-1])
    parser.add_argument("run", nargs="+", help="run directory")
    parser.add_argument(
        "--test", metavar="FILE", help="the test set, where it is not where the run says; its images are shown"
    )
    words = parser.parse_args()
    print(write(words.run[0], words.run[1:], words.test))


if __name__ == "__main__":
    run_main(main)
