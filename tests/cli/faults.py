"""One rank fails, or dies, at each kind of place: all ranks end within ten seconds with one message, what was done stays
whole, and the run goes on to the same bytes.

Arguments: the program retort, an empty folder."""
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from support.cli import (MPIRUN, RANKS, RETORT, SLOW, environment, judge, main, nothing_half_written, outputs, own_lines, run,
                         same, small)

PLAIN = dict(teacher_epochs=2, distill_epochs=3, distill_batch=300, label_shard=200, checkpoint_steps=2, teacher_clip=1, run_seed=8)
JOBS = (PLAIN, dict(PLAIN, label_features=1, label_components=3, student_init="pca+ridge"),
        dict(PLAIN, student_init="svd", student_init_parameters=9000))
wanted = [{}, {}, {}]
reading = threading.Lock()  # NetCDF is not safe for threads


def test_undisturbed():
    for i, job in enumerate(JOBS):
        run("run", small(f"whole-{i}", **job))
        wanted[i].update(outputs(f"whole-{i}"))


def fault(case):
    """Returns whether the fault came, and what is wrong with the end."""
    action, point, number, rank, ranks, job = case
    text = f"{action}:{point}:{number}:{rank}"
    folder = text.replace(":", "-") + f"-{job}"
    words = ["run"] + small(folder, **JOBS[job])
    begun = time.time()
    done = subprocess.run(MPIRUN + ["-n", str(ranks), RETORT] + words, capture_output=True, text=True, timeout=60 * SLOW,
                          env=environment(RETORT_FAULT=text))
    seconds = time.time() - begun
    if done.returncode == 0:
        same(folder, wanted[job], f"{text}, which never came")
        return False
    if action == "fail":
        judge(text, done, 1, f"RETORT_FAULT: failed at {point} {number}, as asked")
    elif action == "term":
        lines = [line for line in own_lines(done.stderr) if not line.startswith("retort: note: ")]
        assert done.returncode == 75 and not lines, f"{text}: exit {done.returncode}\n{done.stderr}"
    assert seconds < 10 * SLOW, f"{text}: the ranks took {seconds:.1f} s to end"
    if action != "kill":
        with reading:
            nothing_half_written(folder)
    run(words, ranks=(number + rank) % RANKS + 1)
    same(folder, wanted[job], text)
    with reading:
        nothing_half_written(folder)
    shutil.rmtree(folder)
    return True


def test_faults():
    """Every phase of a run: more and more passes, until the run ends before."""
    cases = []
    for point, numbers in (("send", (1, 2, 3, 4, 6, 9, 13, 19, 28, 41, 60, 90, 130)), ("write", (1, 2, 3, 5, 30, 60, 150, 400)),
                           ("open", (1, 2, 3, 4, 5, 7, 10, 14)), ("step", (1, 2, 4, 9, 16))):
        for i, number in enumerate(numbers):
            ranks = max(2, RANKS - i % 2)
            rank = 0 if point == "write" and i % 3 else i % ranks  # rank 0 writes most
            cases.append(("fail", point, number, rank, ranks, i % 3))
            if i % 3 == 1:
                cases.append(("kill", point, number, rank, ranks, i % 2))
    cases += [("fail", "send", number, 1, 2, 1 + number % 2) for number in range(10, 52, 3)]  # among them all of a start
    cases += [("term", "step", number, number % RANKS, RANKS, number % 3) for number in (1, 5, 8)]
    with ThreadPoolExecutor(4) as pool:
        came = list(pool.map(fault, cases))
    assert sum(came) > 0.7 * len(cases), f"only {sum(came)} of {len(cases)} faults came: {[c for c, y in zip(cases, came) if not y]}"


def test_words():
    for text in ("fail", "fail:step", "fail:step:0", "fall:step:1", "fail:stop:1", "fail:step:1:-1", "fail:step:1:0:0", "fail:step:x"):
        run("run", small("words", **PLAIN), code=2, says="RETORT_FAULT: '.*' is not", RETORT_FAULT=text)


if RANKS < 2:
    raise SystemExit(77)
main(test_undisturbed, test_faults, test_words)
