#!/usr/bin/env python3
"""Where the time of a training step goes: compute, exposed communication, input.

    python3 tests/bench/exposed.py [--build build] [--width 800] [--batch 128] [--ranks 2] [--lanes 0] [--precision fp32 bf16]

Exposed is all communication that a rank does or waits for instead of computing, as student-history.nc has it; the rest
of a step is waiting for the slowest thread, and starting. Median of all epochs but the first of all rounds.
"""
import argparse
import os
import tempfile

import netCDF4
import numpy

from common import MPIRUN, SAMPLES, dataset, run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--width", type=int, default=800)
    parser.add_argument("--batch", type=int, default=128, help="samples a rank")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--lanes", type=int, default=0, help="0: one a rank")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", nargs="*", default=["fp32", "bf16"])
    parser.add_argument("--reduce", default="tree")
    parser.add_argument("--mpirun", type=str.split, default=MPIRUN, help="options of mpirun, in one text")
    options = parser.parse_args()
    retort = os.path.abspath(os.path.join(options.build, "retort"))
    batch = options.batch * options.ranks
    steps = -(-SAMPLES // batch)
    with tempfile.TemporaryDirectory() as folder:
        job = [*dataset(retort, folder), "-distill_epochs", "5", "-student_hidden", f"{options.width},{options.width}",
               "-distill_batch", str(batch), "-distill_lanes", str(options.lanes or options.ranks), "-reduce",
               options.reduce, "-distill_rate", "0.001", "-checkpoint_epochs", "0"]
        print(f"MLP 784-{options.width}-{options.width}-10, {options.batch} samples a rank, {options.ranks} ranks of one thread, "
              "milliseconds a step")
        for precision in options.precision:
            columns = {"seconds": [], "compute_seconds": [], "communication_seconds": [], "input_seconds": []}
            for round_ in range(options.rounds):
                place = f"{folder}/{precision}{round_}"
                run([retort, "label", *job, "-run_dir", place])
                run(["mpirun", "-n", str(options.ranks), *options.mpirun, retort, "distill", *job, "-run_dir", place,
                     "-distill_precision", precision])
                with netCDF4.Dataset(f"{place}/student-history.nc") as history:
                    for name, values in columns.items():
                        values.extend(numpy.asarray(history[name][1:]) * 1e3 / steps)
            middle = {name: float(numpy.median(values)) for name, values in columns.items()}
            share = numpy.array(columns["communication_seconds"]) / numpy.array(columns["seconds"])
            print(f"  {precision}: step {middle['seconds']:.3f}, compute {middle['compute_seconds']:.3f}, exposed communication "
                  f"{middle['communication_seconds']:.3f} ({100 * numpy.median(share):.1f} %, {100 * share.min():.1f} to "
                  f"{100 * share.max():.1f}), input {middle['input_seconds']:.3f}")


main()
