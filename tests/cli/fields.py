"""Datasets with several fields, written by netCDF4 alone, and models with two inputs: labelled, distilled, evaluated, with the
same bits on any number of ranks; what does not fit is refused by name.

Arguments: the program retort, an empty folder."""
import netCDF4
import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper
from support.cli import RANKS, main, metadata, nothing_half_written, outputs, read, run, same, small

FEATURES, POSITIONS, WORDS, CLASSES = 5, 6, 20, 3
NAMES = ("sample", "position", "feature")
draw = np.random.default_rng(7)
MIX = draw.normal(size=(FEATURES, CLASSES)), draw.normal(size=(POSITIONS, CLASSES)) / 6


def put(data, name, type, axes, values, **attributes):
    variable = data.createVariable(name, type, axes, fill_value=attributes.pop("fill", None))
    variable.set_auto_maskandscale(False)
    variable[...] = values
    variable.setncatts(attributes)


def dataset(name, samples, seed, change=None, length=POSITIONS, extra=None):
    """What somebody would write by hand: token, input, label, mask, weight, and what is no field."""
    random = np.random.default_rng(seed)
    token = random.integers(0, WORDS, (samples, length))
    inputs = random.normal(size=(samples, FEATURES)).astype("f4")
    score = inputs @ MIX[0] + np.resize(token, (samples, POSITIONS)) @ MIX[1] - 10 * MIX[1].sum(0)
    with netCDF4.Dataset(name, "w") as data:
        for axis, size in zip(NAMES, (samples, length, FEATURES)):
            data.createDimension(axis, size)
        put(data, "token", "i8", ("sample", "position"), token)
        put(data, "input", "f4", ("sample", "feature"), inputs)
        put(data, "mask", "u1", ("sample", "position"), token > 3)
        put(data, "weight", "f4", ("sample",), random.random(samples))
        put(data, "label", "i4", ("sample",), score.argmax(1), classes=np.int32(CLASSES))
        put(data, "sample", "i8", ("sample",), np.arange(samples))
        put(data, "table", "f4", ("position", "sample"), 1)
        data.createVariable("note", "S1", ("sample", "position"))
        if extra:
            extra(data)
    return token, inputs


def model(name, inputs, hidden=8, seed=1):
    """Two inputs, one of whole numbers: Cast, MatMul, Add, Relu, MatMul. inputs: [(name, type, shape)] in this order."""
    random = np.random.default_rng(seed)
    weights = [("w", (FEATURES, hidden)), ("v", (POSITIONS, hidden)), ("u", (hidden, CLASSES))]
    tensors = [onnx.numpy_helper.from_array((random.normal(size=shape) / 3).astype("f4"), key) for key, shape in weights]
    x, i = inputs[0][0], inputs[1][0]
    nodes = [helper.make_node("Cast", [i], ["number"], to=T.FLOAT), helper.make_node("Div", ["number", "ten"], ["small"]),
             helper.make_node("MatMul", ["small", "v"], ["b"]), helper.make_node("MatMul", [x, "w"], ["a"]), helper.make_node("Add", ["a", "b"], ["c"]),
             helper.make_node("Relu", ["c"], ["d"]), helper.make_node("MatMul", ["d", "u"], ["logits"])]
    tensors.append(onnx.numpy_helper.from_array(np.array(10, "f4"), "ten"))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(*entry) for entry in inputs],
                              [helper.make_tensor_value_info("logits", T.FLOAT, ["batch", CLASSES])], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), name)
    return {key: onnx.numpy_helper.to_array(t).astype("f8") for key, t in zip("wvu", tensors)}


FREE = [("x", T.FLOAT, ["batch", FEATURES]), ("input_ids", T.INT64, ["batch", "position"])]
JOB = dict(data_train="train.nc", data_test="test.nc", data_holdout=100, label_shard=150, label_batch=64, teacher_model="teacher.onnx", student_model="student.onnx",
           teacher_inputs="x=input,input_ids=token", student_inputs="input_ids=token", distill_batch=32)


def job(folder, **changes):
    return small(folder, **{**JOB, **changes})


def prepare():
    dataset("train.nc", 600, 1)
    dataset("test.nc", 300, 2)
    model("student.onnx", FREE, hidden=4, seed=2)


