"""One job at a time works in a run directory: others are refused by name, what the dead left is taken over.

Arguments: the program retort, an empty folder."""
import os
import re
import signal
import socket
import subprocess
import threading
import time

from support.cli import MPIRUN, RETORT, SLOW, environment, judge, main, outputs, run, same, small

LONG = dict(teacher_epochs=2, label_views=20, augment_shift=2, label_shard=100, distill_epochs=4000, distill_batch=60,
            checkpoint_seconds=0.2)
SHORT = dict(LONG, distill_epochs=2)
CLAIM = ".run.claim"


def start(verb, job, ranks=0):
    command = (MPIRUN + ["-n", str(ranks)] if ranks else []) + [RETORT, verb] + job
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


def finish(process, code=0, says=None):
    out, err = process.communicate(timeout=60 * SLOW)
    err = re.sub(r"^.*: Forwarding signal \d+ to job$", "", err, flags=re.M)
    judge(" ".join(process.args), subprocess.CompletedProcess(process.args, process.returncode, out, err), code, says)


def wait_until(ready, process):
    begin = time.time()
    while not ready():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.time() - begin < 60 * SLOW, "it does not get far enough"
        time.sleep(0.005)


def owner(folder):
    with open(f"{folder}/{CLAIM}") as file:
        return int(file.read().split()[1])


def held(folder):
    return os.path.exists(f"{folder}/{CLAIM}")


def distilling(folder):
    return lambda: held(folder) and os.path.exists(f"{folder}/student-history.nc")


def test_two():
    """The second is refused, on any number of ranks; what only reads or shares is not; the first ends as if alone."""
    job = small("two", **LONG, run_claim_seconds=2)
    for ranks in 0, 2:
        first = start("run", job, ranks)
        wait_until(distilling("two"), first)
        process = owner("two")
        for verb, more in ("run", 0), ("distill", 3), ("train", 0), ("eval", 0):
            run(verb, job, ranks=more, code=1,
                says=rf"^retort: two: another job works there, process {process} on host {socket.gethostname()} since \d{{4}}-\d\d-\d\d \d\d:")
        run("label", job, says="is done already")
        run("verify", job)
        run("job", job, "-print", "run_dir", says="^two$")
        first.send_signal(signal.SIGUSR1)
        finish(first, 75)
        assert not held("two"), "a run that was stopped holds its directory"
    run("run", small("two", **SHORT), code=1, says="was written with distill_epochs 4000")
    assert not held("two"), "a run that failed holds its directory"
    run("run", small("two", **SHORT, run_force="true"), ranks=2)
    assert not held("two"), "a run that is done holds its directory"
    run("run", small("alone", **SHORT))
    same("two", outputs("alone"), "after two runs at once")


def test_killed():
    """On its own host a dead run holds nothing."""
    for ranks in 0, 2:
        first = start("run", small("killed", **LONG), ranks)
        wait_until(lambda: held("killed"), first)
        for victim in ([owner("killed")] if ranks else []) + [first.pid]:
            os.kill(victim, signal.SIGKILL)
        first.wait()
        assert held("killed"), "the claim went with its process: this test shows nothing"
        begin = time.time()
        run("train", small("killed", **LONG))
        assert time.time() - begin < 20 * SLOW, f"a dead run was waited for, {time.time() - begin:.1f} s"


def leave(folder, host="elsewhere"):
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/{CLAIM}", "w") as file:
        file.write(f"{host} 77 12345 0123456789abcdef 1700000000\n")


def test_other_host():
    """What another host's run left is waited for, as long as the job says; one that lives there is seen by its touches."""
    leave("other")
    begin = time.time()
    done = run("train", small("other", run_claim_seconds=3))
    assert 2 < time.time() - begin < 30 * SLOW and "process 77 on host elsewhere" in done.stderr, done.stderr
    leave("other")
    ending = threading.Event()

    def touch():
        while not ending.wait(0.4):
            os.utime(f"other/{CLAIM}")
    thread = threading.Thread(target=touch)
    thread.start()
    try:
        run("distill", small("other"), ranks=2, code=1, says="another job works there, process 77 on host elsewhere since 2023-11-1[45]")
    finally:
        ending.set()
        thread.join()
    assert held("other"), "the living run's claim was removed"
    leave("other")
    waiting = start("train", small("other"))
    begin = time.time()
    time.sleep(1.5 * SLOW)
    assert waiting.poll() is None, "it does not wait for what may be alive"
    waiting.send_signal(signal.SIGTERM)
    finish(waiting, 75)
    assert time.time() - begin < 30 * SLOW


def test_race():
    """Of several that start at the same time one works."""
    jobs = [start("train", small("race", teacher_epochs=3000, teacher_batch=20, run_claim_seconds=2)) for _ in range(3)]
    begin = time.time()
    while sum(job.poll() is None for job in jobs) > 1:
        assert time.time() - begin < 60 * SLOW, "several work"
        time.sleep(0.05)
    for job in jobs:
        if job.poll() is None:
            job.send_signal(signal.SIGTERM)
            finish(job, 75)
        else:
            finish(job, 1, "another job works there")


main(test_two, test_killed, test_other_host, test_race)
