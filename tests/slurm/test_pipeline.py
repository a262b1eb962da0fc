"""The scripts of slurm/ as users call them: the whole pipeline, job arrays, heterogeneous jobs, mpirun, mistakes.

Arguments: the program retort, an empty folder."""
import glob
import os
import re

from support.testbed import (JOB, RETORT, ask, describe, end, freeze, log, logs, main, outputs, pipeline, run, same, show, site,
                             start, state, thaw, wait_for)

wanted = {}


def test_undisturbed():
    """What all must come to: one rank, without Slurm."""
    run("run", "-job", "job.yaml", "-run_dir", "alone")
    wanted.update(outputs("alone"))


def test_pipeline():
    """Over four nodes, with one rank or two a node, of one thread or two: the bits of one rank. Queue, mail and status tell
    about it; what is done is not done again."""
    site(mail="me@example.org", train_resources=["--nodes=4", "--ntasks-per-node=2"],
         distill_resources=["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=2"])
    jobs, said = pipeline("piped")
    assert list(jobs) == ["train", "label", "distill", "eval", "report"], said
    frozen = freeze("piped", 8, lambda: glob.glob("piped/checkpoint/teacher*.nc"))
    assert "piped: train" in ask("squeue", "--noheader", "--format=%k", "--jobs=" + jobs["train"])
    status = ask("slurm/status.sh", "piped")
    assert re.search(r"train +begun +\d+ of 80 epochs done, \d+ (s|min) left, checkpoint of \d+ s ago", status), status
    assert "then label distill eval report" in status and re.search(rf"job {jobs['train']} +train +RUNNING", status), status
    again, said = pipeline("piped")
    assert "in the queue already" in said and again == jobs, said
    thaw(frozen)
    for job in jobs.values():
        end(job)
    same("piped", wanted, "the pipeline")
    assert "8 ranks of 1 threads on n[1-4]" in log("piped", "train"), log("piped", "train")
    assert "2 ranks of 2 threads on n[1-2]" in log("piped", "distill") and "2 x 2 threads" in log("piped", "distill"), describe()
    page = glob.glob("piped/report/*.html")
    assert page or not os.path.exists("analysis/report.py"), log("piped", "report")
    status = ask("slurm/status.sh", "piped")
    assert re.search("train +done.*\n +label +done.*\n +distill +done.*\n +eval +done", status), status
    assert "all done" in ask("slurm/status.sh", "-line", "piped") or not page, status
    mails = open("cluster/mail.txt").read()
    assert re.search(rf"to me@example.org: .*Job_id={jobs['report']} Name=report Ended", mails), mails
    assert "Failed" not in mails, mails
    times = {name: os.stat(name).st_mtime_ns for name in glob.glob("piped/**", recursive=True)}
    again, said = pipeline("piped")
    assert not again and said.count("done already") == 4 and "all is done" in said, said
    assert times == {name: os.stat(name).st_mtime_ns for name in times}, "something was written"
    site(mail="", train_resources=["--nodes=4", "--ntasks-per-node=1"], distill_resources=["--nodes=4", "--ntasks-per-node=1"])


def failed(jobs, first, why):
    """The first job has failed at once and for good, the others are cancelled, and the log's last line says why."""
    end(jobs[first], "FAILED", 30)
    for stage in list(jobs)[list(jobs).index(first) + 1:]:
        end(jobs[stage], "CANCELLED", 30)
    assert show(jobs[first])["Restarts"] == "0", show(jobs[first])
    text = [text for name, text in logs("piped").items() if name == f"{first}-{jobs[first]}.log"][0]
    assert re.search(why, text.rstrip().split("\n")[-1]), text


def test_mistakes():
    """In the job file; in an option of a stage that was done with another one; and where nothing can be submitted."""
    for before, after, code, why in (("epochs: 80", "epoch: 80", 2, "retort: unknown option.*teacher_epoch"),
                                     ("{hidden", "{{hidden", 1, "retort: job.yaml: is not a YAML job file")):
        with open("job.yaml", "w") as file:
            file.write(JOB.replace(before, after, 1))
        said = ask("slurm/pipeline.sh", "job.yaml", "-run_dir", "piped", code=code)
        assert re.search(f"{why}.*\nslurm: job.yaml cannot be read", said), said
        job = ask("sbatch", "--parsable", "--output=job-%j.log", "slurm/train.sbatch", "job.yaml").strip()
        end(job, "FAILED", 30)
        assert re.search(why, open(f"job-{job}.log").read()), open(f"job-{job}.log").read()
    with open("job.yaml", "w") as file:
        file.write(JOB)
    jobs, _ = pipeline("piped", "-teacher_rate", "0.01")
    failed(jobs, "train", "train failed with exit code 1: retort: .*teacher.onnx was made with teacher_rate 0.05, now it is 0.01")
    same("piped", wanted, "after the mistakes")
    site(distill_resources=["--partition=none"])
    said = ask("slurm/pipeline.sh", "job.yaml", "-run_dir", "none", code=1)
    assert "no stage is submitted" in said, said
    left = ask("squeue", "--noheader", "--states=PENDING,CONFIGURING,RUNNING")  # one that had begun may still be ending
    assert not left, f"half a pipeline is left:\n{left}"
    site(distill_resources=["--nodes=4", "--ntasks-per-node=1"])
    for words in [], ["absent.yaml"]:
        assert ask("slurm/pipeline.sh", words, code=2).startswith("slurm: "), words
    said = ask("slurm/pipeline.sh", "slurm/site.sh", code=1)
    assert re.match("retort: slurm/site.sh: is not a YAML job file.*\nslurm: ", said), said


