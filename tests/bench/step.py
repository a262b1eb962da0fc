#!/usr/bin/env python3
"""Training throughput against PyTorch DDP, measured side by side in one run.

    python3 tests/bench/step.py [--build build] [--peers ../shared/peers] [--width 800] [--batch 128] [--ranks 2]

Ours is `retort distill` as a user runs it (KL and cross-entropy, SGD with momentum, loading and shuffling included) on
random samples; the peer is torch_ddp.py of the peers' folder, with the BLAS kernels that suit the processor. Both run
in turn, `--rounds` times; the median of each and their ratio are printed.
"""
import argparse
import json
import os
import statistics
import tempfile

import netCDF4
import numpy

from common import MPIRUN, dataset, run

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--peers", default="../shared/peers")
    parser.add_argument("--width", type=int, default=800)
    parser.add_argument("--batch", type=int, default=128, help="samples a rank")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--lanes", type=int, default=0, help="0: one a rank")
    parser.add_argument("--steps", type=int, default=400, help="of the peer in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", nargs="*", default=["fp32", "bf16"])
    parser.add_argument("--mpirun", type=str.split, default=MPIRUN, help="options of mpirun, in one text")
    options = parser.parse_args()
    retort = os.path.abspath(os.path.join(options.build, "retort"))
    mpirun = ["mpirun", "-n", str(options.ranks), *options.mpirun]
    with tempfile.TemporaryDirectory() as folder:
        job = [*dataset(retort, folder), "-distill_epochs", "4",
               "-student_hidden", f"{options.width},{options.width}", "-distill_batch",
               str(options.batch * options.ranks), "-distill_lanes", str(options.lanes or options.ranks),
               "-distill_rate", "0.001", "-checkpoint_epochs", "0"]
        ours = {p: [] for p in options.precision}
        peer = []
        for round_ in range(options.rounds):
            for precision in options.precision:
                place = f"{folder}/{precision}{round_}"
                run([retort, "label", *job, "-run_dir", place])
                run([*mpirun, retort, "distill", *job, "-run_dir", place, "-distill_precision", precision])
                with netCDF4.Dataset(f"{place}/student-history.nc") as history:
                    ours[precision].append(float(numpy.median(numpy.asarray(history["samples_per_second"][1:]))))
            out = run([*mpirun, "/usr/bin/python3", os.path.join(options.peers, "torch_ddp.py"), f"mlp{options.width}",
                       str(options.batch), str(options.steps)], OPENBLAS_CORETYPE="SkylakeX")
            peer.append(json.loads(out.strip().splitlines()[-1])["samples_per_second"])
    theirs = statistics.median(peer)
    print(f"training step, MLP 784-{options.width}-{options.width}-10, {options.batch} samples a rank, {options.ranks} "
          f"ranks of one thread, median of {options.rounds} rounds (smallest to largest)")
    print(f"  PyTorch DDP    {theirs:9.0f} samples/s  ({min(peer):.0f} to {max(peer):.0f})")
    for precision, rates in ours.items():
        pairs = sorted(a / b for a, b in zip(rates, peer))
        print(f"  Retort, {precision}   {statistics.median(rates):9.0f} samples/s  ({min(rates):.0f} to {max(rates):.0f})"
              f"  ratio {statistics.median(pairs):.2f}  ({pairs[0]:.2f} to {pairs[-1]:.2f})")


main()
