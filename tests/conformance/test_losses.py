"""Losses against PyTorch in float64: values and gradients. Losses of rows on ragged batches with padding; relations of
batches as the authors' code has them (github.com/lenscloth/RKD), cut over ranks, with rows that are equal."""

import ctypes
import itertools

import common
import library
import numpy

torch = common.need_torch()
F = torch.nn.functional
retort = library.load()
retort.rt_loss_at.restype = ctypes.c_void_p
POINTER, DOUBLE, INT64 = ctypes.c_void_p, ctypes.c_double, ctypes.c_int64
SHARE = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, ctypes.c_int, ctypes.POINTER(DOUBLE))


class Rows(ctypes.Structure):
    _fields_ = [
        ("rows", INT64),
        ("width", ctypes.c_int),
        *((name, POINTER) for name in ("sample", "student", "teacher", "label")),
        ("weight", DOUBLE),
        ("temperature", DOUBLE),
        ("option", POINTER),
    ]


class Batch(ctypes.Structure):
    _fields_ = [
        *((name, INT64) for name in ("rows", "first", "own")),
        ("width", ctypes.c_int),
        ("teacher_width", ctypes.c_int),
        ("student", POINTER),
        ("teacher", POINTER),
        ("weight", DOUBLE),
        ("temperature", DOUBLE),
        ("option", POINTER),
        ("threads", ctypes.c_int),
        ("room", POINTER),
        ("share", SHARE),
        ("context", POINTER),
    ]


class Option(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), *((name, DOUBLE) for name in ("initial", "least", "most")), ("help", ctypes.c_char_p)]


class Loss(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("help", ctypes.c_char_p),
        ("traits", ctypes.c_uint),
        ("option", Option * 5),
        ("evaluate", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Rows), POINTER, POINTER)),
        ("meet", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Batch), POINTER, POINTER)),
        ("room", ctypes.CFUNCTYPE(INT64, ctypes.POINTER(Batch))),
    ]


def table():
    """The rows of the table, by name."""
    rows = []
    while address := retort.rt_loss_at(len(rows)):
        rows.append(Loss.from_address(address))
    return {row.name.decode(): row for row in rows}


LOSSES = table()


def near(is_, expected, tolerance=1e-11):
    """Relative to the largest number."""
    return numpy.abs(is_ - expected).max(initial=0) <= tolerance * max(numpy.abs(expected).max(initial=0), 1e-300)


# --- losses of rows -------------------------------------------------------------------------------------------------


def kl(z, t, label, T, option):
    return T * T * F.kl_div(F.log_softmax(z / T, 1), F.log_softmax(t / T, 1), reduction="none", log_target=True).sum(1)


def half_square(z, t, label, T, option):
    return 0.5 * F.mse_loss(z, t, reduction="none").sum(1)


ROW_REFERENCES = {
    "kl": kl,
    "ce": lambda z, t, label, T, option: F.cross_entropy(z, label, reduction="none", label_smoothing=option[0]),
    "logits": half_square,
    "mse": lambda z, t, label, T, option: F.mse_loss(z, t, reduction="none").mean(1),
    "hint": half_square,
    "cosine": lambda z, t, label, T, option: 1 - F.cosine_similarity(z, t, 1),
}


def check_rows(name, data, weight, T, option, case):
    rows, width = data["student"].shape
    value, gradient, before = numpy.full(rows, numpy.nan), numpy.full((rows, width), 0.25), 0.25
    options = numpy.array(option + [0.0] * 4)
    arrays = {key: array.ctypes.data for key, array in data.items()}
    given = Rows(rows=rows, width=width, weight=weight, temperature=T, option=options.ctypes.data, **arrays)
    error = LOSSES[name].evaluate(given, value.ctypes.data, gradient.ctypes.data)
    assert error == 0, f"{name} returned {error}"

    keep = data["sample"] >= 0
    z, t = (torch.from_numpy(data[k][keep]).double() for k in ("student", "teacher"))
    expected = ROW_REFERENCES[name](z.requires_grad_(), t, torch.from_numpy(data["label"][keep]).long(), T, option)
    (weight * expected).sum().backward()
    slope = z.grad.numpy()
    common.check(near(value[keep], expected.detach().numpy()), f"{case}: {value[keep]}, PyTorch {expected}")
    # what is added to 0.25 keeps 1e-16 of that
    off = numpy.abs(gradient[keep] - before - slope).max()
    common.check(off <= 1e-11 * numpy.abs(slope).max() + 1e-15, f"{case}: gradients are off by {off}")
    common.check((value[~keep] == 0).all() and (gradient[~keep] == before).all(), f"{case}: padding")


