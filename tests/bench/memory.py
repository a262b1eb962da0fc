#!/usr/bin/env python3
"""Memory of training and distillation whose data is several times -data_memory, against the same with next to no data.

    python3 tests/bench/memory.py [--build build] [--memory 16 64] [--times 4] [--features 1024]

The largest resident size of one process (VmHWM), in MB: with few samples, with many in windows, with many in memory.
What a run with few samples takes is programs, libraries and the model; what is more should be at most -data_memory and
what the NetCDF library needs to unpack a chunk.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy

from common import run

# A small process of its own between: one inherits the peak of the process that starts it.
PEAK = """import os, sys
child = os.fork()
if not child:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
status, usage = os.wait4(child, 0)[1:]
print(status, usage.ru_maxrss)"""


def peak(*command):
    done = subprocess.run([sys.executable, "-S", "-E", "-c", PEAK, *command], stdout=subprocess.PIPE, text=True,
                          env=dict(os.environ, OMP_NUM_THREADS="1"))
    status, kilobytes = map(int, done.stdout.split())
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return kilobytes / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--memory", type=int, nargs="*", default=[16, 64], help="-data_memory in MB")
    parser.add_argument("--times", type=int, default=4, help="data, in units of that")
    parser.add_argument("--features", type=int, default=1024, help="bytes of a sample")
    options = parser.parse_args()
    retort = os.path.abspath(os.path.join(options.build, "retort"))
    with tempfile.TemporaryDirectory() as folder:
        def measure(name, samples, memory):
            rng = numpy.random.default_rng(1)
            data, place = f"{folder}/{samples}.nc", f"{folder}/{name}"
            if not os.path.exists(data):
                numpy.save(f"{folder}/x.npy", rng.integers(0, 256, (samples, options.features), dtype=numpy.uint8))
                numpy.save(f"{folder}/y.npy", rng.integers(0, 10, samples))
                run([retort, "import", "npy", f"{folder}/x.npy", f"{folder}/y.npy", "-o", data])
            job = ["-data_train", data, "-data_holdout", "100", "-teacher_hidden", "64", "-teacher_epochs", "2",
                   "-student_hidden", "32", "-distill_epochs", "2", "-run_dir", place, "-data_memory", memory]
            return [peak(retort, verb, *job) for verb in ("train", "label", "distill")]

        few = measure("few", 700, "4G")
        print(f"train, distill: few samples {few[0]:.1f}, {few[2]:.1f} MB")
        for memory in options.memory:
            samples = options.times * memory * 2**20 // options.features
            windows = measure(f"windows{memory}", samples, f"{memory}M")
            kept = measure(f"kept{memory}", samples, "1T")
            print(f"-data_memory {memory}M, {options.times * memory} MB of data: {windows[0]:.1f}, {windows[2]:.1f} MB: more by "
                  f"{windows[0] - few[0]:.1f}, {windows[2] - few[2]:.1f}; in memory more by {kept[0] - few[0]:.1f}, "
                  f"{kept[2] - few[2]:.1f}")


main()
