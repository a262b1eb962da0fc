"""The samples on which teacher and student disagree most: what each says, and the images where they are images."""
import base64
import io
import os

import matplotlib.image
import numpy as np

from .command import Unusable

MOST = 24


def measure(result):
    """Name of the variable that tells how far the models are apart on each sample, or None."""
    return next((name for name in ("sample_kl", "sample_difference") if name in result), None)


def samples(result, most=MOST):
    """Numbers of the samples, the farthest first; of equal ones the first in the file. Where there is no distance at
    all, there is no sample."""
    gap = result[measure(result)].values
    order = np.argsort(-np.nan_to_num(gap, nan=np.inf), kind="stable")[:most]
    return [int(i) for i in order if not gap[i] <= 0]


def describe(result, sample, names):
    """What is known of a sample: {label, teacher, student, gap} as text; of a regression without label."""
    name = measure(result)
    said = {"gap": f"{float(result[name][sample]):.3g}"}
    if "label" in result:
        said["label"] = names[int(result.label[sample])]
    for role in "teacher", "student":
        if f"{role}_prediction" in result:
            k, sure = int(result[f"{role}_prediction"][sample]), float(result[f"{role}_confidence"][sample])
            said[role] = f"{names[k] if k < len(names) else k} ({100 * sure:.0f} %)"
        elif f"{role}_error" in result:
            said[role] = f"error {float(result[f'{role}_error'][sample]):.3g}"
    return said


def image_of(data, sample):
    """A sample as [y, x] or [y, x, 3] of bytes, or None where it is no image: its last dimensions are not y and x."""
    dims = data.input.dims[1:]
    if dims not in (("y", "x"), ("channel", "y", "x"), ("y", "x", "channel")):
        return None
    try:
        values = np.asarray(data.input[sample].values, "f8")
    except (OSError, RuntimeError):
        raise Unusable(f"{data.encoding.get('source', 'the test set')} is damaged; make it again with `retort import`")
    if dims[0] == "channel":
        values = np.moveaxis(values, 0, -1)
    if values.ndim == 3 and values.shape[-1] not in (1, 3):
        return None
    if min(values.shape[:2]) < 2:
        return None
    low, high = values.min(), values.max()
    values = (values - low) / (high - low if high > low else 1)
    return np.round(255 * (values[..., 0] if values.ndim == 3 and values.shape[-1] == 1 else values)).astype("u1")


def png(image):
    """The bytes of a PNG."""
    out = io.BytesIO()
    shades = {} if image.ndim == 3 else {"cmap": "gray", "vmin": 0, "vmax": 255}
    matplotlib.image.imsave(out, image, format="png", metadata={"Software": None}, **shades)
    return out.getvalue()


def tiles(result, data, names, folder=None):
    """[(sample, said, base64 text of a PNG or None)]. data: the test set, or None; folder: for the images as files."""
    found = []
    for sample in samples(result):
        image = image_of(data, sample) if data is not None else None
        encoded = None
        if image is not None:
            content = png(image)
            encoded = base64.b64encode(content).decode()
            if folder:
                with open(os.path.join(folder, f"sample-{sample:06d}.png"), "wb") as file:
                    file.write(content)
        found.append((sample, describe(result, sample, names), encoded))
    return found
