"""Several jobs that label one store at once; jobs that die, are asked to stop, or find no room on the disk.

Arguments: the program retort, an empty folder."""
import os
import re
import shutil
import signal
import subprocess
import time

from support.cli import (MPIRUN, RANKS, RETORT, SLOW, environment, judge, main, nothing_half_written, outputs, run, same, small)

# Thirty shards, each of some hundredths of a second.
JOB = dict(teacher_hidden="1000,1000", teacher_epochs=1, label_shard=40, label_views=64, augment_shift=2, label_batch=20)
SHARDS = 30
# One shard, of half a minute.
HUGE = dict(JOB, label_shard=1200, label_views=2000, label_batch=256)
wanted = {}


def prepare(folder):
    """A run directory with the teacher alone."""
    os.makedirs(folder)
    shutil.copy("whole/teacher.onnx", folder)
    return folder


def start(job, ranks=0, verb="label", **changes):
    command = (MPIRUN + ["-n", str(ranks)] if ranks else []) + [RETORT, verb] + job
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**changes))


def finish(process, code=0, says=None, seconds=60):
    """Judge its end; returns what it printed."""
    out, err = process.communicate(timeout=seconds * SLOW)
    err = re.sub(r"^.*: Forwarding signal \d+ to job$", "", err, flags=re.M)  # mpirun's own
    judge(" ".join(process.args), subprocess.CompletedProcess(process.args, process.returncode, out, err), code, says)
    return out


def shards(folder):
    return [name for name in os.listdir(f"{folder}/labels") if name[0] != "."] if os.path.isdir(f"{folder}/labels") else []


def hidden(folder):
    return [name for name in os.listdir(f"{folder}/labels") if name[0] == "."] if os.path.isdir(f"{folder}/labels") else []


def claims(folder):
    """{name of a shard: number of the process that has it in hand}"""
    found = {}
    for name in hidden(folder):
        if name.endswith(".claim"):
            try:
                with open(f"{folder}/labels/{name}") as file:
                    found[name[1:-6]] = int((file.read().split() + ["0", "0"])[1])
            except OSError:
                pass
    return found


def wait_until(ready, process, seconds=30):
    begin = time.time()
    while not ready():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.time() - begin < seconds * SLOW, "it does not get far enough"
        time.sleep(0.002)


def counts(out):
    """(made, wanted, by others) as the last line says."""
    match = re.search(r"label: (\d+) of (\d+) shards made in [\d.]+ s, (?:(\d+) by other jobs .*, )?[\d.]+ % of the time", out)
    assert match, out
    return int(match[1]), int(match[2]), int(match[3] or 0)


def test_alone():
    run("train", small("whole", **JOB))
    made, of, others = counts(run("label", small("whole", **JOB), ranks=2).stdout)
    assert (made, of, others) == (SHARDS, SHARDS, 0)
    wanted.update(outputs("whole"))
    assert len(wanted) == SHARDS + 1 and not hidden("whole"), hidden("whole")


def test_three_jobs():
    prepare("three")
    jobs = [start(small("three", **JOB), ranks) for ranks in (2, 0, 0)]
    found = [counts(finish(job)) for job in jobs]
    assert sum(made for made, _, _ in found) == SHARDS, f"three jobs made {found}"
    assert all(made + others == of for made, of, others in found), f"a job ended before the store was whole: {found}"
    assert sum(made > 0 for made, _, _ in found) > 1, f"one job did it all: {found}"
    same("three", wanted, "three jobs on one store")
    assert not hidden("three"), hidden("three")


def test_killed():
    """A job that is killed holds nobody up, and what it leaves is cleared away."""
    prepare("killed")
    other = start(small("killed", **JOB), 2)
    victim = start(small("killed", **JOB), 2, RETORT_FAULT="kill:step:3:1")
    made, of, others = counts(finish(other, seconds=40))
    victim.communicate(timeout=60 * SLOW)
    assert victim.returncode not in (0, 75), victim.returncode
    assert made + others == of and made > 0, (made, of, others)
    same("killed", wanted, "a store that two jobs labelled, one of which was killed")

    prepare("alone")
    for where in "open:9", "step:4", "write:60":  # while opening a file or claiming one, in a shard, while writing
        done = subprocess.run([RETORT, "label"] + small("alone", **JOB), capture_output=True, env=environment(RETORT_FAULT="kill:" + where))
        assert done.returncode == -signal.SIGKILL, f"{where}: {done}"
    assert 0 < len(shards("alone")) < SHARDS and hidden("alone"), f"{hidden('alone')} is left"
    begin = time.time()
    run("label", small("alone", **JOB), ranks=2)
    assert time.time() - begin < 20 * SLOW, "a dead process of this host holds its claim"
    same("alone", wanted, "a store after three kills")
    run("label", small("killed", **JOB), says="is done already")
    assert not hidden("alone") and not hidden("killed"), (hidden("alone"), hidden("killed"))


