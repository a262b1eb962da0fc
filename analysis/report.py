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
from pieces import disagreement, evaluation, missing, page, similarity, summary, training
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


def features_text(store):
    """HTML of the teacher's activations in the store; nothing where it holds none."""
    if not store.components:
        return ""
    numbers = {
        "components": (store.components, summary.grouped),
        "kept_variance": (float(store.attributes["features_kept_variance"]), summary.percent),
        "bytes": (store.sample_bytes["features"], summary.size),
        "logit_bytes": (store.sample_bytes["logits"], summary.size),
    }
    said = {name: summary.data(f"features_{name}", *number) for name, number in numbers.items()}
    views = f" in {store.views} views" if store.views > 1 else ""
    return (
        f"<p>The store also holds principal components of the teacher's layer"
        f" {page.code(store.attributes['features_layer'])}: with {said['components']} of them,"
        f" {said['kept_variance']} of its variance is kept, in {said['bytes']} a sample{views}, beside"
        f" {said['logit_bytes']} of logits.</p>"
    )


def section(heading, pictures, folder, text=""):
    """A part of the page, or none where there are no pictures. text: HTML above them."""
    return [(heading, text + page.figures(pictures, folder))] if pictures else []


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
    parts += section("Training", training.curves(run), folder)
    parts += section("Where the time went", training.times(run), folder)
    for heading, pictures in evaluation.pictures(run):
        parts += section(heading, pictures, folder)
    if run.similarity is not None and not similarity.doubt(run):
        found = run.similarity
        parts += section("How alike the layers are", [similarity.layers(found)], folder, similarity.sentences(found))
    if run.store:
        parts += section("The teacher's soft labels", soft_labels.pictures(run), folder, features_text(run.store))
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