def test_rows(random):
    cases = 0
    for name, width, T, weight, smoothing, size in itertools.product(
        ROW_REFERENCES, (2, 10, 300), (1.0, 2.5, 20.0), (1.0, 0.3), (0.0, 0.1), (2.0, 50.0, 1e4)
    ):
        if smoothing and name != "ce":
            continue
        rows = 13
        data = {
            "sample": numpy.where(random.random(rows) < 0.2, -1, random.integers(0, 1 << 40, rows)),
            "student": (size * random.standard_normal((rows, width))).astype(numpy.float32),
            "teacher": (size * random.standard_normal((rows, width))).astype(numpy.float32),
            "label": random.integers(0, width, rows).astype(numpy.int32),
        }
        option = [smoothing] if name == "ce" else []
        check_rows(name, data, weight, T, option, f"{name}, width {width}, T {T}, weight {weight}, {option}, size {size}")
        cases += 1
    return cases


# --- losses of batches ----------------------------------------------------------------------------------------------


def met(name, student, teacher, weight, option, cuts=(), threads=1):
    """Value and gradient of a batch, cut over ranks that are run one after the other until what they share settles."""
    rows = len(student)
    value, gradient = numpy.full(rows, numpy.nan), numpy.full(student.shape, numpy.nan)
    options, given = numpy.array(option), {}
    ends = [0, *cuts, rows]
    settled = False
    while not settled:
        settled = True
        for first, end in itertools.pairwise(ends):
            calls = itertools.count()

            def share(context, count, numbers):
                nonlocal settled
                array = numpy.ctypeslib.as_array(numbers, (rows, count))
                board = given.setdefault(next(calls), numpy.zeros((rows, count)))
                settled = settled and numpy.array_equal(board[first:end], array[first:end], equal_nan=True)
                board[first:end] = array[first:end]
                array[:] = board
                return 0

            batch = Batch(
                rows=rows, first=first, own=end - first, width=student.shape[1], teacher_width=teacher.shape[1],
                student=student.ctypes.data, teacher=teacher.ctypes.data, weight=weight, temperature=1,
                option=options.ctypes.data, threads=threads, share=SHARE(share),
            )  # fmt: skip
            room = numpy.full(LOSSES[name].room(batch), numpy.nan)
            batch.room = room.ctypes.data
            error = LOSSES[name].meet(batch, value[first:].ctypes.data, gradient[first:].ctypes.data)
            assert error == 0, f"{name} returned {error}"
    return value, gradient


def pdist(e):
    square = e.pow(2).sum(1)
    distance = (square[:, None] + square[None, :] - 2 * e @ e.T).clamp(min=1e-12).sqrt()
    distance = distance.clone()
    distance[range(len(e)), range(len(e))] = 0
    return distance


def unit_angles(e):
    unit = F.normalize(e.unsqueeze(0) - e.unsqueeze(1), p=2, dim=2)
    return torch.bmm(unit, unit.transpose(1, 2))


def rkd(z, t, option):
    """RkdDistance and RKdAngle of the authors' metric/loss.py."""
    d, d_t = pdist(z), pdist(t)
    distance = F.smooth_l1_loss(d / d[d > 0].mean(), d_t / d_t[d_t > 0].mean())
    angle = F.smooth_l1_loss(unit_angles(z), unit_angles(t))
    return option[0] * distance + option[1] * angle


BATCH_REFERENCES = {"rkd": rkd}


def torchs(name, student, teacher, weight, option):
    """Loss, and the gradient that `meet` promises: of the sum of shares whose mean is the loss."""
    z, t = torch.from_numpy(student).double().requires_grad_(), torch.from_numpy(teacher).double()
    loss = BATCH_REFERENCES[name](z, t, option)
    (weight * len(student) * loss).backward()
    return loss.item(), z.grad.numpy()