def test_other_host():
    """Claims of another host are respected while they are touched, and not longer."""
    prepare("host")
    os.mkdir("host/labels")
    held = [f"host/labels/.shard-{s:06d}.claim" for s in (2, 29)]
    for name in held:
        with open(name, "w") as file:
            file.write("elsewhere 1 1 0123456789abcdef\n")

    def touch():
        for name in held:
            os.utime(name)
        return len(shards("host")) == SHARDS - 2

    job = start(small("host", **JOB, label_claim_seconds=2), 2)
    wait_until(touch, job)
    for _ in range(15):
        touch()
        time.sleep(0.2)
    assert job.poll() is None and len(shards("host")) == SHARDS - 2, f"a claim that is touched was not respected: {shards('host')}"
    made, of, others = counts(finish(job, says=r"0 by other jobs|30 of 30"))
    assert (made, of, others) == (SHARDS, SHARDS, 0)
    same("host", wanted, "after another host died")
    # shards that appear meanwhile are the others'
    os.remove("host/labels/shard-000007.nc"), os.remove("host/labels/shard-000008.nc")
    with open("host/labels/.shard-000007.claim", "w") as file:
        file.write("elsewhere 1 1 0123456789abcdef\n")
    job = start(small("host", **JOB))
    wait_until(lambda: "shard-000008.nc" in shards("host"), job)
    shutil.copy("whole/labels/shard-000007.nc", "host/labels/.copy"), os.rename("host/labels/.copy", "host/labels/shard-000007.nc")
    assert counts(finish(job)) == (1, 2, 1)
    # and a request to stop is heard while waiting for another job
    os.remove("host/labels/shard-000007.nc")
    job = start(small("host", **JOB), 2)
    time.sleep(1.5 * SLOW)
    job.send_signal(signal.SIGUSR1)
    finish(job, code=75, seconds=10)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x41]))


