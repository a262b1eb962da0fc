#!/usr/bin/env python3
"""Scaling of ridge regression and principal components over ranks: seconds, memory, and the part of the speed of a plain
product in double precision that all ranks reach together in the same run.

    python3 tests/bench/linalg.py [--build build] [--features 1000 2000 4000 8000] [--ranks 1 2 4] [--samples 16384]
                                  [--coretype SkylakeX]

Operations counted: samples · n² for the sums of products of n features (half of the square is enough), n³/3 for ridge,
14/3 n³ for principal components (4/3 to tridiagonal form, 4/3 at most within it, 2 back). Ridge and components contain
the checks of their results, which are not counted. More ranks than cores share them: the plain product does so as well.
Debian's OpenBLAS does not know recent processors; where there is AVX-512 it is told so, by OPENBLAS_CORETYPE.
"""
import argparse
import os
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--features", type=int, nargs="*", default=[1000, 2000, 4000, 8000])
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--samples", type=int, default=16384)
    parser.add_argument("--mpirun", nargs="*", default=["--bind-to", "none", "--oversubscribe", "--mca",
                                                        "btl_vader_single_copy_mechanism", "none"])
    with open("/proc/cpuinfo", encoding="ascii") as file:
        parser.add_argument("--coretype", default="SkylakeX" if " avx512f " in file.read() else "")
    options = parser.parse_args()
    program = os.path.join(options.build, "tests", "bin", "linalg")
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_mpi_yield_when_idle="1")
    if options.coretype:
        environment["OPENBLAS_CORETYPE"] = options.coretype
    print(f"{options.samples} samples, 10 answers, one thread a rank; seconds, and the part of a plain product's speed\n")
    print("| features | ranks | sums of products |  | ridge |  | principal components |  | MiB a rank |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for features in options.features:
        for ranks in options.ranks:
            done = subprocess.run(["mpirun", "-n", str(ranks), *options.mpirun, program, str(features), str(options.samples)],
                                  env=environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{features} features on {ranks} ranks: exit {done.returncode}\n{done.stderr}")
            _, n, samples, sums, ridge, components, rate, memory = map(float, done.stdout.split())
            peak = rate * 1e9 * ranks
            counts = (samples * n * n, n**3 / 3, 14 / 3 * n**3)
            cells = " | ".join(f"{t:.2f} | {100 * c / t / peak:.0f} %" for t, c in zip((sums, ridge, components), counts))
            print(f"| {features} | {ranks} | {cells} | {memory:.0f} |", flush=True)


main()
