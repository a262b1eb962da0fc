"""Jobs that are disturbed go on by themselves, or where they were cancelled when they are submitted again, and end with the
bits of an undisturbed run.

Arguments: the program retort, an empty folder."""
import glob
import os

from support.testbed import (ask, cluster, describe, end, freeze, log, logs, main, outputs, pipeline, ranks, run, show, site, start,
                             state, thaw, wait_for)

wanted = {}


def test_undisturbed():
    """What all the others must come to: one rank, without Slurm."""
    run("run", "-job", "job.yaml", "-run_dir", "alone")
    wanted.update(outputs("alone"))


def submit(folder, *options):
    """A distillation on four nodes, from the teacher and labels of the undisturbed run."""
    os.makedirs(f"{folder}/slurm")
    for name in "teacher.onnx", "labels":
        os.symlink(os.path.join("..", "alone", name), os.path.join(folder, name))
    return ask("sbatch", "--parsable", f"--output={folder}/slurm/distill-%j.log", "--nodes=4", "--ntasks-per-node=1", options,
               "slurm/distill.sbatch", "job.yaml", "-run_dir", folder).strip()


def middle(folder, role="student", count=4):
    """Freeze a training run after its first checkpoint."""
    return freeze(folder, count, lambda: glob.glob(f"{folder}/checkpoint/{role}*.nc"))


def check(folder, stage, most=2):
    """The run is done, with the right bits, in two or so many parts; each went on from the checkpoint of the one before."""
    found = outputs(folder)
    for name in found:
        assert found[name] == wanted[name], f"{folder}/{name} has other bits\n{describe()}"
    assert "student.onnx" in found, f"{folder}: no student\n{describe()}"
    text = log(folder, stage)
    starts = text.count(f"slurm: {stage} in")
    assert 2 <= starts <= most, f"{folder}: {starts} starts\n{text}"
    assert text.count("going on after epoch") == starts - 1, f"{folder}: not all starts used a checkpoint\n{text}"
    assert not [n for n in os.listdir(f"{folder}/slurm") if n.startswith(".")], f"{folder}/slurm: files are left"


def test_preemption():
    """A job in a higher partition takes the nodes while a pipeline trains its teacher."""
    jobs, _ = pipeline("preempted")
    frozen = middle("preempted", "teacher")
    high = ask("sbatch", "--parsable", "--partition=high", "--exclusive", "--nodes=4", "--output=/dev/null", "--wrap",
               "sleep 1").strip()
    end(high)
    thaw(frozen)  # Slurm has done so already
    for job in jobs.values():
        end(job)
    check("preempted", "train")
    assert len(outputs("preempted")) == len(wanted), f"files are missing\n{describe()}"


def test_time_limit():
    """The limit is a minute, and the signal comes 50 seconds before; Slurm looks every half minute."""
    job = submit("limited", "--time=1", "--signal=B:USR1@50")
    frozen = middle("limited")
    wait_for(lambda: "told to stop" in log("limited", "distill"), "the signal before the time limit", 90)
    thaw(frozen)
    end(job)
    check("limited", "distill", most=4)


def test_requeue():
    """By hand; and the job then gets two nodes instead of four."""
    job = submit("requeued")
    middle("requeued")
    ask("scontrol", "requeue", job)
    wait_for(lambda: state(job) == "PENDING", f"job {job} in the queue")
    ask("scontrol", "update", f"JobId={job}", "NumNodes=2-2", "NumTasks=2")
    end(job)
    assert show(job)["NumNodes"] == "2", show(job)
    assert "start 2: 2 ranks of 1 threads on n[1-2]" in log("requeued", "distill"), log("requeued", "distill")
    check("requeued", "distill")


def test_node_failure():
    """Two jobs lose a node: one that only computes, and one where the batch script runs as well."""
    nodes = {"n2": ["n1", "n2"], "n3": ["n3", "n4"]}
    jobs = {dead: submit(f"without-{dead}", "--nodes=2", "--nodelist=" + ",".join(pair)) for dead, pair in nodes.items()}
    frozen = {dead: middle(f"without-{dead}", count=2) for dead in jobs}
    for dead in jobs:
        cluster("kill", dead)
        thaw(frozen[dead])
    for dead, job in jobs.items():
        wait_for(lambda: state(job) == "PENDING", f"job {job} in the queue after {dead} died", 90)
    for dead in jobs:
        cluster("revive", dead)
    for dead, job in jobs.items():
        end(job)
        check(f"without-{dead}", "distill")


def test_cancel():
    """Cancelled is cancelled, with a checkpoint; the pipeline submitted again goes on from there, on
    two nodes."""
    jobs, _ = pipeline("cancelled")
    end(jobs["label"])
    middle("cancelled")
    ask("scancel", jobs["distill"])
    end(jobs["distill"], "CANCELLED")
    end(jobs["eval"], "CANCELLED")
    end(jobs["report"], "CANCELLED")
    assert not ranks("cancelled"), "ranks are left"
    site(distill_resources=["--nodes=2", "--ntasks-per-node=1"])
    again, said = pipeline("cancelled")
    assert sorted(again) == ["distill", "eval", "report"] and said.count("done already") == 2, said
    end(again["report"])
    text = logs("cancelled")[f"distill-{again['distill']}.log"]
    assert "going on after epoch" in text and "2 ranks of 1 threads on n[1-2]" in text, text
    assert outputs("cancelled") == wanted, f"other bits\n{describe()}"


start()
main(test_undisturbed, test_requeue, test_preemption, test_cancel, test_node_failure, test_time_limit)
