import json

import pytest
from hypothesis import given, strategies as st

from serving.protocols import oip
from serving.worker import framing
from serving.worker.oip import infer, tensors
from serving.worker.oip.arrange import BadInput
from serving.worker.oip.signature import signature

DOUBLE = {"type": "double", "required": True}
COLUMNS = signature(
    {
        "inputs": [
            {**DOUBLE, "name": "length"},
            {**DOUBLE, "name": "width"},
            {"type": "string", "name": "colour", "required": False},
        ],
        "params": [{"name": "depth", "type": "long", "default": 1}],
    }
)
NUMBERS = signature({"inputs": [{**DOUBLE, "name": "length"}, {**DOUBLE, "name": "width"}]})
TENSOR = signature(
    {"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2, 2]}}]}
)
TENSORS = signature(
    {
        "inputs": [
            {"type": "tensor", "name": "a", "tensor-spec": {"dtype": "int64", "shape": [-1]}},
            {"type": "tensor", "name": "b", "tensor-spec": {"dtype": "bool", "shape": [-1, 1]}},
        ]
    }
)
NOTHING = signature({})


def one(name="length", datatype="FP64", shape=(1,), data=(1.0,), **more):
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": list(data), **more}


def ask(known, *inputs, **more):
    question = oip.question(json.dumps({"inputs": list(inputs), **more}).encode(), known, "made")
    head, buffers = tensors.unpack(tensors.pack(question.head, question.buffers))
    values = [
        tensors.decode(column["datatype"], buffer)
        for column, buffer in zip(head["columns"], buffers, strict=True)
    ]
    return head, values


def test_columns_arrive_in_the_order_of_the_signature():
    head, values = ask(COLUMNS, one("width", data=[2]), one("length", data=[1]))
    assert head["form"] == "frame"
    assert head["names"] == ["length", "width"]
    assert values == [[1.0], [2.0]]


def test_one_tensor_may_carry_all_columns_of_one_type():
    head, values = ask(NUMBERS, one("x", shape=[2, 2], data=[[1, 2], [3, 4]]))
    assert head["names"] == ["length", "width"]
    assert head["columns"][0]["shape"] == [2, 2]
    assert values == [[1, 2, 3, 4]]


def test_a_column_may_have_one_dimension_or_two():
    for shape in ([2], [2, 1]):
        head, _ = ask(
            NUMBERS, one("length", shape=shape, data=[1, 2]), one("width", shape=[2], data=[1, 2])
        )
        assert [column["shape"] for column in head["columns"]] == [[2], [2]]


def test_safe_types_are_taken_for_a_wider_column():
    head, _ = ask(NUMBERS, one("length", "INT32", data=[1]), one("width", "FP32"))
    assert [column["datatype"] for column in head["columns"]] == ["INT32", "FP32"]


def test_a_tensor_signature_gets_an_array():
    head, values = ask(TENSOR, one("any", "FP32", [1, 2, 2], [[[1, 2], [3, 4]]]))
    assert head["form"] == "array"
    assert values == [[1, 2, 3, 4]]


def test_named_tensors_get_a_dict():
    head, _ = ask(TENSORS, one("b", "BOOL", [1, 1], [True]), one("a", "INT64", [1], [1]))
    assert head["form"] == "dict"
    assert head["names"] == ["a", "b"]


def test_without_a_signature_one_tensor_is_an_array_and_columns_are_a_frame():
    assert ask(NOTHING, one())[0]["form"] == "array"
    assert ask(NOTHING, one("a"), one("b", "BYTES", [1], ["x"]))[0]["form"] == "frame"
    assert ask(NOTHING, one("a", shape=[1, 2], data=[1, 2]), one("b"))[0]["form"] == "dict"


def test_parameters_of_the_signature_cross_and_others_do_not():
    head, _ = ask(COLUMNS, one(), one("width"), parameters={"depth": 3, "content_type": "pd"})
    assert head["params"] == {"depth": 3}


@pytest.mark.parametrize(
    ("known", "inputs", "said"),
    [
        (COLUMNS, [one()], "input 'width' is missing: expected FP64 of shape [-1, 1]"),
        (
            COLUMNS,
            [one(), one("width"), one("depth")],
            "input 'depth' is not one of the model's inputs: colour, length, width",
        ),
        (COLUMNS, [one(), one()], "input 'length' was sent twice"),
        (
            NUMBERS,
            [one(), one("width", "INT64", data=[1])],
            "input 'width': expected FP64, got INT64",
        ),
        (
            NUMBERS,
            [one(), one("width", "BYTES", data=["1"])],
            "input 'width': expected FP64, got BYTES",
        ),
        (
            NUMBERS,
            [one(), one("width", data=["x"])],
            "input 'width': expected numbers (FP64), got \"x\"",
        ),
        (
            NUMBERS,
            [one(), one("width", shape=[2], data=[1, 2])],
            "input 'width' has 2 rows, but 'length' has 1",
        ),
        (
            NUMBERS,
            [one(), one("width", shape=[1, 2], data=[1, 2])],
            "input 'width': expected shape [-1, 1], got [1, 2]",
        ),
        (
            NUMBERS,
            [one("x", shape=[1, 3], data=[1, 2, 3])],
            "input 'x': expected 2 columns (length, width), got 3",
        ),
        (NUMBERS, [one("x", "INT64", [1, 2], [1, 2])], "column 'length': expected FP64, got INT64"),
        (NUMBERS, [one(shape=[2])], "input 'length': expected 2 values for the shape [2], got 1"),
        (
            NUMBERS,
            [one(shape=[2, 2], data=[[1], [2, 3]])],
            "input 'length': expected 2 values in each of 2",
        ),
        (
            NUMBERS,
            [one(shape=[2, 1], data=[[1]])],
            "input 'length': 'data' does not have the shape [2, 1]",
        ),
        (NUMBERS, [one(shape=[-1], data=[])], "input 'length': 'shape' must be"),
        (NUMBERS, [one(shape=[])], "input 'length': 'shape' must be"),
        (NOTHING, [one(shape=[1] * 33)], "'shape' has 33 dimensions: at most 32 are taken"),
        (NOTHING, [one(shape=[9 * 10**18] * 90_000)], "has 90000 dimensions: at most 32 are taken"),
        (NOTHING, [one(shape=[0, 2**62], data=[])], "is larger than a tensor can be"),
        (NOTHING, [one(shape=[2**16, 2**16])], "is larger than a tensor can be"),
        (NUMBERS, [one(datatype="FLOAT")], "input 'length': datatype 'FLOAT' is not one of BOOL"),
        (
            NUMBERS,
            [{"name": "length", "datatype": "FP64", "shape": [1]}],
            "input 'length' has no 'data'",
        ),
        (NUMBERS, [one() | {"data": 5}], "input 'length': 'data' must be a list"),
        (NUMBERS, [5], "inputs[0] must be an object"),
        (NUMBERS, [], "'inputs' must be a list"),
        (TENSOR, [one("x", "FP64", [1, 2, 2], [1, 2, 3, 4])], "input 'x': expected FP32, got FP64"),
        (
            TENSOR,
            [one("x", "FP32", [1, 4], [1, 2, 3, 4])],
            "input 'x': expected shape [-1, 2, 2], got [1, 4]",
        ),
        (TENSOR, [one("x"), one("y")], "expected one tensor, FP32 of shape [-1, 2, 2], got 2"),
        (
            TENSORS,
            [one("a", "INT64", [1], [1])],
            "input 'b' is missing: expected BOOL of shape [-1, 1]",
        ),
    ],
)
def test_bad_input_names_the_tensor_and_what_was_expected(known, inputs, said):
    with pytest.raises(BadInput) as raised:
        ask(known, *inputs)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[]", "the body must be a JSON object"),
        (b"{}", "'inputs' must be a list"),
    ],
)
def test_a_body_that_is_no_request_is_refused(body, said):
    with pytest.raises(BadInput, match="." if said is None else said):
        oip.question(body, NUMBERS, "made")


