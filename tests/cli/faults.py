"""One rank fails, dies, is asked to stop or becomes slow at each kind of place: all ranks end within ten seconds with one
message, what was done stays whole, and the run goes on to the same bytes. A fault that never came is a failure.

Arguments: the program retort, an empty folder."""
import re
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from support.cli import (MPIRUN, RANKS, RETORT, SLOW, environment, fault_came, fault_log, judge, main, nothing_half_written,
                         outputs, own_lines, run, same, small)

PLAIN = dict(teacher_epochs=2, distill_epochs=3, distill_batch=300, label_shard=200, checkpoint_steps=2, teacher_clip=1, run_seed=8)
JOBS = (PLAIN, dict(PLAIN, label_features=1, label_components=3, student_init="pca+ridge"),
        dict(PLAIN, student_init="svd", student_init_parameters=9000))
# lanes meet, beside a teacher: where each of them ends is another place than in the jobs above
MEETING = len(JOBS)
JOBS += (dict(PLAIN, distill_teacher="here", distill_terms_rows_loss="rkd", distill_terms_hard_loss="ce", distill_batch=120),)
wanted = [{} for _ in JOBS]
passes = [{} for _ in JOBS]  # of a job on two ranks and on RANKS: {(ranks, point): how often rank 0 and the laziest pass it}
reading = threading.Lock()  # NetCDF is not safe for threads


def test_undisturbed():
    for i, job in enumerate(JOBS):
        run("run", small(f"whole-{i}", **job))
        wanted[i].update(outputs(f"whole-{i}"))
        for ranks in {max(2, RANKS - 1), RANKS, 2}:
            log = f"passes-{i}-{ranks}"
            run("run", small(f"counted-{i}-{ranks}", **job), ranks=ranks, RETORT_FAULT_LOG=log)
            same(f"counted-{i}-{ranks}", wanted[i], f"job {i} on {ranks} ranks")
            for what, (_, point, number, rank) in fault_log(log):
                assert what == "passed", f"{log}: {what} where no fault was asked for"
                first, least = passes[i].get((ranks, point), (0, 1 << 40))
                passes[i][ranks, point] = max(first, int(number)) if rank == "0" else first, min(least, int(number))


def sure(job, ranks, point, rank):
    """How often a rank surely passes such a point: shards of labels go to whoever is free."""
    first, least = passes[job][ranks, point]
    return int(0.75 * (first if rank == 0 and point == "write" else least))


def attempt(case, text, folder, log):
    """Returns whether the fault came; its end must be as it should be."""
    action, point, number, _, ranks, job = case
    begun = time.time()
    done = subprocess.run(MPIRUN + ["-n", str(ranks), RETORT, "run"] + small(folder, **JOBS[job]), capture_output=True, text=True,
                          timeout=60 * SLOW, env=environment(RETORT_FAULT=text, RETORT_FAULT_LOG=log))
    seconds = time.time() - begun
    came = fault_came(text, log)
    lines = [line for line in own_lines(done.stderr) if not line.startswith("retort: note: ")]
    if done.returncode == 0:
        assert not came or action in ("term", "slow"), f"{text} came, and the run ended well"
        assert (action, point) != ("term", "step") or not came, f"{text} came, and the run did not stop"
        same(folder, wanted[job], text)
    elif action == "fail":
        judge(text, done, 1, f"RETORT_FAULT: failed at {point} {number}, as asked")
    elif action == "term":
        assert done.returncode == 75 and not lines, f"{text}: exit {done.returncode}\n{done.stderr}"
    else:
        assert action == "kill", f"{text}: exit {done.returncode}\n{done.stderr}"
    assert action == "slow" or seconds < 10 * SLOW, f"{text}: the ranks took {seconds:.1f} s to end"
    return came


def fault(case):
    action, point, number, rank, ranks, job = case
    text = f"{action}:{point}:{number}:{rank}"
    folder = text.replace(":", "-") + f"-{job}-{ranks}"
    for again in range(4):  # a rank that comes late has no shard to write
        log = f"{folder}-{again}.log"
        if attempt(case, text, folder, log):
            break
        assert point == "write" and rank > 0, f"{text} in job {job} on {ranks} ranks never came"
        shutil.rmtree(folder)
    else:
        raise AssertionError(f"{text} in job {job} on {ranks} ranks never came, four times")
    if action != "kill":
        with reading:
            nothing_half_written(folder)
    run("run", small(folder, **JOBS[job]), ranks=(number + rank) % RANKS + 1)
    same(folder, wanted[job], text)
    with reading:
        nothing_half_written(folder)
    shutil.rmtree(folder)
    return action, point


def kinds():
    """The tables of fault.c, as the program says them: actions, points."""
    said = run("run", small("words", **PLAIN), code=2, RETORT_FAULT="?", RETORT_FAULT_LOG="none").stderr
    return [part.split("|") for part in re.search(r"is not (\S+) : (\S+) : NUMBER", said).groups()]


def test_faults():
    """Every phase of a run: more and more passes, nearly to the end of the run."""
    cases = []
    for point, numbers in (("send", (1, 2, 3, 4, 6, 9, 13, 19, 28, 41, 60, 80)), ("write", (1, 2, 3, 5, 30, 60, 150, 400, 900)),
                           ("open", (1, 2, 3, 4, 5, 7, 10, 14)), ("step", (1, 2, 4, 9, 16))):
        for i, number in enumerate(numbers):
            ranks, job = max(2, RANKS - i % 2), i % MEETING
            rank = i % ranks if point != "write" or (i % 3 == 0 and number < 30) else 0  # rank 0 writes most
            cases.append(("fail", point, number, rank, ranks, job))
            if i % 3 == 1:
                cases.append(("kill", point, number, rank, ranks, i % 2))
    cases += [("fail", "send", number, 1, 2, 1 + number % 2) for number in range(10, 52, 3)]  # among them all of a start
    cases += [("term", "step", number, number % RANKS, RANKS, number % 3) for number in (1, 5, 8)]
    cases += [(action, point, number, number % 2, 2, MEETING) for action, point, number in (
        ("fail", "send", 45), ("kill", "send", 52), ("fail", "step", 12), ("kill", "step", 13), ("term", "step", 14))]
    actions, points = kinds()
    done = {case[:2] for case in cases}
    cases += [(action, point, 7, 0, 2, 0) for action in actions for point in points if (action, point) not in done]
    for _, point, number, rank, ranks, job in cases:
        assert rank and point == "write" or number <= sure(job, ranks, point, rank), \
            f"job {job} on {ranks} ranks may pass {point} {number} times or not on rank {rank}: {passes[job]}"
    with ThreadPoolExecutor(4) as pool:
        came = set(pool.map(fault, cases))
    assert came == {(action, point) for action in actions for point in points}, f"not all kinds came: {sorted(came)}"


def test_words():
    for text in ("fail", "fail:step", "fail:step:0", "fall:step:1", "fail:stop:1", "fail:step:1:-1", "fail:step:1:0:0", "fail:step:x"):
        run("run", small("words", **PLAIN), code=2, says="RETORT_FAULT: '.*' is not", RETORT_FAULT=text, RETORT_FAULT_LOG="none")


if RANKS < 2:
    raise SystemExit(77)
main(test_undisturbed, test_faults, test_words)