def test_info():
    done = run("info", "train.nc", "student.onnx")
    for line in ("600 samples of 5 (float)", "3 classes", "field 'input': float, feature 5, from -", "field 'label': int32, one number, from 0 to 2",
                 "field 'mask': uint8, position 6, from 0 to 1", "field 'token': int64, position 6, from 0 to 19", "field 'weight': float, one number, from 0",
                 "input 'input_ids': int64 sample x position"):
        assert line in done.stdout, f"info does not say {line!r}:\n{done.stdout}"
    for absent in "table", "note", "'sample'":
        assert absent not in done.stdout, f"{absent} is no field\n{done.stdout}"


def test_end_to_end():
    weight = model("teacher.onnx", FREE)
    for verb in "label", "verify", "distill", "eval":
        run(verb, job("one"))
    nothing_half_written("one")
    token, inputs = read("train.nc", "token"), read("train.nc", "input")
    wanted = np.maximum(inputs.astype("f8") @ weight["w"] + token / 10 @ weight["v"], 0) @ weight["u"]
    labels = np.concatenate([read(f"one/labels/shard-{s:06d}.nc", "logits") for s in range(4)])
    assert np.abs(labels.reshape(wanted.shape) - wanted).max() < 1e-4, "labels are not NumPy's"
    shape = onnx.load("one/student.onnx").graph.input[1].type.tensor_type.shape
    assert [d.dim_param for d in shape.dim] == ["sample", "position"], "the student has lost the names of its axes"
    output = onnx.load("one/student.onnx").graph.output[0].type.tensor_type.shape
    assert [d.dim_param or d.dim_value for d in output.dim] == ["sample", CLASSES], output
    assert float(read("one/eval.nc", "teacher_accuracy")) == (
        (np.maximum(read("test.nc", "input") @ weight["w"] + read("test.nc", "token") / 10 @ weight["v"], 0) @ weight["u"]).argmax(1) == read("test.nc", "label")).mean()
    loss = read("one/student-history.nc", "train_loss")
    assert loss[-1] < loss[0], "the student does not learn"
    before = outputs("one")
    for ranks in range(2, min(RANKS, 3) + 1):
        run("run", job(f"on{ranks}"), ranks=ranks)
        same(f"on{ranks}", before, f"{ranks} ranks")
    run("run", job("threads"), OMP_NUM_THREADS=3)
    same("threads", before, "3 threads")
    run("run", job("one"), says="student.onnx is done already")
    run("distill", job("one", student_inputs="x=weight,input_ids=token"), code=1, says="input 'x' reads 5 numbers a sample, the field 'weight' of the dataset has 1")
    run("label", job("one", teacher_inputs="x=input,input_ids=mask"), code=1, says="made from something else: its teacher_hash")


def test_windows():
    """Only what is read is held; the same bits on any ranks with windows too, and other bits than from memory."""
    run("run", job("w1", data_memory="24K", label_batch=16, eval_batch=16, data_holdout=40))
    before = outputs("w1")
    assert "data_window=" in metadata("w1/student.onnx")["retort_record"], "there are no windows"
    run("run", job("w2", data_memory="24K", label_batch=16, eval_batch=16, data_holdout=40), ranks=2)
    same("w2", before, "windows on 2 ranks")


def test_features():
    """Layers of a model with two inputs: components, and how alike they are."""
    run("run", job("cka", label_features="c", label_components=3, eval_cka="true"), ranks=2)
    run("run", job("cka1", label_features="c", label_components=3, eval_cka="true"))
    same("cka", outputs("cka1"), "features on 2 ranks")
    assert read("cka1/labels/shard-000000.nc", "features").shape[-1] == 3


def test_svd():
    run("run", job("svd", student_model="", student_inputs="", student_init="svd", student_init_parameters=60, teacher_inputs="input_ids=token"))
    nothing_half_written("svd")


