#!/usr/bin/env python3
"""Throughput of distillation from windows of the data against distillation from memory, in turn.

    python3 tests/bench/windows.py [--build build] [--data data/mnist/train.nc] [--memory 16M] [--hidden 128,64 800,800]
                                   [--ranks 2] [--rounds 5]

The data is read, unpacked and shuffled once an epoch by windows; what that costs shows where the ranks have no core left
for it. Median of all epochs but the first of all rounds; input is what a step waits for or loads.
"""
import argparse
import os
import tempfile

import netCDF4
import numpy

from common import MPIRUN, run, teacher


def rates(place):
    with netCDF4.Dataset(f"{place}/student-history.nc") as history:
        names = "samples_per_second", "seconds", "input_seconds"
        return [numpy.asarray(history[name][1:], dtype=float) for name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--data", default="data/mnist/train.nc")
    parser.add_argument("--memory", default="16M", help="-data_memory of the windows")
    parser.add_argument("--hidden", nargs="*", default=["128,64", "800,800"])
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mpirun", type=str.split, default=MPIRUN, help="options of mpirun, in one text")
    options = parser.parse_args()
    retort = os.path.abspath(os.path.join(options.build, "retort"))
    mpirun = ["mpirun", "-n", str(options.ranks), *options.mpirun, retort]
    with tempfile.TemporaryDirectory() as folder:
        teacher(f"{folder}/teacher.onnx")
        job = ["-data_train", options.data, "-data_holdout", "4000", "-teacher_model", f"{folder}/teacher.onnx",
               "-label_views", str(options.views), "-augment_shift", "2", "-distill_batch", str(options.batch),
               "-distill_epochs", "5", "-distill_rate", "0.001", "-checkpoint_epochs", "0", "-student_normalize"]
        run([*mpirun, "label", *job, "-run_dir", f"{folder}/labels"])
        print(f"{options.data}, {options.ranks} ranks of one thread, batches of {options.batch}, thousand samples/s")
        for hidden in options.hidden:
            found = {"4G": [], options.memory: []}
            for round_ in range(options.rounds):
                for memory, values in found.items():
                    place = f"{folder}/{hidden}-{memory}-{round_}"
                    os.makedirs(place)
                    os.symlink(f"{folder}/labels/labels", f"{place}/labels")
                    run([*mpirun, "distill", *job, "-run_dir", place, "-student_hidden", hidden, "-data_memory", memory])
                    values.append(rates(place))
            kept, windows = (numpy.array(values) for values in found.values())
            pairs = numpy.median(windows[:, 0], axis=1) / numpy.median(kept[:, 0], axis=1)
            share = [100 * numpy.median(values[:, 2] / values[:, 1]) for values in (kept, windows)]
            print(f"  student {hidden}: from memory {numpy.median(kept[:, 0]) / 1e3:.1f} (input {share[0]:.0f} % of the time), "
                  f"windows in {options.memory} {numpy.median(windows[:, 0]) / 1e3:.1f} (input {share[1]:.0f} %), ratio "
                  f"{numpy.median(pairs):.2f} ({pairs.min():.2f} to {pairs.max():.2f})")


main()
