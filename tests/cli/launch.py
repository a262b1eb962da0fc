"""Launches that went wrong are said in one line, by one process; others are left alone.

Arguments: the program retort, an empty folder."""
import os
import subprocess

from support.cli import MPIRUN, RETORT, judge, main, run, small

STEP = dict(SLURM_JOB_ID=7, SLURM_STEP_ID=0, SLURM_STEP_NUM_TASKS=4, SLURM_NTASKS=4, SLURM_PROCID=0)
ALONE = "4 processes were started together, but MPI finds each of them alone: start with srun --mpi=pmix"


def silent(**changes):
    """A task that is not the first ends with the same code, and says nothing."""
    done = subprocess.run([RETORT, "train"] + small("silent"), capture_output=True, text=True,
                          env={**os.environ, **{name: str(value) for name, value in changes.items()}})
    assert (done.returncode, done.stdout, done.stderr) == (2, "", ""), done


def test_alone():
    """As a task of srun, of Open MPI's mpirun or of MPICH's mpiexec that does not find the others."""
    run("train", small("alone"), code=2, says=ALONE, **STEP)
    silent(**{**STEP, "SLURM_PROCID": 3})
    run("train", small("alone"), code=2, says=ALONE, PMI_SIZE=4, PMI_RANK=0)
    silent(PMI_SIZE=4, PMI_RANK=1)
    for verb in "label", "verify", "distill", "eval", "run":
        run(verb, small("alone"), code=2, says=ALONE, **STEP)
    assert not os.path.exists("alone"), "a run was begun"


def test_other_number():
    """Fewer ranks than were started: the line comes once."""
    command = MPIRUN + ["-n", "2", "env", "OMPI_COMM_WORLD_SIZE=3", RETORT, "train"] + small("other")
    done = subprocess.run(command, capture_output=True, text=True)
    judge("3 of 2", done, 2, "3 processes were started together, but MPI finds 2: start")


def test_not_wrong():
    run("train", small("any"), RETORT_LAUNCH="any", **STEP)
    run("train", small("one"), **{**STEP, "SLURM_STEP_NUM_TASKS": 1, "SLURM_NTASKS": 1})
    run("info", "any", **STEP)
    # mpirun on fewer ranks than the job's tasks; around it stands a step of srun that started its helpers
    done = run("train", small("two"), ranks=2, **{**STEP, "SLURM_STEP_NUM_TASKS": 3})
    assert "processes" not in done.stderr, done.stderr


def test_notes():
    """One process in a batch job of four tasks; more threads than processors."""
    job = {name: value for name, value in STEP.items() if "STEP" not in name}
    note = "retort: note: this Slurm job has 4 tasks, but one process runs"
    assert note in run("train", small("lone"), **job).stderr
    assert note not in run("train", small("pair"), ranks=2, **job).stderr
    done = run("train", small("crowd"), ranks=2, OMP_NUM_THREADS=4, SLURM_JOB_CPUS_PER_NODE="1,2(x3)")
    assert done.stderr.count("retort: note: a node has 8 threads on 2 processors") == 1 or os.cpu_count() < 2, done.stderr
    everything = len(os.sched_getaffinity(0))
    done = run("train", small("crowd2"), OMP_NUM_THREADS=everything + 1)
    assert f"a node has {everything + 1} threads on {everything} processors" in done.stderr, done.stderr
    assert "processors" not in run("train", small("room"), OMP_NUM_THREADS=everything).stderr
    assert "processors" not in run("train", small("quiet"), OMP_NUM_THREADS=everything + 1, RETORT_LAUNCH="any").stderr


main(test_alone, test_other_number, test_not_wrong, test_notes)