def test_names():
    """By name without options; by order where one is left over; a float input of whole numbers."""
    model("teacher.onnx", [("input", T.FLOAT, ["batch", FEATURES]), ("token", T.INT64, ["batch", POSITIONS])])
    run("label", job("names", teacher_inputs=""))
    model("teacher.onnx", FREE)
    run("label", job("pairs"))
    a, b = (read(f"{folder}/labels/shard-000001.nc", "logits") for folder in ("names", "pairs"))
    assert np.array_equal(a, b), "the same numbers by other names"
    model("teacher.onnx", [("x", T.FLOAT, ["batch", FEATURES]), ("token", T.INT32, ["batch", POSITIONS])])
    run("label", job("narrow", teacher_inputs="x=input"), code=1, says="the teacher's input 'token' reads int32, the field 'token' of the dataset holds int64")
    model("teacher.onnx", [("x", T.FLOAT, ["batch", FEATURES]), ("mask", T.INT32, ["batch", POSITIONS])])
    run("label", job("bytes", teacher_inputs="x=input"))
    wanted = read("bytes/labels/shard-000001.nc", "logits")
    model("teacher.onnx", [("x", T.FLOAT, ["batch", FEATURES]), ("mask", T.FLOAT, ["batch", POSITIONS])])
    run("label", job("floats", teacher_inputs="x=input"))
    assert np.array_equal(wanted, read("floats/labels/shard-000001.nc", "logits")), "bytes as int32 and as float differ"


def test_job():
    """The same from a job file; an input that nothing in the model reads."""
    model("teacher.onnx", FREE + [("mask", T.UINT8, ["batch", POSITIONS])])
    with open("job.yaml", "w") as file:
        file.write("run: {dir: yaml}\ndata: {train: train.nc}\nlabel: {shard: 150, batch: 64}\nteacher: {model: teacher.onnx, inputs: 'x=input, input_ids=token'}\n")
    run("label", "-job", "job.yaml")
    a, b = (read(f"{folder}/labels/shard-000001.nc", "logits") for folder in ("yaml", "pairs"))
    assert np.array_equal(a, b), "an input that nothing reads changes labels"


def picture_set(name, axes, type="u1"):
    with netCDF4.Dataset(name, "w") as data:
        for axis, size in zip(("sample",) + axes, (200, 4, 4)):
            data.createDimension(axis, size)
        put(data, "input", type, ("sample",) + axes, np.random.default_rng(3).integers(0, 9, (200, 4, 4)))
        put(data, "label", "i4", ("sample",), np.arange(200) % CLASSES, classes=np.int32(CLASSES))


def test_pictures():
    """A model that reads bytes gets bytes, and no views of them; the test set must have the training set's axes."""
    weight = np.random.default_rng(3).normal(size=(16, CLASSES)).astype("f4")
    picture_set("picture.nc", ("y", "x"))
    picture_set("turned.nc", ("x", "y"))
    for name, type in ("bytes.onnx", T.UINT8), ("floats.onnx", T.FLOAT):
        nodes = [helper.make_node("Cast", ["input"], ["a"], to=T.FLOAT), helper.make_node("Flatten", ["a"], ["b"]), helper.make_node("MatMul", ["b", "w"], ["logits"])]
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("input", type, ["batch", 4, 4])], [helper.make_tensor_value_info("logits", T.FLOAT, ["batch", CLASSES])],
                                  [onnx.numpy_helper.from_array(weight, "w")])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), name)
    own = dict(data_train="picture.nc", data_test="picture.nc", data_holdout=0, student_hidden=4)
    run("label", small("bytes8", **own, teacher_model="bytes.onnx"))
    run("label", small("floats8", **own, teacher_model="floats.onnx"))
    assert np.array_equal(*(read(f"{folder}/labels/shard-000000.nc", "logits") for folder in ("bytes8", "floats8")))
    views = dict(own, label_views=2, augment_shift=1)
    run("label", small("views", **views, teacher_model="floats.onnx"))
    run("label", small("views8", **views, teacher_model="bytes.onnx"), code=1, says="the teacher's input 'input' reads uint8: let it read float")
    run("run", small("turned", **dict(own, data_test="turned.nc"), teacher_model="floats.onnx"), code=1,
        says="test set does not go with the training set, whose field 'input' has the axis 'y' in place 1, the field 'input' of the dataset in place 2")


