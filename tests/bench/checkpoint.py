#!/usr/bin/env python3
"""What a checkpoint after every epoch costs.

    python3 tests/bench/checkpoint.py [--build build] [--folder .] [--width 800] [--batch 256] [--ranks 2]

`retort train` on random samples, as many as MNIST has, of which 5000 are held out, so that the parameters of the best
epoch are part of the checkpoint. A checkpoint is written after every second epoch: the time from one epoch's line to the
next one's holds a checkpoint, whatever of it waits and whatever runs beside the steps, or it holds none, in turn. The
cost is the difference to the mean of the two neighbours without one, as a part of that mean: median and quartiles over
all rounds. --folder is where the checkpoints go: its disk is part of what is measured.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
from common import MPIRUN, run

SAMPLES, HELD = 60000, 5000


def train(command):
    """Seconds from the start at which each line of an epoch came."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines, times = [], []
    for line in process.stdout:
        lines.append(line)
        if re.match("teacher epoch", line):
            times.append(time.perf_counter())
    if process.wait():
        sys.exit(f"{' '.join(command)}: exit {process.returncode}\n{''.join(lines)}")
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--folder", default=".")
    parser.add_argument("--width", type=int, default=800)
    parser.add_argument("--batch", type=int, default=256, help="samples of all ranks")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mpirun", nargs="*", default=MPIRUN)
    options = parser.parse_args()
    retort = os.path.abspath(os.path.join(options.build, "retort"))
    costs, plain = [], []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rng = numpy.random.default_rng(1)
        numpy.save(f"{folder}/x.npy", rng.integers(0, 256, (SAMPLES, 784), dtype="u1"))
        numpy.save(f"{folder}/y.npy", rng.integers(0, 10, SAMPLES))
        run([retort, "import", "npy", f"{folder}/x.npy", f"{folder}/y.npy", "-o", f"{folder}/data.nc"])
        for round_ in range(options.rounds):
            job = ["-data_train", f"{folder}/data.nc", "-data_holdout", str(HELD), "-teacher_hidden",
                   f"{options.width},{options.width}", "-teacher_batch", str(options.batch), "-teacher_optimizer",
                   options.optimizer, "-teacher_rate", "0.001", "-teacher_epochs", str(options.epochs),
                   "-checkpoint_epochs", "2", "-checkpoint_seconds", "0", "-run_dir", f"{folder}/{round_}"]
            times = train(["mpirun", "-n", str(options.ranks), *options.mpirun, retort, "train", *job])
            took = numpy.diff(times)  # took[k]: from the end of epoch k + 1 to that of epoch k + 2
            for k in range(3, len(took) - 1, 2):  # the first one makes the buffers
                mean = (took[k - 1] + took[k + 1]) / 2
                costs.append((took[k] - mean) / mean)
                plain.append(mean)
    low, middle, high = (100 * q for q in statistics.quantiles(costs, n=4))
    print(f"a checkpoint every epoch, MLP 784-{options.width}-{options.width}-10, {options.optimizer}, batch "
          f"{options.batch}, {options.ranks} ranks of one thread: {len(costs)} checkpoints")
    print(f"  an epoch takes {statistics.median(plain):.3f} s without")
    print(f"  cost {middle:.2f} %, quartiles {low:.2f} and {high:.2f} %: {10 * middle * statistics.median(plain):.1f} ms")


main()