def test_a_type_that_the_protocol_cannot_carry_points_to_invocations():
    known = signature({"inputs": [{"type": "map", "values": {"type": "long"}, "name": "m"}]})
    with pytest.raises(BadInput, match="use /invocations"):
        ask(known, one("m"))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["name", "shape", "datatype", "data", "FP64", "inputs", "length"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["name", "shape", "data", "x"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
tensor = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["length", "width", "colour"]) | anything,
        "datatype": st.sampled_from(["FP64", "BYTES", "INT8"]) | anything,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | anything,
        "data": st.lists(st.floats(allow_nan=False), max_size=4) | anything,
    }
)


@given(
    st.fixed_dictionaries(
        {"inputs": st.lists(tensor | anything, max_size=3) | anything},
        optional={"id": anything, "parameters": anything, "outputs": anything},
    ),
    st.sampled_from([COLUMNS, NUMBERS, TENSOR, TENSORS, NOTHING]),
)
def test_whatever_is_sent_is_understood_or_refused(request_, known):
    try:
        question = oip.question(json.dumps(request_).encode(), known, "made")
    except BadInput:
        return
    head, buffers = tensors.unpack(tensors.pack(question.head, question.buffers))
    assert len(head["columns"]) == len(buffers)


def answered(*outputs):
    columns = [{"name": n, "datatype": d, "shape": [len(v)]} for n, d, v in outputs]
    buffers = [tensors.encode(d, v) for _, d, v in outputs]
    return framing.Frame(1, framing.RESULT, tensors.pack({"columns": columns}, buffers))


