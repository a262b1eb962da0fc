"""The files of a run directory, opened with xarray.

Only NetCDF outputs are read: ROLE-history.nc, eval.nc, cka.nc, labels/shard-*.nc, and the test set that a history
names."""
import glob
import os
import re

import numpy as np
import xarray as xr

from .command import Unusable

ROLES = ("teacher", "student")
VERB = {"teacher": "train", "student": "distill"}


def open_file(path, how, load=True, own=True):
    """A file as xarray.Dataset. how: the command that makes it again, for messages; own: it must be Retort's output."""
    try:
        data = xr.open_dataset(path, engine="netcdf4", decode_times=False)
        if load:
            data.load()
            data.close()
    except FileNotFoundError:
        raise Unusable(f"{path}: there is no such file")
    except (OSError, RuntimeError, ValueError, KeyError, IndexError) as error:
        if isinstance(error, PermissionError):
            raise Unusable(f"{path}: you may not read it")
        raise Unusable(f"{path} is damaged, cut off, or not a NetCDF file; make it again with {how}")
    if own and "retort_version" not in data.attrs:
        raise Unusable(f"{path} was not made by Retort; name a run directory of `retort run`")
    return data


def record(data):
    """The options that a file was made with, {name: text}."""
    lines = str(data.attrs.get("options", "")).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def class_names(variable, count):
    """Names of classes from CF's flags, or their numbers."""
    attributes = variable.attrs if variable is not None else {}
    if "class_names" in attributes:
        names = str(attributes["class_names"]).split("\n")
    else:
        names = str(attributes.get("flag_meanings", "")).split()
    return names if len(names) == count else [str(k) for k in range(count)]