def draw(random, rows, width):
    return random.standard_normal((rows, width)).astype(numpy.float32)


def check_batch(name, student, teacher, weight, option, case):
    value, gradient = met(name, student, teacher, weight, option)
    loss, slope = torchs(name, student, teacher, weight, option)
    common.check(near(value.mean(), loss), f"{case}: {value.mean()}, PyTorch {loss}")
    common.check(near(gradient, slope, 1e-10), f"{case}: gradients are off by {numpy.abs(gradient - slope).max()}")
    return value, gradient


def test_batches(random):
    cases = 0
    shapes, options = ((3, 2, 2), (11, 7, 5), (32, 10, 40)), ([25.0, 50.0], [1.0, 0.0], [0.0, 2.0])
    for name, (rows, width, teacher_width), weight, option, size in itertools.product(
        BATCH_REFERENCES, shapes, (1.0, 0.3), options, (0.1, 1, 20)
    ):
        case = f"{name}, {rows} rows, widths {width} and {teacher_width}, weight {weight}, options {option}, size {size}"
        student, teacher = size * draw(random, rows, width), draw(random, rows, teacher_width)
        whole = check_batch(name, student, teacher, weight, option, case)
        for cuts, threads in (((1,), 1), ((1, 1, 2), 2), ((2, rows), 3)):
            parts = met(name, student, teacher, weight, option, cuts, threads)
            common.check(all(map(numpy.array_equal, whole, parts)), f"{case}: other bits when cut at {cuts}")
        order = random.permutation(rows)
        _, moved = met(name, student[order], teacher[order], weight, option)
        common.check(near(moved, whole[1][order]), f"{case}: gradients do not follow their rows")
        cases += 1
    return cases


def test_equal_rows(random):
    """Where rows of both are equal, or all rows are, PyTorch's gradient. Where some of the student's alone are, normalize
    makes it 1e12 times the slope of an angle; there the value is PyTorch's, and such a pair pulls nowhere."""
    cases = 0
    for rows, both, option in itertools.product(
        ([1, 4], [0, 3, 4, 8], range(9)), (True, False), ([25.0, 0.0], [0.0, 50.0], [25.0, 50.0])
    ):
        rows = list(rows)
        student, teacher = draw(random, 9, 5), draw(random, 9, 6)
        student[rows] = student[rows[0]]
        if both:
            teacher[rows] = teacher[rows[0]]
        case = f"rkd, rows {rows} equal in {'both' if both else 'the student'}, options {option}"
        if both or not option[1] or len(rows) == 9:
            check_batch("rkd", student, teacher, 0.3, option, case)
        else:
            value, gradient = met("rkd", student, teacher, 0.3, option)
            loss, slope = torchs("rkd", student, teacher, 0.3, option)
            common.check(near(value.mean(), loss), f"{case}: {value.mean()}, PyTorch {loss}")
            common.check(numpy.abs(gradient).max() < 1e3 < numpy.abs(slope).max(), f"{case}: gradient {gradient}, {slope}")
        cases += 1
    return cases


def test_few_rows(random):
    """Of two rows PyTorch says zero too; of one it says NaN, the mean of nothing."""
    student, teacher = draw(random, 2, 5), draw(random, 2, 6)
    check_batch("rkd", student, teacher, 0.3, [25.0, 50.0], "rkd of two rows")
    student, teacher = student[:1], teacher[:1]
    loss, _ = torchs("rkd", student, teacher, 1.0, [25.0, 50.0])
    value, gradient = met("rkd", student, teacher, 1.0, [25.0, 50.0])
    common.check(numpy.isnan(loss) and not value.any() and not gradient.any(), f"rkd of one row: {value}, {gradient}")
    return 2


def main():
    random = numpy.random.default_rng(1)
    for name, loss in LOSSES.items():
        there = name in (BATCH_REFERENCES if loss.meet else ROW_REFERENCES)
        common.check(there, f"the loss {name} has no reference here")
    cases = test_rows(random) + test_batches(random) + test_equal_rows(random) + test_few_rows(random)
    common.finish(f"{cases} cases of losses against PyTorch {torch.__version__}")


main()
