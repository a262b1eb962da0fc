"""Runs of older releases: what they made is found done, and their checkpoints go on, though records have grown since.

Arguments: the program retort, an empty folder."""
import os
import re
import zlib

import onnx

from support.cli import checkpoint, checkpoints, edit, main, metadata, outputs, run, same, sha, small

# Records as the release wrote them that came first with such records, for the job of small(); never to be changed.
KEPT = {"teacher": """
run_seed=1 reduce=tree data_holdout=100 data_holdout_seed=0 augment_shift=0 augment_rotate=0 augment_scale=0
augment_shear=0 teacher_arch=mlp teacher_hidden=16 teacher_dropout= teacher_normalize=false teacher_epochs=2
teacher_batch=256 teacher_lanes=8 teacher_optimizer=sgd teacher_rate=0.05 teacher_momentum=0.9 teacher_nesterov=true
teacher_beta1=0.9 teacher_beta2=0.999 teacher_epsilon=1e-08 teacher_weight_decay=0 teacher_max_norm=0 teacher_clip=0
teacher_skip_bad=false teacher_label_smoothing=0 teacher_schedule=cosine teacher_warmup=0 teacher_final=0
teacher_factor=0.1 teacher_every=10 teacher_precision=fp32 teacher_select=best teacher_samples=0 teacher_omit=
tao_type=lmvm dataset={dataset} teacher= start=
""", "student": """
run_seed=1 reduce=tree data_holdout=100 data_holdout_seed=0 augment_shift=0 augment_rotate=0 augment_scale=0
augment_shear=0 label_precision=fp32 label_views=1 student_arch=mlp student_hidden=16 student_dropout=
student_normalize=false student_init=random student_init_lambda=0.1 student_init_samples=0 student_init_parameters=0
student_init_energy=0 distill_loss=kl distill_temperature=4 distill_alpha=0.9 distill_epochs=2 distill_batch=256
distill_lanes=8 distill_optimizer=sgd distill_rate=0.05 distill_momentum=0.9 distill_nesterov=true distill_beta1=0.9
distill_beta2=0.999 distill_epsilon=1e-08 distill_weight_decay=0 distill_max_norm=0 distill_clip=0
distill_skip_bad=false distill_label_smoothing=0 distill_schedule=cosine distill_warmup=0 distill_final=0
distill_factor=0.1 distill_every=10 distill_precision=fp32 distill_select=best distill_samples=0 distill_omit=
tao_type=lmvm dataset={dataset} teacher={teacher} start=
"""}
LATER = "clip", "skip_bad", "label_smoothing"  # options that a still older release would not have had


def kept(role, without=(), add="", **inputs):
    words = KEPT[role].format(**inputs).split()
    return "".join(word + "\n" for word in words if not word.split("=")[0].endswith(tuple(without))) + add


def inputs_of(path):
    return dict(re.findall(r"^(dataset|teacher)=(\S+)$", metadata(path)["retort_record"], re.M))


def rewrite(path, record):
    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key == "retort_record":
            entry.value = record
    onnx.save(model, path)


def all_ways(role, path, verb, job):
    """A model with the record of an older release: done; refused by name where a new option has another value."""
    inputs = inputs_of(path)
    section = {"teacher": "teacher", "student": "distill"}[role]
    for record in kept(role, **inputs), kept(role, LATER, **inputs):
        rewrite(path, record)
        before = sha(path)
        run(verb, job, says=f"{role}.onnx is done already")
        assert sha(path) == before, f"{path} was made again"
    run(verb, job, f"-{section}_clip", "2", code=1, says=f"{role}.onnx was made with {section}_clip 0, now it is 2")
    rewrite(path, kept(role, add=f"{section}_gone=7\n", **inputs))
    run(verb, job, code=1, says=f"{role}.onnx was made with {section}_gone 7, now it is absent")
    rewrite(path, kept(role, **inputs))


def test_models():
    job = small("old")
    run("train", job)
    all_ways("teacher", "old/teacher.onnx", "train", job)
    run("run", job)
    all_ways("student", "old/student.onnx", "distill", job)
    run("eval", job)  # eval.nc names the hashes of the files as they are now
    before = outputs("old")
    assert run("run", job, ranks=2).stdout.count("is done already") == 3, "something was made again"
    same("old", before, "a run of an older release")


def reseal(path):
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content + b"retort-seal crc32 %08x %020d\n" % (zlib.crc32(content), len(content)))


def unseal(path):
    with open(path, "rb+") as file:
        file.truncate(os.path.getsize(path) - 48)


def test_checkpoints():
    """A checkpoint of an older release goes on, with the bits of a run that nothing stopped."""
    run("train", small("whole"))
    run("train", small("midway", checkpoint_steps=1, stop_after=1e-6), code=75)
    path = checkpoint("midway", "teacher", checkpoints("midway", "teacher")[0])
    inputs = inputs_of("whole/teacher.onnx")
    for add, job, code, says in (("", dict(teacher_clip=2), 1, "was written with teacher_clip 0, now it is 2"),
                                 ("teacher_gone=7\n", {}, 1, "was written with teacher_gone 7, now it is absent"),
                                 ("", {}, 0, "teacher: going on after epoch 0, step 1 of")):
        unseal(path)
        with edit(path) as data:
            data.setncattr("options", kept("teacher", LATER, add, **inputs))
        reseal(path)
        run("train", small("midway", **job), code=code, says=says)
    same("midway", outputs("whole"), "a checkpoint of an older release")


main(test_models, test_checkpoints)
