"""PETSc's debugging of memory keeps one list of all blocks: with it, no other thread of ours calls PETSc.

Arguments: the program retort, an empty folder."""
import os
import subprocess
import threading
import time

from support.cli import RETORT, SLOW, environment, main, outputs, run, same, small

# A checkpoint a step, samples and labels in windows, shards written while others are made.
JOB = dict(checkpoint_steps=1, label_views=4, augment_shift=2, data_memory="700K", label_shard=60, distill_epochs=8)


def most_threads(*words):
    """How many threads the program has at once, of all that it starts."""
    process = subprocess.Popen([RETORT, "run", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=environment(OMP_NUM_THREADS=1))
    most = 0
    reader = threading.Thread(target=process.stdout.read)
    reader.start()
    begin = time.time()
    while process.poll() is None:
        assert time.time() - begin < 60 * SLOW
        try:
            most = max(most, len(os.listdir(f"/proc/{process.pid}/task")))
        except OSError:
            pass
        time.sleep(0.001)
    reader.join()
    assert process.returncode == 0
    return most


def test_bits():
    run("run", small("plain", **JOB), OMP_NUM_THREADS=2)
    for ranks in 0, 2:
        done = run("run", small(f"debug{ranks}", **JOB), "-malloc_debug", "-malloc_dump", ranks=ranks, OMP_NUM_THREADS=2)
        assert "one thread instead of 2" in done.stderr and f"{ranks or 1} x 1 threads" in done.stdout, done.stdout
        assert "[0]" not in done.stdout, f"memory is left:\n{done.stdout}"
        same(f"debug{ranks}", outputs("plain"), "with -malloc_debug")


def test_threads():
    plain, debug = most_threads(*small("a", **JOB)), most_threads(*small("b", **JOB), "-malloc_debug")
    assert debug < plain, f"{debug} threads with -malloc_debug, {plain} without"


main(test_bits, test_threads)