def test_lengths():
    """A free axis has the length that each dataset gives it: the test set's may be another one."""
    random = np.random.default_rng(5)
    for name, hidden in ("cut.onnx", 8), ("cut_student.onnx", 4):
        tensors = [onnx.numpy_helper.from_array(random.normal(size=shape).astype("f4"), key) for key, shape in (("w", (FEATURES, hidden)), ("u", (hidden, CLASSES)))]
        nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["b"]), helper.make_node("MatMul", ["b", "u"], ["logits"]),
                 helper.make_node("Cast", ["input_ids"], ["words"], to=T.FLOAT)]
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(*entry) for entry in FREE],
                                  [helper.make_tensor_value_info("logits", T.FLOAT, None), helper.make_tensor_value_info("words", T.FLOAT, None)], tensors)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), name)
    dataset("longer.nc", 200, 3, length=POSITIONS + 1)
    run("run", job("cut", teacher_model="cut.onnx", student_model="cut_student.onnx", data_test="longer.nc"), ranks=2)
    assert float(read("cut/eval.nc", "samples")) == 200
    shapes = [[d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim] for output in onnx.load("cut/student.onnx").graph.output]
    assert shapes == [["sample", CLASSES], ["sample", "position"]], shapes


def test_refused():
    model("teacher.onnx", FREE)
    for inputs, code, says in (
            ("x=inptu,input_ids=token", 1, "-teacher_inputs: the dataset has no field 'inptu', the nearest is 'input'; it has input, label, mask, token, weight"),
            ("y=input", 1, "-teacher_inputs: the teacher has no input 'y'; it has x, input_ids"),
            ("x", 2, "-teacher_inputs: 'x' is not INPUT=FIELD"), ("x=input,x=token", 1, "the input 'x' stands twice"),
            ("x=input,input_ids=input", 1, "input_ids' reads int64, the field 'input' of the dataset holds float"),
            ("x=token,input_ids=token", 1, "'x' reads 5 numbers a sample, the field 'token' of the dataset has 6"),
            ("input_ids=weight,x=input", 1, "reads int64, the field 'weight' of the dataset holds float"),
            ("", 1, "the teacher's input '(x|input_ids)' is no field of the dataset, which has .* -teacher_inputs (x|input_ids)=FIELD")):
        run("label", job("no", teacher_inputs=inputs), code=code, says=says, ranks=2)
    run("distill", job("no", student_model="", distill_alpha=0), code=2, says="-student_inputs says what a model file reads")
    shape = ["batch", "feature", "position"]
    graph = helper.make_graph([helper.make_node("Flatten", ["picture"], ["logits"])], "g", [helper.make_tensor_value_info("picture", T.FLOAT, shape)],
                              [helper.make_tensor_value_info("logits", T.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), "order.onnx")

    def pictures(data):
        put(data, "picture", "f4", ("sample", "position", "feature"), 1)

    dataset("order.nc", 200, 3, extra=pictures)
    run("label", job("no", teacher_model="order.onnx", teacher_inputs="", data_train="order.nc"), code=1,
        says="'picture' has the axis 'feature' in place 1, the field 'picture' of the dataset in place 2: write the field in the other order")
    same_name = [("x", T.FLOAT, ["batch", "n"]), ("input_ids", T.INT64, ["batch", "n"])]
    model("teacher.onnx", same_name)
    run("label", job("no"), code=1, says="the teacher's axis 'n' has two lengths: 6 in the field 'token', which its input 'input_ids' reads, elsewhere 5")
    model("teacher.onnx", [("x", T.FLOAT, ["batch", FEATURES]), ("input_ids", T.INT64, ["position", "batch"])])
    run("label", job("no"), code=1, says="counts samples on its axis 1 .'batch'., not on its first one")
    model("teacher.onnx", FREE)
    run("eval", job("one", data_test="longer.nc"), code=1, says="node .b. .MatMul.: 7 columns meet 6 rows")


def test_hostile():
    """Fields that nobody wants harm nobody; sizes are checked before they are believed."""
    model("teacher.onnx", FREE)

    def huge(data):
        data.createDimension("huge", 2**40)
        data.createVariable("bad", "f4", ("sample", "huge"), chunksizes=(1, 1000))

    def product(data):
        for k in range(3):
            data.createDimension(f"d{k}", 2**31)
        data.createVariable("bad", "f4", ("sample", "d0", "d1", "d2"), chunksizes=(1, 1, 1, 1000))

    def deep(data):
        for k in range(9):
            data.createDimension(f"d{k}", 1)
        data.createVariable("bad", "f4", ("sample",) + tuple(f"d{k}" for k in range(9)))

    def short(data):
        data.createDimension("other", 17)
        put(data, "bad", "f4", ("other",), 0)

    def holes(data):
        put(data, "bad", "f4", ("sample",), np.nan)

    def packed(data):
        put(data, "bad", "i2", ("sample", "position"), 3, scale_factor=0.5)

    def unit(data):
        put(data, "bad", "i2", ("sample", "position"), 3, scale_factor=0.0)

    for change, says in (huge, "'bad' claims 200 samples of 1099511627776 numbers"), (product, "'bad' is too large"), (unit, "scale_factor or add_offset of 'bad' is zero"):
        dataset("bad.nc", 200, 3, extra=change)
        for verb, more in ("label", {}), ("info", None):
            run(verb, "bad.nc" if more is None else job("bad", data_train="bad.nc"), code=1, says=says)
    for number, change in enumerate((deep, short, holes, packed)):
        dataset("bad.nc", 200, 3, extra=change)
        run("label", job(f"good{number}", data_train="bad.nc", data_holdout=0))
        run("info", "bad.nc", says="field 'bad': float, one number, some numbers are missing or not finite" if change == holes else "dataset, complete")
    run("label", job("bad", data_train="bad.nc", teacher_inputs="x=input,input_ids=bad"), code=1, says="'input_ids' reads int64, the field 'bad' of the dataset has whole numbers with a scale")
    model("teacher.onnx", [("x", T.FLOAT, ["batch", FEATURES]), ("input_ids", T.FLOAT, ["batch", POSITIONS])])

    def missing(data):
        token = np.full((200, POSITIONS), 5)
        token[150, 3] = -1
        put(data, "bad", "i4", ("sample", "position"), token, fill=np.int32(-1))

    dataset("bad.nc", 200, 3, extra=missing)
    run("label", job("good9", data_train="bad.nc", data_holdout=0))
    run("label", job("bad", data_train="bad.nc", teacher_inputs="x=input,input_ids=bad"), code=1, says="bad.nc: the bad of sample 150 is missing .element 3")

    def other_samples(data):
        data.createDimension("other", 17)
        put(data, "target", "f4", ("other",), 0)

    dataset("bad.nc", 200, 3, extra=other_samples)
    run("info", "bad.nc", code=1, says="the first dimension of 'target' is 'other', which does not count the samples")


def test_text():
    """A dataset without the field input."""
    with netCDF4.Dataset("text.nc", "w") as data:
        data.createDimension("sample", 300)
        data.createDimension("position", POSITIONS)
        token = np.random.default_rng(5).integers(0, WORDS, (300, POSITIONS))
        put(data, "token", "i4", ("sample", "position"), token)
        put(data, "label", "i4", ("sample",), token[:, 0] % CLASSES)
    assert "300 samples\n" in run("info", "text.nc").stdout
    random = np.random.default_rng(4)
    graph = helper.make_graph([helper.make_node("Cast", ["ids"], ["number"], to=T.FLOAT), helper.make_node("MatMul", ["number", "w"], ["logits"])], "g",
                              [helper.make_tensor_value_info("ids", T.INT64, ["batch", "t"])], [helper.make_tensor_value_info("logits", T.FLOAT, ["batch", CLASSES])],
                              [onnx.numpy_helper.from_array(random.normal(size=(POSITIONS, CLASSES)).astype("f4"), "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), "text.onnx")
    text = dict(data_train="text.nc", data_test="text.nc", teacher_model="text.onnx", student_model="text.onnx", teacher_inputs="", student_inputs="")
    run("run", job("text", **text), ranks=2)
    assert float(read("text/eval.nc", "samples")) == 300
    run("train", small("text2", data_train="text.nc"), code=1, says="a perceptron reads the field 'input', which the dataset has not: name a model file")
    run("label", job("text3", **{**text, "augment_shift": 1, "label_views": 2}), code=1, says="augmentation moves pictures")


if __name__ == "__main__":
    main(prepare, test_info, test_end_to_end, test_windows, test_features, test_svd, test_names, test_job, test_pictures, test_lengths, test_refused, test_hostile, test_text)
