"""How the program is called: help, version, mistakes on the command line and in the job file, exit codes.

Arguments: the program retort, an empty folder."""
import os
import re
import subprocess

from support.cli import RANKS, RETORT, TRAIN, main, options, run, small

VERBS = "import train label verify distill eval compress run info job".split()
JOB_VERBS = [verb for verb in VERBS if verb not in ("import", "info", "job")]


def helped(verb):
    """{option: (kind, explanation)} as the verb's help says."""
    text = run(verb, "-help").stdout
    found = {}
    lines = text.split("\n")
    for at, line in enumerate(lines):
        match = re.fullmatch(r"  -(\w+) <(.+)>", line)
        if match:
            assert match[1] not in found, f"{verb} -help names -{match[1]} twice"
            found[match[1].replace("NAME", "own")] = (match[2], lines[at + 1])  # a name that the user chooses
    return found


def test_help():
    usage = run("-help").stdout
    for verb in VERBS:
        assert re.search(rf"^  {verb} +\S", usage, re.M), f"-help does not list {verb}"
    assert len(re.findall(r"^  \w+ ", usage, re.M)) == len(VERBS), usage
    done = run(code=2, says="no verb is given")
    assert done.stdout == usage, "`retort` and `retort -help` print different usages"
    version = run("-version").stdout
    assert re.fullmatch(r"retort \d+\.\d+\.\d+\n", version), version
    for words in ["--version"], ["-v"], ["train", "-version"]:
        assert run(*words).stdout == version, words
    for words in ["--help"], ["-h"]:
        assert run(*words).stdout == usage, words
    for verb in "import", "info", "job":
        assert re.search(rf"^  {verb} .*[A-Z]", run(verb, "-help").stdout, re.M), verb


def test_options_of_verbs():
    known = {}
    for verb in JOB_VERBS:
        found = helped(verb)
        assert len(found) > 5, f"{verb} -help lists {sorted(found)}"
        for name, (kind, explanation) in found.items():
            assert re.fullmatch(r"      \S.*\(default: [^,)]\S*(, .*)?\)", explanation), f"-{name}: {explanation!r}"
            assert known.setdefault(name, (kind, explanation)) == (kind, explanation), f"-{name} differs between verbs"
    # Each is accepted by the parser, with the default that the help names, and each kind refuses what it is not.
    words, wrong = [], {"whole number": "1.5", "whole numbers": "1.5"}
    for name, (kind, explanation) in known.items():
        default = explanation[explanation.index("(default: ") + 10:-1].split(", ")[0]
        if default != "none" and name not in ("job", "run_dir", "data_train"):
            words += ["-" + name, default]
        if kind != "text" and not name.startswith("distill_"):  # those of training are in teacher_ already
            run("run", "-" + name, wrong.get(kind, "nonsense"), code=2, says=f"^retort: -{name}: '")
    run("run", words, "-run_dir", "none", "-data_train", "absent.nc", code=1, says="absent.nc")
    for verb in JOB_VERBS:
        listed = helped(verb)
        assert ("teacher_rate" in listed) == (verb in ("train", "run")), verb
        assert ("distill_rate" in listed) == (verb in ("distill", "run")), verb
        assert ("verify_samples" in listed) == (verb == "verify"), verb
        assert ("eval_bins" in listed) == (verb in ("eval", "run")), verb


def test_mistakes():
    for word, near in ("trian", "train"), ("lable", "label"), ("destill", "distill"), ("infos", "info"), ("evla", "eval"):
        run(word, code=2, says=f"unknown verb '{word}'; did you mean {near}\\?$")
    run("transmogrify", code=2, says="unknown verb 'transmogrify'; `retort -help` lists the verbs")
    job = small("r")
    for words, says in (
            (["-teacher_epoch", "3"], "unknown option -teacher_epoch; did you mean -teacher_epochs\\?$"),
            (["-destill_temperature", "3"], "did you mean -distill_temperature\\?$"),
            (["--run_dir", "r"], "did you mean -run_dir\\?$"),
            (["-zzz", "3"], "unknown option -zzz"),
            (["stray"], "'stray' belongs to no option"),
            (["-label_views", "2", "3"], "'3' belongs to no option"),
            (["-distill_temperature", "0"], r"-distill_temperature: 0 is out of bounds; it goes from 0\.01 to 1e\+06$"),
            (["-distill_temperature", "-4"], "-distill_temperature: -4 is out of bounds"),
            (["-distill_temperature", "nan"], "'nan' is not a number"),
            (["-distill_temperature", "inf"], "'inf' is not a number"),
            (["-distill_temperature", "4x"], "'4x' is not a number"),
            (["-distill_alpha", "1.01"], r"-distill_alpha: 1\.01 is out of bounds; it goes from 0 to 1$"),
            (["-teacher_epochs", "0"], r"-teacher_epochs: 0 is out of bounds; it goes from 1 to 1e\+06$"),
            (["-teacher_epochs", "2.5"], "'2.5' is not a whole number"),
            (["-teacher_epochs", "99999999999999999999"], "out of bounds"),
            (["-label_shard", "0"], "-label_shard: 0 is out of bounds"),
            (["-teacher_hidden", "16,0"], "-teacher_hidden: 0 is out of bounds"),
            (["-teacher_hidden", "16,,16"], "-teacher_hidden: '' is not a whole number"),
            (["-teacher_hidden", "16,"], "-teacher_hidden: '' is not a whole number"),
            (["-teacher_hidden", ",".join(["1"] * 65)], "-teacher_hidden: more than 64 numbers"),
            (["-teacher_dropout", "0.2,1.5"], r"-teacher_dropout: 1\.5 is out of bounds; it goes from 0 to 0\.99$"),
            (["-distill_loss", "kd"], r"-distill_loss: 'kd' is not one of kl\|"),
            (["-distill_loss", "k"], r"-distill_loss: 'k' is not one of"),
            (["-distill_loss", "kl|"], r"is not one of"),
            (["-teacher_normalize", "maybe"], "'maybe' is neither true nor false"),
            (["-run_dir"], "the option -run_dir needs a value"),
            (["-run_dir", "-run_force"], "the option -run_dir needs a value"),
            (["-run_dir", "r/" * 600], "-run_dir: the value is too long")):
        run("run", job, words, code=2, says=says)
    run("train", code=2, says="-run_dir is missing: the directory of the run")
    run("train", "-run_dir", "r", code=2, says="-data_train is missing")
    run("eval", options(run_dir="r", data_train=TRAIN), code=2, says="-data_test is missing")
    run("info", code=2, says="name the files")
    run("job", "-run_dir", "x", code=2, says="name what to print")
    run("job", "-print", code=2, says="-print needs a value")
    run("job", "-print", "run_dri", code=2, says="unknown option -run_dri; did you mean -run_dir")
    run("job", "-print", "run_dir", "-run_dri", "x", code=2, says="unknown option -run_dri")
    run("train", "-print", "run_dir", code=2, says="unknown option -print")
    assert not os.path.exists("r/teacher.onnx"), "something was made in spite of a mistake"