def test_an_answer_says_model_version_id_and_outputs():
    frame = answered(("a", "INT64", [1, 2]), ("b", "BYTES", ["x", None]))
    body = json.loads(oip.answer(frame, "m", "3", {"id": "i", "outputs": None}))
    assert body == {
        "model_name": "m",
        "model_version": "3",
        "id": "i",
        "outputs": [
            {"name": "a", "datatype": "INT64", "shape": [2], "data": [1, 2]},
            {"name": "b", "datatype": "BYTES", "shape": [2], "data": ["x", None]},
        ],
    }


def test_an_answer_has_the_outputs_that_were_asked_for():
    frame = answered(("a", "INT64", [1]), ("b", "INT64", [2]))
    body = json.loads(oip.answer(frame, "m", "3", {"id": "i", "outputs": ["b"]}))
    assert [output["name"] for output in body["outputs"]] == ["b"]
    with pytest.raises(BadInput, match="output 'c' is not one of the model's outputs: a, b"):
        oip.answer(frame, "m", "3", {"id": "i", "outputs": ["c"]})


def test_numbers_that_json_does_not_know_become_null():
    frame = answered(("a", "FP64", [None, float("inf"), 1.5]))
    assert json.loads(oip.answer(frame, "m", "3", {"id": "i", "outputs": None}))["outputs"][0][
        "data"
    ] == [
        None,
        None,
        1.5,
    ]


def test_metadata_shows_the_signature():
    shown = json.loads(oip.metadata("m", "3", "mlflow_pyfunc", COLUMNS))
    assert shown["name"] == "m"
    assert shown["versions"] == ["3"]
    assert shown["inputs"] == [
        {"name": "length", "datatype": "FP64", "shape": [-1, 1]},
        {"name": "width", "datatype": "FP64", "shape": [-1, 1]},
        {
            "name": "colour",
            "datatype": "BYTES",
            "shape": [-1, 1],
            "parameters": {"required": False},
        },
    ]
    assert shown["outputs"] == []


# -- in the worker, which has no parser but Python's own

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=3)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
TENSOR_SENT = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["length", "width"]),
        "datatype": st.sampled_from(["FP64", "FP32", "INT64", "BOOL", "BYTES", "none"]),
        "shape": st.lists(st.integers(0, 3), max_size=2) | JSON,
        "data": st.lists(JSON, max_size=3),
    }
)


@given(
    st.fixed_dictionaries(
        {"inputs": st.lists(TENSOR_SENT, max_size=3)},
        optional={"id": JSON, "outputs": JSON, "parameters": JSON},
    )
    | JSON
)
def test_a_large_body_means_in_the_worker_what_a_small_one_means_in_the_front(request_):
    body = json.dumps(request_).encode()

    def tried(read):
        try:
            return read()
        except BadInput as error:
            return str(error).partition(":")[0]

    known = NUMBERS
    here = tried(lambda: oip.question(body, known, "made"))
    there = tried(lambda: infer.question(infer.loads(body), known, "made"))
    assert here == there


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"inputs": NaN}', b"[" * 100_000, b"nul"])
def test_what_is_no_json_is_refused_there_too(body):
    with pytest.raises(BadInput, match="the body is not JSON"):
        infer.loads(body)


def test_a_large_answer_is_written_in_the_worker_as_a_small_one_in_the_front():
    head = {
        "columns": [
            {"name": "a", "datatype": "FP64", "shape": [3]},
            {"name": "b", "datatype": "BYTES", "shape": [2]},
            {"name": "c", "datatype": "INT64", "shape": [1]},
        ]
    }
    buffers = [
        tensors.encode("FP64", [1.5, None, float("inf")]),
        tensors.encode("BYTES", ["é\ud800", None]),
        tensors.encode("INT64", [2**62]),
    ]
    about = {"id": "i", "outputs": None}
    frame = framing.Frame(0, framing.RESULT, tensors.pack(head, buffers))
    small = oip.answer(frame, "m", "3", about)
    large = infer.dumps(infer.answer(head, buffers, "m", "3", about))
    assert json.loads(large) == json.loads(small)
    assert json.loads(large)["outputs"][0]["data"] == [1.5, None, None]