def test_names():
    """Whatever the name of a run's directory: a job in a file that ends, and is found done."""
    for name in "lr=0.2,T=4", "it's [a] \"b\" 100%j; #$x":
        folder = "runs/" + name
        with open("named.yaml", "w") as file:
            file.write(JOB.replace("dir: run,", "dir: '" + folder.replace("'", "''") + "',"))
        said = ask("slurm/pipeline.sh", "named.yaml")
        for job in re.findall(r"^\w+ +job (\d+)", said, re.M):
            end(job)
        same(folder, wanted, name)
        assert "train in " + folder in log(folder, "train"), describe()
        assert "all is done" in ask("slurm/pipeline.sh", "named.yaml"), folder
        assert "eval     done" in ask("slurm/status.sh", folder), folder
        follow = re.search("^follow     (.*)", said, re.M)[1]
        assert "eval     done" in ask("bash", "-c", follow), follow


def test_array():
    """Three jobs of two ranks at once label one store, and one of them is queued again meanwhile."""
    many = ["-label_views", "300"]
    os.makedirs("array/slurm")
    os.makedirs("single")
    for folder in "array", "single":
        os.symlink("../alone/teacher.onnx", f"{folder}/teacher.onnx")
    run("label", "-job", "job.yaml", "-run_dir", "single", many)
    job = ask("sbatch", "--parsable", "--output=array/slurm/label%a-%A.log", "slurm/label-array.sbatch", "job.yaml", "-run_dir",
              "array", many).strip()
    frozen = freeze("array", 6, lambda: glob.glob("array/labels/shard-*.nc"))
    status = ask("slurm/status.sh", "array")
    assert re.search(r"label +begun +\d+ of 30 shards made", status), status
    ask("scontrol", "requeue", f"{job}_1")
    thaw(frozen)
    for task in range(3):
        end(f"{job}_{task}")
    assert "start 2: 2 ranks" in log("array", "label1"), describe()
    assert all("start 2" not in log("array", f"label{task}") for task in (0, 2)), describe()
    assert outputs("array") == outputs("single"), "a store made by three jobs has other bits"


def test_array_in_pipeline():
    site(label_array="0-2", label_resources=["--nodes=1", "--ntasks-per-node=1"])
    jobs, _ = pipeline("arrayed")
    end(jobs["report"])
    assert len([name for name in logs("arrayed") if name.startswith("label-")]) == 3, describe()
    same("arrayed", wanted, "a pipeline with a job array")
    site(label_array="", label_resources=["--nodes=4", "--ntasks-per-node=1"])


def test_hetero():
    """Teacher on three nodes, student on one, in one job that is queued again in the middle."""
    os.makedirs("hetero/slurm")
    job = ask("sbatch", "--parsable", "--output=hetero/slurm/all-%j.log", "slurm/hetero.sbatch", "job.yaml", "-run_dir",
              "hetero").strip()
    frozen = freeze("hetero", 2, lambda: glob.glob("hetero/checkpoint/student*.nc"))
    ask("scontrol", "requeue", job)
    thaw(frozen)
    end(job)
    same("hetero", wanted, "a heterogeneous job")
    text = log("hetero", "all")
    assert "train in hetero, job %s, start 1: 6 ranks of 1 threads" % job in text, text
    assert "student: going on after epoch" in text, text


def test_mpirun():
    """By mpirun: the signal before the time limit reaches the ranks, and the job goes on."""
    site(launcher=["mpirun", "--bind-to", "none"])
    os.makedirs("mpirun/slurm")
    for name in "teacher.onnx", "labels":
        os.symlink(f"../alone/{name}", f"mpirun/{name}")
    job = ask("sbatch", "--parsable", "--output=mpirun/slurm/distill-%j.log", "--nodes=4", "--ntasks-per-node=1",
              "slurm/distill.sbatch", "job.yaml", "-run_dir", "mpirun").strip()
    frozen = freeze("mpirun", 4, lambda: glob.glob("mpirun/checkpoint/student*.nc"))
    ask("scancel", "--batch", "--signal=USR1", job)
    wait_for(lambda: "told to stop" in log("mpirun", "distill"), "the signal")
    thaw(frozen)
    wait_for(lambda: state(job) != "RUNNING", f"job {job} queued again")
    end(job)
    assert outputs("mpirun")["student.onnx"] == wanted["student.onnx"], describe()
    assert "student: going on after epoch" in log("mpirun", "distill"), describe()
    site(launcher=["srun", "--mpi=pmix"])


def test_no_progress():
    """A program that is killed each time is given up."""
    with open("killed.sh", "w") as file:
        file.write(f'#!/bin/sh\ncase $1 in info | job) exec {RETORT} "$@";; esac\nkill -9 $$\n')
    os.chmod("killed.sh", 0o755)
    site(tries="2")
    os.makedirs("stuck/slurm")
    job = ask("sbatch", "--parsable", "--output=stuck/slurm/train-%j.log", "--nodes=1", "--ntasks=1", "slurm/train.sbatch",
              "job.yaml", "-run_dir", "stuck", RETORT=os.path.abspath("killed.sh")).strip()
    end(job, "FAILED")
    text = log("stuck", "train")
    assert "started 2 times and got no further" in text.rstrip().split("\n")[-1] and text.count("exit code 137") == 2, text


start()
main(test_undisturbed, test_pipeline, test_mistakes, test_names, test_array, test_array_in_pipeline, test_hetero, test_mpirun,
     test_no_progress)
