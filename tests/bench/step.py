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
import subprocess
import sys
import tempfile

import netCDF4
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLES = 32768


def teacher(path):
    """The smallest model that gives ten logits for 784 numbers."""
    rng = numpy.random.default_rng(0)
    weight = numpy_helper.from_array(rng.standard_normal((784, 10)).astype("f4") * 0.03, "weight")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "weight"], ["logits"])], "teacher",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["sample", 784])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["sample", 10])], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    onnx.save(model, path)


def run(command, **extra):
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", **extra)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


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
    parser.add_argument("--mpirun", nargs="*", default=["--bind-to", "core", "--mca", "btl_vader_single_copy_mechanism", "none"])
    options = parser.parse_args()
    retort = os.path.abspath(os.path.join(options.build, "retort"))
    mpirun = ["mpirun", "-n", str(options.ranks), *options.mpirun]
    with tempfile.TemporaryDirectory() as folder:
        rng = numpy.random.default_rng(1)
        numpy.save(f"{folder}/x.npy", rng.standard_normal((SAMPLES, 784), dtype="f4"))
        numpy.save(f"{folder}/y.npy", rng.integers(0, 10, SAMPLES))
        teacher(f"{folder}/teacher.onnx")
        run([retort, "import", "npy", f"{folder}/x.npy", f"{folder}/y.npy", "-o", f"{folder}/data.nc"])
        job = ["-data_train", f"{folder}/data.nc", "-teacher_model", f"{folder}/teacher.onnx", "-distill_epochs", "4",
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
