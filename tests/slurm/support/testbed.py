"""What the tests of the Slurm scripts share: a Slurm of four nodes, jobs in it, and what a run must look like.

Each test is called as  X.py RETORT FOLDER : the program, an empty folder to work in."""
import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "cli"))
from support.cli import RETORT, SLOW, SOURCE, TEST, TRAIN, environment, flatten, main, outputs, run, same, sha, small  # noqa: E402,F401

FOLDER = os.getcwd()
CLUSTER = os.path.join(HERE, "..", "cluster.sh")
NODES = ["n1", "n2", "n3", "n4"]

JOB = f"""# a small job, in both ways of writing YAML
run:     {{dir: run, seed: 5}}
data:    {{train: {TRAIN}, test: {TEST}, holdout: 100}}
augment: {{shift: 2}}
teacher: {{hidden: [16], dropout: [0.1, 0.3], epochs: 80, batch: 60}}
label:   {{shard: 40, views: 20, batch: 20}}
student:
  hidden: [16]
distill:
  epochs: 80            # a second or two
  batch: 60
  optimizer: adamw
  rate: 0.002
"""


def cluster(action, *words, check=True):
    done = subprocess.run([CLUSTER, action, os.path.join(FOLDER, "cluster"), *words], capture_output=True, text=True)
    if done.returncode == 77:
        print(done.stdout)
        sys.exit(77)
    assert done.returncode == 0 or not check, f"cluster.sh {action}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def leave(*_):
    sys.exit(1)  # so that the daemons are taken down


def start():
    """Start the cluster, and lay out a folder as a user has it: slurm/ copied and site.sh changed, and a job file."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "SBATCH_", "SRUN_", "OMPI_MCA_btl", "OMPI_MCA_orte", "OMPI_MCA_odls")):
            del os.environ[name]
    os.environ["SLURM_CONF"] = os.path.join(FOLDER, "cluster", "slurm.conf")
    atexit.register(cluster, "stop", check=False)
    signal.signal(signal.SIGTERM, leave)
    cluster("start")
    shutil.copytree(os.path.join(SOURCE, "slurm"), "slurm")
    if os.path.isdir(os.path.join(SOURCE, "analysis")):
        os.symlink(os.path.join(SOURCE, "analysis"), "analysis")
    os.environ["RETORT"] = RETORT
    with open("job.yaml", "w") as file:
        file.write(JOB)
    with open("slurm/site.sh", "a") as file:
        file.write("for stage in train label distill; do declare -n r=${stage}_resources\n"
                   "  r=(--nodes=4 --ntasks-per-node=1 --time=10); done\n"
                   f"python={sys.executable}\n")


def site(**values):
    """Lines at the end of site.sh: the last one holds. A list becomes an array."""
    with open("slurm/site.sh", "a") as file:
        for name, value in values.items():
            file.write(f"{name}=({' '.join(value)})\n" if isinstance(value, (list, tuple)) else f"{name}='{value}'\n")


def ask(*words, code=0, **changes):
    """Run a command; returns what it says."""
    done = subprocess.run(list(flatten(words)), capture_output=True, text=True, timeout=120, env=environment(**changes))
    assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def show(job):
    """What Slurm says of a job, by name."""
    return dict(re.findall(r"(\w+)=(\S*)", ask("scontrol", "show", "job", "-o", str(job)).split("\n")[0]))


def state(job):
    return show(job)["JobState"]


def pipeline(folder, *words):
    """Submit all stages; returns {stage: job} and what was said."""
    said = ask("slurm/pipeline.sh", "job.yaml", "-run_dir", folder, words)
    return dict(re.findall(r"^(\w+) +job (\d+)", said, re.M)), said


def wait_for(ready, what, seconds=60):
    start_time = time.time()
    while True:
        value = ready()
        if value:
            return value
        assert time.time() - start_time < seconds * SLOW, f"{what}: not after {seconds * SLOW} s\n{describe()}"
        time.sleep(0.02)


ENDS = "COMPLETED FAILED CANCELLED TIMEOUT NODE_FAIL OUT_OF_MEMORY BOOT_FAIL DEADLINE".split()


def end(job, wanted="COMPLETED", seconds=120):
    """Wait until a job has ended."""
    found = wait_for(lambda: (lambda s: s in ENDS and s)(state(job)), f"job {job}", seconds)
    assert found == wanted, f"job {job} is {found}, not {wanted}\n{describe()}"


def logs(folder):
    names = os.listdir(os.path.join(folder, "slurm")) if os.path.isdir(os.path.join(folder, "slurm")) else []
    return {name: open(os.path.join(folder, "slurm", name)).read() for name in sorted(names) if name.endswith(".log")}


def log(folder, stage):
    found = [text for name, text in logs(folder).items() if name.startswith(stage + "-")]
    assert len(found) == 1, f"{folder}: {len(found)} logs of {stage}"
    return found[0]


def describe():
    """For the message of a failed check: the queue, and the end of every log."""
    text = ask("squeue", "--all", "-o", "%i %j %T %r")
    for folder in sorted(os.listdir(".")):
        for name, words in logs(folder).items():
            text += f"--- {folder}/slurm/{name}\n" + "\n".join(words.split("\n")[-12:])
    return text


def ranks(folder):
    """Processes of the program that work on a run."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline") as file:
                words = file.read().split("\0")
        except OSError:
            continue
        if words[0] == RETORT and folder in words:
            found.append(int(number))
    return found


def freeze(folder, count, ready):
    """As soon as ready() holds, all ranks of a run stand still: it is in its middle for as long as a test needs."""
    wait_for(ready, f"{folder}: its middle")
    found = ranks(folder)
    for number in found:
        os.kill(number, signal.SIGSTOP)
    assert len(found) == count, f"{folder}: {len(found)} ranks, not {count}: the run is too short?\n{describe()}"
    return found


def thaw(found):
    for number in found:
        try:
            os.kill(number, signal.SIGCONT)
        except ProcessLookupError:
            pass
