"""Whatever ends a run, and whenever: kill -9 of one rank or of all, SIGTERM, SIGUSR1, a full disk. Started again on another
number of ranks each time, label and distill end with the bytes of a run that nothing disturbed.

Arguments: the program retort, an empty folder. RETORT_KILLS: how many ends; RETORT_KILLS_SEED: which."""
import os
import random
import shutil
import signal
import subprocess
import time

from support.cli import MPIRUN, RANKS, RETORT, SLOW, environment, main, outputs, run, same, small

KILLS = int(os.environ.get("RETORT_KILLS", "12"))
SEED = int(os.environ.get("RETORT_KILLS_SEED", "1"))
DISK = 24 << 20
# A second or two of labelling, and as much of training.
JOB = dict(teacher_model="teacher.onnx", label_views=40, augment_shift=2, label_shard=30, label_batch=10, student_hidden=64,
           distill_epochs=40, distill_batch=60, distill_lanes=6, distill_optimizer="adamw", distill_rate=0.002, checkpoint_steps=7,
           run_seed=5)
wanted = {}
chance = random.Random(SEED)


def test_undisturbed():
    run("train", small("teacher", teacher_hidden="300,300"))
    shutil.copy("teacher/teacher.onnx", "teacher.onnx")
    run("run", small("whole", **JOB))
    wanted.update(outputs("whole"))


def children(pid):
    """Processes whose parent this is."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    state, parent = file.read().rsplit(")", 1)[1].split()[:2]
                    if int(parent) == pid and state != "Z":
                        found.append(int(entry))
            except OSError:
                pass
    return found


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def fill(folder):
    """Leave next to nothing on the disk."""
    with open(os.path.join(folder, "filler"), "wb") as file:
        room = os.statvfs(folder)
        try:
            os.posix_fallocate(file.fileno(), 0, max(1, room.f_bavail * room.f_frsize - chance.choice([0, 4096, 65536])))
        except OSError:
            pass


def listens(pid):
    """Whether a process has handlers for both signals; before its main began no program can have them."""
    try:
        with open(f"/proc/{pid}/status") as file:
            caught = int(next(line for line in file if line.startswith("SigCgt")).split()[1], 16)
    except (OSError, StopIteration):
        return True
    return all(caught >> (number - 1) & 1 for number in (signal.SIGTERM, signal.SIGUSR1))


def disturb(kind, process, count, folder):
    ranks = children(process.pid)
    while "SIG" in kind and process.poll() is None and (len(ranks) < count or not all(map(listens, ranks))):
        time.sleep(0.01)
        ranks = children(process.pid)
    if kind in ("kill one", "kill by a crash"):
        send([chance.choice(ranks)] if ranks else [], signal.SIGKILL if kind == "kill one" else signal.SIGSEGV)
    elif kind == "kill all":
        send([process.pid] + ranks, signal.SIGKILL)
    elif kind == "SIGTERM":
        send(ranks, signal.SIGTERM)
    elif kind == "SIGUSR1":
        send([process.pid], signal.SIGUSR1)
    elif kind == "full disk":
        fill(folder)


def attempt(folder, kinds):
    """Start, disturb, and wait for the end. Returns the exit code and what was done."""
    kind, count, moment = chance.choice(kinds), chance.randint(1, RANKS), chance.uniform(0.05, 1.4 * SLOW)
    process = subprocess.Popen(MPIRUN + ["-n", str(count), RETORT, "run"] + small(folder, **JOB), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, env=environment())
    try:
        process.wait(moment)
        kind = "nothing"
    except subprocess.TimeoutExpired:
        disturb(kind, process, count, folder)
    what = f"{kind} after {moment:.2f} s on {count} ranks"
    begun = time.time()
    while kind != "nothing" and kind != "full disk" and children(process.pid):
        assert time.time() - begun < 15 * SLOW, f"{what}: ranks live for more than {15 * SLOW} s"
        time.sleep(0.01)
    try:
        output, _ = process.communicate(timeout=60 * SLOW if kind in ("nothing", "full disk") else 5 * SLOW)
    except subprocess.TimeoutExpired:  # all ranks have ended, but Open MPI's mpirun may lock itself up in its own end
        assert not children(process.pid), f"{what}: it does not end"
        process.kill()
        output, _ = process.communicate()
        return None, kind, f"{what}: mpirun did not end"
    what += f": exit {process.returncode}"
    if kind in ("SIGTERM", "SIGUSR1"):
        assert process.returncode in (0, 75), f"{what}\n{output}"
    if kind == "full disk":
        assert process.returncode == 0 or "disk is full" in output or "No space left" in output, f"{what}\n{output}"
    assert "Sanitizer" not in output and ("PETSC ERROR" not in output or kind == "kill by a crash"), f"{what}\n{output}"
    if os.path.exists(os.path.join(folder, "filler")):
        os.remove(os.path.join(folder, "filler"))
    if "kill" in kind:
        time.sleep(0.1)  # until the system has buried them
    assert kind != "nothing" or process.returncode == 0, f"{what}\n{output}"
    return process.returncode, kind, what


def small_disk(folder):
    """A file system of its own for the run, where that is allowed."""
    os.mkdir(folder)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "retort-test", folder], capture_output=True)
    return done.returncode == 0


def test_kills():
    kills, number, log = {}, 0, []
    while sum(kills.values()) < KILLS:
        folder = f"run{number}"
        mounted = small_disk(folder)
        kinds = ["kill one", "kill all", "SIGTERM", "SIGUSR1"] + ([] if SLOW > 1 else ["kill by a crash"]) + (["full disk"] if mounted else [])
        try:
            for _ in range(200):
                code, kind, what = attempt(folder, kinds)
                log.append(what)
                if kind != "nothing":
                    kills[kind] = kills.get(kind, 0) + 1
                if code == 0:
                    break
            same(folder, wanted, f"seed {SEED}, after\n  " + "\n  ".join(log) + "\n")
            left = [name for place, _, names in os.walk(folder) for name in names if name[0] == "." or ".tmp-" in name]
            assert not left, f"files are left: {left}, after {log}"
        finally:
            if mounted:
                subprocess.run(["umount", "-l", folder])
        number += 1
    print(f"{sum(kills.values())} ends in {number} runs: {kills}")


main(test_undisturbed, test_kills)
