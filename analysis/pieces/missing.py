"""What a run directory lacks, and how to make it: a line each."""
import glob
import hashlib
import os

from . import similarity
from .runs import ROLES, VERB


def lines(run):
    """What is missing, as sentences."""
    alone = run.options().get("distill_alpha") == "0"  # a student of hard labels has no teacher
    roles = ROLES[alone:]
    found = [line for role in roles for line in of_history(run, role)]
    if not alone:
        found.extend(of_labels(run))
    return [*found, *of_evaluation(run, roles), *of_similarity(run)]


def of_history(run, role):
    history = run.history[role]
    epochs = run.options().get("distill_epochs" if role == "student" else "teacher_epochs")
    again = f"{run.command('run')} goes on"
    if history is None:
        own = "; a teacher of your own has none" if role == "teacher" else ""
        yield f"No {role}-history.nc: {run.command(VERB[role])} writes it{own}."
    elif epochs and int(epochs) > len(history.epoch):
        yield f"The {role} is not finished: {len(history.epoch)} of {epochs} epochs are done; {again}."
    elif role in run.checkpoints:
        yield f"The {role} was stopped: {again} from its checkpoint."


def of_labels(run):
    make = run.command("label")
    if run.store is None:
        yield f"No label store: {make} makes it; without it there are no pictures of soft labels."
    elif len(run.store.shards) < run.store.expected:
        absent = run.store.expected - len(run.store.shards)
        yield f"{absent} of {run.store.expected} shards of the label store are missing: {make} makes them."


def of_evaluation(run, roles):
    result, measure = run.evaluation, run.command("eval")
    if result is None:
        yield f"No eval.nc: {measure} writes it, where the job names a test set (-data_test)."
        return
    if run.store and result.attrs.get("teacher_hash") not in (None, run.store.attributes.get("teacher_hash")):
        yield f"The label store is of another teacher than eval.nc: {run.command('run')} says what to do."
    for role in roles:
        if f"{role}_parameters" not in result:
            yield f"eval.nc does not know the {role}: {run.command(VERB[role])} makes it, {measure} measures it."
        elif stale(run, role):
            yield f"eval.nc is older than {role}.onnx: {measure} measures again."
    both = {"teacher_parameters", "student_parameters"} <= set(result)
    if both and not {"sample_kl", "sample_difference"} & set(result):
        yield f"eval.nc knows no single samples: {measure} adds those on which the models disagree."


def of_similarity(run):
    if run.similarity is not None and similarity.doubt(run):
        again = run.command("eval", "-eval_cka true")
        yield f"cka.nc {similarity.doubt(run)}: {again} makes it again."


def stale(run, role):
    """Whether the run's model is not the one that eval.nc was made on. Of models with weights in files beside them that
    is not asked."""
    path = os.path.join(run.folder, f"{role}.onnx")
    if not os.path.exists(path) or glob.glob(glob.escape(path) + "?*"):
        return False
    return sha256(path) != run.evaluation.attrs.get(f"{role}_hash")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
