#!/usr/bin/env python3
"""How much of labelling's time its input and output cost: what inference does not hide.

    python3 tests/bench/labelling.py [--build build] [--ranks 2] [--views 8] [--rounds 3]

The teacher is the perceptron 784-1200-1200-10, the data random images as large as MNIST's. `retort label` measures on
each rank the time in which it waits for samples, for claims, and for shards to be written, and prints the share. The
goal is 5 % at most.
"""
import argparse
import gzip
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTHS = 784, 1200, 1200, 10


def teacher(path):
    rng = numpy.random.default_rng(0)
    nodes, weights, last = [helper.make_node("Flatten", ["input"], ["x0"])], [], len(WIDTHS) - 2
    for layer in range(last + 1):
        wide, narrow = WIDTHS[layer], WIDTHS[layer + 1]
        weight = rng.standard_normal((wide, narrow)).astype("f4") * (2 / wide) ** 0.5 / (255 if layer == 0 else 1)
        weights += [numpy_helper.from_array(weight, f"w{layer}"), numpy_helper.from_array(numpy.zeros(narrow, "f4"), f"b{layer}")]
        result = "logits" if layer == last else f"y{layer}"
        nodes.append(helper.make_node("Gemm", [f"x{layer}", f"w{layer}", f"b{layer}"], [result]))
        if layer < last:
            nodes.append(helper.make_node("Relu", [result], [f"x{layer + 1}"]))
    graph = helper.make_graph(nodes, "teacher", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["sample", 28, 28])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["sample", 10])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    onnx.save(model, path)


def images(folder, count):
    """MNIST's files with random content: a fifth of the pixels is not black, so that they compress as digits do."""
    rng = numpy.random.default_rng(1)
    pixels = rng.integers(1, 256, (count, 28, 28), "u1") * (rng.random((count, 28, 28), "f4") < 0.2)
    with gzip.open(f"{folder}/images", "wb", 1) as file:
        file.write(struct.pack(">iiii", 2051, count, 28, 28) + pixels.astype("u1").tobytes())
    with gzip.open(f"{folder}/labels", "wb", 1) as file:
        file.write(struct.pack(">ii", 2049, count) + rng.integers(0, 10, count, "u1").tobytes())


def run(command):
    environment = dict(os.environ, OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--samples", type=int, default=32768)
    parser.add_argument("--shard", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mpirun", nargs="*", default=["--bind-to", "core"])
    options = parser.parse_args()
    retort = [os.path.abspath(os.path.join(options.build, "retort"))]
    mpirun = ["mpirun", "-n", str(options.ranks), *options.mpirun]
    with tempfile.TemporaryDirectory() as folder:
        images(folder, options.samples)
        run(retort + ["import", "idx", f"{folder}/images", f"{folder}/labels", "-o", f"{folder}/data.nc"])
        teacher(f"{folder}/teacher.onnx")
        shares, rates = [], []
        for _ in range(options.rounds):
            shutil.rmtree(f"{folder}/run", ignore_errors=True)
            out = run(mpirun + retort + ["label", "-run_dir", f"{folder}/run", "-data_train", f"{folder}/data.nc",
                                         "-teacher_model", f"{folder}/teacher.onnx", "-augment_shift", "2", "-label_views",
                                         str(options.views), "-label_shard", str(options.shard)])
            seconds, share = re.search(r"made in ([\d.]+) s, ([\d.]+) % of the time", out).groups()
            shares.append(float(share))
            rates.append(options.samples * options.views / float(seconds))
    print(f"labelling, MLP {'-'.join(map(str, WIDTHS))}, {options.views} views of {options.samples} images in shards of "
          f"{options.shard}, {options.ranks} ranks of one thread, median of {options.rounds} rounds (smallest to largest)")
    print(f"  inference          {statistics.median(rates):7.0f} views/s  ({min(rates):.0f} to {max(rates):.0f})")
    print(f"  input and output   {statistics.median(shares):7.1f} % of the time is exposed, goal 5 %  ({min(shares)} to {max(shares)})")


main()
