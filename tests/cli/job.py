"""`retort job`: what a job says, for scripts; and the scripts of slurm/ that ask it, without a Slurm.

Arguments: the program retort, an empty folder."""
import os
import subprocess

from support.cli import RETORT, SOURCE, environment, main, run

NAMES = ["runs/a", "runs/lr=0.2,T=4", "with blanks", "it's", 'a "b"', "$HOME `id`", "a#b: {c}, [d]", "100%j\\n", "ä"]


def write(name, **more):
    quoted = "'" + name.replace("'", "''") + "'"
    with open("job.yaml", "w") as file:
        file.write(f"run: {{dir: {quoted}, seed: 7}}\ndistill:\n  alpha: {more.get('alpha', 0.5)}\n")
        file.write("".join(f"{key}: {value}\n" for key, value in more.items() if key != "alpha"))


def said(*words, **how):
    return run("job", "-job", "job.yaml", words, **how).stdout.split("\n")[:-1]


def test_values():
    for name in NAMES:
        write(name)
        assert said("-print", "run_dir") == [name], name
        assert said("-print", "distill_alpha,run_dir,run_seed,data_test", ranks=2) == ["0.5", name, "7", ""], name
        assert not os.path.exists(name), f"{name} was made"
    assert said("-run_dir", "b", "-print", "run_dir") == ["b"], "the command line"
    assert said("-print", "run_dir", "-run_dir", "b") == ["b"], "the command line, behind"
    assert said("-print", "data_memory,label_views,teacher_hidden,run_force") == ["4294967296", "1", "1200,1200", "false"], "defaults"
    said("-print", "run_dir,run_seet", code=2, says="unknown option -run_seet; did you mean -run_seed")
    with open("job.yaml", "w") as file:
        file.write('run: {dir: "a\\nb"}\n')
    said("-print", "run_dir", code=2, says="-run_dir: the value has more than one line")


def shell(script, *words):
    """A piece of bash with the functions of slurm/stage.sh."""
    code = f'set -euo pipefail; source "{SOURCE}/slurm/stage.sh"; RETORT=$1; shift; {script}'
    done = subprocess.run(["bash", "-c", code, "script", RETORT, *words], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scripts():
    for name in NAMES:
        write(name)
        assert shell('find_run "$@"; printf %s "$run"', "job.yaml") == name, name
    for alpha, more, words, wanted in ((0.5, {}, [], "train label distill"), (0, {}, [], "distill"), ("0.00", {}, [], "distill"),
                                       (0.5, {"teacher": "{model: my teacher.onnx}"}, ["-data_test", "t.nc"], "label distill eval"),
                                       (0.5, {}, ["-distill_teacher", "here"], "train distill"),
                                       (0, {}, ["-distill_terms_a_loss", "rkd"], "train label distill"),
                                       (0.5, {}, ["-distill_terms_a_loss", "ce", "-data_test", "t.nc"], "distill eval")):
        write("run", alpha=alpha, **more)
        assert shell('find_run "$@"; echo "${stages[@]}"', "job.yaml", *words).split() == wanted.split(), (alpha, more, words)
        assert said("-print", "stages", *words) == [wanted], "retort job"


def test_state():
    """What is done is made again when a file that the job names is another one, whatever the name of that file."""
    write("a run", data="{train: 'my data, 1.nc'}")
    os.makedirs("a run/slurm")
    for name in "a run/teacher.onnx", "my data, 1.nc":
        with open(name, "w") as file:
            file.write("1")
    script = 'find_run "$@"; mark_done train "$@"; is_done train "$@" && echo done; echo 22 >"$2"; is_done train "$@" || echo changed'
    for changed in "my data, 1.nc", "a run/teacher.onnx":
        code = script.replace('"$2"', f"'{changed}'")
        assert shell(code, "job.yaml").split() == ["done", "changed"], changed


main(test_values, test_scripts, test_state)
