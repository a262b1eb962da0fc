"""Wrong launches under a real Slurm: one clear line. Right ones: none.

Arguments: the program retort, an empty folder."""
import os
import re
import subprocess

from support.testbed import RETORT, ask, end, main, sha, small, start

LINE = "retort: .*start with srun --mpi=pmix, or with the mpirun of the MPI library that Retort was built with.*"
RIGHT = {"all": "srun --mpi=pmix", "fewer": "srun --mpi=pmix --nodes=2 --ntasks=2", "one": "srun --mpi=pmix --nodes=1 --ntasks=1",
         "mpirun": "mpirun", "mpirun2": "mpirun -n 2", "lone": ""}


def test_tasks_alone():
    """srun without PMIx: Open MPI does not begin. And where it does begin, in each task alone."""
    for way in (["--ntasks=4", "--mpi=none"], ["--ntasks=4", "--mpi=pmi2"], ["--ntasks=1", "--mpi=none"],
                ["--ntasks=4", "--mpi=none", "env", "--unset=SLURM_NODELIST"]):
        done = subprocess.run(["srun", *way, RETORT, "train", *small("alone")], capture_output=True,
                              text=True, timeout=120)
        lines = [line for line in (done.stdout + done.stderr).split("\n") if line and not line.startswith("srun:")]
        assert done.returncode == 2 and len(lines) == 1 and re.fullmatch(LINE, lines[0]), f"{way}: {done}"
    assert not os.path.exists("alone"), "a run was begun"


def test_right():
    """In a batch job of four tasks: all of them, fewer, a lone process, by srun and by mpirun."""
    with open("right.sh", "w") as file:
        file.write("#!/bin/bash\n")
        for name, launcher in RIGHT.items():
            file.write(f"echo == {name}\n{launcher} {RETORT} train {' '.join(small(name))} -teacher_epochs 1\n")
    end(ask("sbatch", "--parsable", "--nodes=4", "--ntasks-per-node=1", "--output=right.log", "right.sh").strip())
    said = dict(re.findall(r"== (\w+)\n(.*?)(?=== |\Z)", open("right.log").read(), re.S))
    for name in RIGHT:
        assert sha(f"{name}/teacher.onnx") == sha("all/teacher.onnx"), f"{name}: other bits\n{said}"
        notes = re.findall("retort: .*", said[name])
        assert len(notes) == (name == "lone") and all("this Slurm job has 4 tasks" in note for note in notes), said[name]


start()
main(test_tasks_alone, test_right)