class Store:
    """A label store: shards of raw logits. Nothing of it stays in memory."""

    def __init__(self, folder):
        self.folder = folder
        self.shards = sorted(glob.glob(os.path.join(glob.escape(folder), "shard-*.nc")))
        if not self.shards:
            raise Unusable(f"{folder}: there are no shards of a label store here; `retort label` makes them")
        with self._open(self.shards[0]) as first:
            self.attributes = dict(first.attrs)
            self.width = int(first.logits.sizes["class"])
            self.views = int(first.logits.sizes.get("view", 1))
            known = "features" in first and {"features_layer", "features_kept_variance"} <= set(first.attrs)
            self.components = int(first.sizes["component"]) if known else 0
            self.sample_bytes = {  # all views of it, before compression
                name: first[name].dtype.itemsize * int(np.prod(first[name].shape[1:]))
                for name in ("logits", "features")
                if name in first
            }
        self.samples = int(self.attributes["samples_total"])
        self.expected = -(-self.samples // int(self.attributes["shard_size"]))

    def _open(self, path):
        data = open_file(path, "`retort label`", load=False)
        known = "logits" in data and "class" in data.logits.dims
        if not known or not {"samples_total", "shard_size"} <= set(data.attrs):
            data.close()
            raise Unusable(f"{path}: this is not a shard of logits")
        return data

    def blocks(self, numbers=1 << 20):
        """The logits of all shards, as arrays [rows, class] of at most about so many numbers; views are rows of their
        own. Errors: a shard that is damaged, or belongs to another store."""
        rows = max(1, numbers // (self.width * self.views))
        for path in self.shards:
            with self._open(path) as shard:
                for name in "teacher_hash", "dataset_hash", "augment", "precision":
                    if shard.attrs.get(name) != self.attributes.get(name):
                        raise Unusable(
                            f"{path}: its {name} is not that of the other shards; remove it and run `retort label`"
                        )
                for first in range(0, shard.sizes["sample"], rows):
                    try:
                        block = shard.logits.isel(sample=slice(first, first + rows)).values
                    except (OSError, RuntimeError):
                        raise Unusable(f"{path} is damaged; remove it and run `retort label`")
                    yield block.reshape(-1, self.width)


class Run:
    """A run directory. Parts that are absent are None."""

    def __init__(self, folder):
        self.folder = folder
        self.name = os.path.basename(os.path.abspath(folder))
        if not os.path.isdir(folder):
            if os.path.exists(folder):
                raise Unusable(f"{folder}: this is a file; name the run directory that it stands in")
            raise Unusable(f"{folder}: there is no such run directory")
        self.history = {role: self._read(f"{role}-history.nc", VERB[role]) for role in ROLES}
        self.evaluation = self._read("eval.nc", "eval")
        self.similarity = self._read("cka.nc", "eval", "-eval_cka true")
        shards = glob.glob(os.path.join(glob.escape(folder), "labels", "shard-*.nc"))
        self.store = Store(os.path.join(folder, "labels")) if shards else None
        self.checkpoints = [r for r in ROLES if glob.glob(os.path.join(glob.escape(folder), "checkpoint", f"{r}*.nc"))]
        parts = [*self.history.values(), self.evaluation, self.store]
        if all(part is None for part in parts) and not self.checkpoints:
            raise Unusable(f"{folder}: a folder without results of Retort; `retort run` makes them")
        self._check_kinds()

    def _read(self, name, verb, more=""):
        path = os.path.join(self.folder, name)
        return open_file(path, self.command(verb, more)) if os.path.exists(path) else None

    def _check_kinds(self):
        for role, history in self.history.items():
            if history is not None and "epoch" not in history.dims:
                raise Unusable(f"{os.path.join(self.folder, role + '-history.nc')}: this is not a history of epochs")
        if self.similarity is not None and "cka" not in self.similarity:
            raise Unusable(f"{os.path.join(self.folder, 'cka.nc')}: this is not a similarity of layers")

    def command(self, verb, more=""):
        """How to call a verb for this run, with the words that the histories remember. more: options at its end."""
        said = [h.attrs.get("history", "") for h in getattr(self, "history", {}).values() if h is not None]
        words = said[-1] if said else ""
        job, folder = re.search(r" (-job \S+)", words), re.search(r" (-run_dir \S+)", words)
        parts = ["retort", verb, job.group(1) if job else "-job JOB", folder.group(1) if folder else "", more]
        return f"`{' '.join(part for part in parts if part)}`"

    def options(self):
        """{name: text} of all that determined this run's outputs, without the hashes of inputs."""
        found = {}
        for part in (*self.history.values(), self.evaluation):
            if part is not None:
                found.update({k: v for k, v in record(part).items() if k not in ("dataset", "teacher", "start")})
        if self.store:
            lines = str(self.store.attributes.get("options", "")).splitlines()
            found.update(line.split("=", 1) for line in lines if "=" in line)
        return found

    def hashes(self):
        """[(what, SHA-256)] of the inputs and models."""
        rows = {}
        student = record(self.history["student"]) if self.history["student"] is not None else {}
        teacher = record(self.history["teacher"]) if self.history["teacher"] is not None else {}
        stored = self.store.attributes if self.store else {}
        tested = self.evaluation.attrs if self.evaluation is not None else {}
        rows["training set (content)"] = student.get("dataset") or teacher.get("dataset") or stored.get("dataset_hash")
        rows["test set (content)"] = tested.get("dataset_hash")
        rows["teacher.onnx"] = tested.get("teacher_hash") or student.get("teacher") or stored.get("teacher_hash")
        rows["student.onnx"] = tested.get("student_hash")
        rows["the student's start"] = student.get("start")
        return [(what, text) for what, text in rows.items() if text]

    def version(self):
        """Of the Retort that made the outputs."""
        files = [f.attrs for f in (*self.history.values(), self.evaluation) if f is not None]
        files += [self.store.attributes] if self.store else []
        return files[-1]["retort_version"] if files else "(unknown)"

    def regression(self):
        """Whether the models give numbers, not classes."""
        if self.evaluation is not None:
            return "teacher_rmse" in self.evaluation or "student_rmse" in self.evaluation
        histories = [h for h in self.history.values() if h is not None and "train_accuracy" in h]
        return bool(histories) and all(np.isnan(h.train_accuracy).all() for h in histories)

    def temperature(self):
        """Of the soft targets that the student learned from; 1 where it is not known."""
        return float(self.options().get("distill_temperature", 1))

    def names(self, count):
        """Names of `count` classes."""
        known = self.evaluation is not None and "class" in self.evaluation.coords
        return class_names(self.evaluation["class"] if known else None, count)

    def find_test_set(self, given=None):
        """The test set as (xarray.Dataset, None), not loaded, or (None, why it is not found). given: a path that the user
        names. Otherwise the path in the histories, as seen from here and from the folders around the run. Its content
        must be what eval.nc was made on."""
        named = [h.attrs["test_set"] for h in self.history.values() if h is not None and "test_set" in h.attrs]
        places, around = [given] if given else list(named), os.path.abspath(self.folder)
        while named and not given and os.path.dirname(around) != around:
            around = os.path.dirname(around)
            places.append(os.path.join(around, named[-1]))
        for path in places:
            if given and not os.path.exists(path):
                raise Unusable(f"{path}: there is no such test set")
            if not os.path.exists(path):
                continue
            data = open_file(path, "`retort import`", load=False, own=False)
            if self._tested_on(data):
                return data, None
            data.close()
            if given:
                raise Unusable(f"{path}: this is not the test set that eval.nc was made on")
        if not named:
            return None, "no file says where the test set is: name it with --test"
        return None, f"the test set {named[-1]} is not there or is another one: name it with --test"

    def _tested_on(self, data):
        """By its content hash; a dataset that Retort did not import has none, so by its labels."""
        result = self.evaluation
        if "input" not in data or data.input.shape[0] != int(result.samples):
            return False
        if "content_hash" in data.attrs:
            return data.attrs["content_hash"] == result.attrs.get("dataset_hash")
        return "label" not in data or "label" not in result or bool((data.label.values == result.label.values).all())