def damage(folder):
    size = os.path.getsize(f"{folder}/labels/shard-000003.nc")
    for shard, at in (3, size // 2), (4, 40), (5, size - 100), (6, size * 2 // 3):
        flip(f"{folder}/labels/shard-{shard:06d}.nc", at)
    for shard, cut in (11, size * 2 // 3), (12, size), (13, 1):
        path = f"{folder}/labels/shard-{shard:06d}.nc"
        os.truncate(path, max(0, os.path.getsize(path) - cut))
    os.remove(f"{folder}/labels/shard-000020.nc"), os.remove(f"{folder}/labels/shard-000029.nc")


def test_damage():
    """Shards with a wrong byte, cut off, or gone are named by verify, and made again by label, distill and run."""
    shutil.copytree("whole", "hurt")
    job = small("hurt", **JOB)
    run("run", job, ranks=2)
    before = outputs("hurt")
    size = os.path.getsize("hurt/labels/shard-000003.nc")
    damage("hurt")
    done = run("verify", job, ranks=2, code=1, says="hurt/labels: 2 of 30 shards are missing and 7 damaged; run `retort label`$")
    named = re.findall(r"note: hurt/labels/shard-(\d+).nc is (damaged: .+|missing)$", done.stderr, re.M)
    assert sorted(int(number) for number, _ in named) == [3, 4, 5, 6, 11, 12, 13, 20, 29], done.stderr
    for verb, ranks in ("label", 3), ("distill", 2), ("run", 0):
        if verb != "label":
            damage("hurt"), os.remove("hurt/student.onnx")
        done = run(verb, job, ranks=min(ranks, RANKS), says="label: 9 of 9 shards made")
        named = re.findall(r"note: hurt/labels/shard-(\d+).nc is damaged: ", done.stderr)
        assert [int(number) for number in named] == [3, 4, 5, 6, 11] and "note: and 2 more are damaged" in done.stderr, done.stderr
        same("hurt", before, f"a store mended by {verb}")
        assert not hidden("hurt"), hidden("hurt")
    flip("hurt/labels/shard-000000.nc", size // 2), os.remove("hurt/student.onnx")
    run("distill", job + ["-stop_after", "1e-6"], code=75)
    assert not os.path.exists("hurt/student.onnx")
    run("distill", job, ranks=2)
    same("hurt", before, "mending that was stopped")
    shutil.rmtree("hurt/labels")
    os.remove("hurt/student.onnx")
    run("distill", job, code=1, says="hurt/labels: 30 of 30 shards are missing; run `retort label` first")


def test_full_disk():
    os.mkdir("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "none", "disk"], capture_output=True).returncode:
        print("label_jobs: no disk can be mounted here, a full one is not tested")
        return
    try:
        prepare("disk/run")
        for ranks in 0, min(3, RANKS):
            run("label", small("disk/run", **JOB), ranks=ranks, code=1, says="disk/run/labels/.*the disk is full; free some space and start again")
            nothing_half_written("disk/run")
            assert len(shards("disk/run")) < SHARDS and not hidden("disk/run"), hidden("disk/run")
        subprocess.run(["mount", "-o", "remount,size=40m", "disk"], check=True)
        run("label", small("disk/run", **JOB), ranks=2)
        same("disk/run", wanted, "after there was room again")
    finally:
        subprocess.run(["umount", "disk"], check=True)


def test_stop():
    """A request to stop ends a huge shard at once, on all ranks, whoever gets it; nothing is left behind."""
    prepare("huge")
    for number, ranks in (signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGUSR1, 2):
        job = start(small("huge", **HUGE), ranks)
        wait_until(lambda: claims("huge"), job)
        time.sleep(0.5)
        begin = time.time()
        job.send_signal(number)
        finish(job, code=75, says="label: 0 of 1 shards made")
        assert time.time() - begin < 2 + 2 * SLOW, f"{number.name}: {time.time() - begin:.1f} s until the end"
        assert not shards("huge") and not hidden("huge"), (shards("huge"), hidden("huge"))
    job = {**HUGE, "label_shard": 300}  # a shard for each rank, and only rank 1 is asked
    begin = time.time()
    run("label", small("huge", **job), ranks=3, code=75, says="label: 0 of 4 shards made", RETORT_FAULT="term:step:1:1")
    assert time.time() - begin < 4 + 4 * SLOW, f"one rank was asked: {time.time() - begin:.1f} s until the end"
    begin = time.time()
    run("label", small("huge", **job), ranks=3, code=1, says="RETORT_FAULT: failed at step 1, as asked", RETORT_FAULT="fail:step:1:2")
    assert time.time() - begin < 10 * SLOW, f"one rank failed: {time.time() - begin:.1f} s until the end"
    # what takes less than a second more is finished
    run("label", small("huge", **JOB), ranks=1, code=75, says="label: [12] of 30 shards made", RETORT_FAULT="term:step:1:0")


def test_slow_rank():
    """A slow rank has one shard in hand, and takes the next one when that is nearly done."""
    if RANKS < 3:
        return
    prepare("slow")
    job = start(small("slow", **{**JOB, "label_views": 200}), 3, RETORT_FAULT="slow:step:1:1")
    rank = {}  # of each process
    looks = several = 0
    while job.poll() is None:
        held = list(claims("slow").values())
        for process in set(held) - set(rank):
            try:
                with open(f"/proc/{process}/environ", "rb") as file:
                    rank[process] = int(re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", file.read())[1])
            except (OSError, TypeError):
                pass
        slow = sum(rank.get(process) == 1 for process in held)
        looks += slow > 0
        several += slow > 1
        time.sleep(0.001)
    assert counts(finish(job))[0] == SHARDS
    assert looks > 100, f"{looks} looks at the slow rank's claims"
    assert several < looks / 3, f"in {several} of {looks} looks the slow rank had more than one shard"


main(test_alone, test_three_jobs, test_killed, test_other_host, test_damage, test_full_disk, test_stop, test_slow_rank)