def test_job_file():
    with open("job.yaml", "w") as file:
        file.write(f"""# a comment
run: {{dir: from-job, seed: 3}}
data: {{train: {TRAIN}, holdout: 50}}
teacher:
  hidden: [12, 10]
  dropout: [0.1, 0.2]
  epochs: 1
  nesterov: false
""")
    run("train", "-job", "job.yaml")
    import onnx
    record = {p.key: p.value for p in onnx.load("from-job/teacher.onnx").metadata_props}["retort_record"].split("\n")
    for line in "teacher_hidden=12,10", "teacher_dropout=0.1,0.2", "run_seed=3", "teacher_nesterov=false", "data_holdout=50":
        assert line in record, f"{line} is not in {record}"
    run("train", "-teacher_hidden", "9", "-job", "job.yaml", "-run_dir", "over")
    record = {p.key: p.value for p in onnx.load("over/teacher.onnx").metadata_props}["retort_record"].split("\n")
    assert "teacher_hidden=9" in record and "run_seed=3" in record, "the command line does not override the job file"
    for text, code, says in (
            ("run: {dir: j}\nteacher: {epoch: 3}\n", 2, "unknown option -teacher_epoch; did you mean -teacher_epochs"),
            ("run: {dir: j}\nteach: 3\n", 2, "unknown option -teach"),
            ("run: {dir: j}\nteacher: {epochs: many}\n", 2, "-teacher_epochs: 'many' is not a whole number"),
            ("run: {dir: j}\nlabel: {views: 0}\n", 2, "-label_views: 0 is out of bounds"),
            ("run: {dir: j\n", 1, "bad.yaml: is not a YAML job file"),
            ("\trun: x\n  : ]", 1, "bad.yaml: is not a YAML job file"),
            ("\1\2\3", 1, "bad.yaml: is not a YAML job file"),
            ("just words", 1, "bad.yaml: is not a YAML job file"),
            ("", 2, "-run_dir is missing")):
        with open("bad.yaml", "w") as file:
            file.write(text)
        run("train", "-job", "bad.yaml", code=code, says=says)
    run("train", "-job", "nowhere.yaml", code=1, says="nowhere.yaml: the job file cannot be read: No such file")
    os.mkdir("folder.yaml")
    run("train", "-job", "folder.yaml", code=1, says="folder.yaml: the job file cannot be read: Is a directory")


def test_one_message():
    """However many ranks fail, the user sees one line."""
    for ranks in range(1, min(RANKS, 3) + 1):
        for words, code, says in ((["trian"], 2, "did you mean train"), (["run", "-teacher_epoch", "3"], 2, "did you mean"),
                                  (["train", small("r", distill_temperature=0)], 2, "out of bounds"),
                                  (["train", "-job", "nowhere.yaml"], 1, "cannot be read"),
                                  (["label", small("empty")], 1, "run `retort train` first")):
            run(words, ranks=ranks, code=code, says=says)
    done = run("-help", ranks=2)
    assert done.stdout == run("-help").stdout, "help is printed more than once"
    # A reader that goes away is no reason for a trace.
    done = subprocess.run(["bash", "-c", f"{RETORT} run -help | head -n 1"], capture_output=True, text=True)
    assert not done.stderr, done.stderr


main(test_help, test_options_of_verbs, test_mistakes, test_job_file, test_one_message)
