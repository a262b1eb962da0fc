"""What benchmarks share: a teacher, random samples, running programs with one thread each."""
import os
import subprocess
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

# on one node: no copies by the kernel, and large pieces of messages
MPIRUN = ("--bind-to core --mca btl_vader_single_copy_mechanism none --mca btl_vader_max_send_size 262144 "
          "--mca btl_vader_segment_size 33554432").split()
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


def dataset(retort, folder, samples=SAMPLES):
    """Samples like MNIST in size, and a teacher: FOLDER/data.nc, teacher.onnx. Returns options that name them."""
    rng = numpy.random.default_rng(1)
    numpy.save(f"{folder}/x.npy", rng.standard_normal((samples, 784), dtype="f4"))
    numpy.save(f"{folder}/y.npy", rng.integers(0, 10, samples))
    teacher(f"{folder}/teacher.onnx")
    run([retort, "import", "npy", f"{folder}/x.npy", f"{folder}/y.npy", "-o", f"{folder}/data.nc"])
    return ["-data_train", f"{folder}/data.nc", "-teacher_model", f"{folder}/teacher.onnx"]
