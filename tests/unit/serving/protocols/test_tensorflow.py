"""Translation between the two protocols and TensorFlow Serving's JSON, without any server."""

import json
import math

import pytest
from hypothesis import given, strategies as st

from serving.protocols import oip, tensorflow
from serving.worker.framing import RESULT, Frame
from serving.worker.oip import tensors
from serving.worker.oip.arrange import BadInput

JSON = b"application/json"


def info(kind, *sizes, **more):
    dims = [{"size": str(size), "name": ""} for size in sizes]
    return {"dtype": kind, "tensor_shape": {"dim": dims, "unknown_rank": False, **more}, "name": ""}


def signature(inputs, outputs, name="serving_default"):
    described = {name: {"inputs": inputs, "outputs": outputs, "method_name": ""}}
    metadata = {"signature_def": {"signature_def": described}}
    return tensorflow.signature(json.dumps({"metadata": metadata}).encode())


TWO = signature(
    {"b": info("DT_INT64", -1, 1), "a": info("DT_FLOAT", -1)},
    {"y": info("DT_FLOAT", -1), "z": info("DT_STRING", -1)},
)
ONE = signature({"x": info("DT_FLOAT", -1, 2)}, {"y": info("DT_DOUBLE", -1)})


def infer(known, *inputs):
    question = oip.question(json.dumps({"inputs": list(inputs)}).encode(), known, "made")
    return tensorflow.infer_body(question.head, question.buffers, known.inputs)


def tensor(name, datatype, shape, data):
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def invoke(known, content, kind=JSON):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return tensorflow.invocation_body(kind, body, known.inputs)


def test_metadata_becomes_a_signature_in_a_fixed_order():
    assert [each.to_json() for each in TWO.inputs.tensors] == [
        {"name": "a", "datatype": "FP32", "shape": (-1,)},
        {"name": "b", "datatype": "INT64", "shape": (-1, 1)},
    ]
    assert [each.datatype for each in TWO.outputs.tensors] == ["FP32", "BYTES"]


def test_another_signature_alone_is_none():
    known = signature({"x": info("DT_FLOAT", -1)}, {}, name="other")
    assert known.inputs is None
    assert known.outputs is None


@pytest.mark.parametrize("metadata", [b"[]", b"{}", b'{"metadata": 3}', b"<html>"])
def test_metadata_that_is_something_else_is_unreadable(metadata):
    with pytest.raises(tensorflow.Unreadable, match="metadata"):
        tensorflow.signature(metadata)


@pytest.mark.parametrize(
    ("described", "named"),
    [
        (info("DT_HALF", -1), "DT_HALF"),
        (info("DT_FLOAT"), "DT_FLOAT without a dimension"),
        (info("DT_FLOAT", unknown_rank=True), "DT_FLOAT of any rank"),
    ],
)
def test_what_the_protocol_cannot_carry_is_said(described, named):
    known = signature({"x": described}, {})
    with pytest.raises(BadInput, match=f"of type {named}, which this protocol cannot carry"):
        infer(known, tensor("x", "FP32", [1], [1]))


def test_tensors_become_named_columns():
    body = infer(TWO, tensor("b", "INT64", [2, 1], [3, 4]), tensor("a", "FP32", [2], [0.5, 1.5]))
    assert json.loads(body) == {"inputs": {"a": [0.5, 1.5], "b": [[3], [4]]}}


def test_the_only_tensor_may_have_any_name():
    body = infer(ONE, tensor("whatever", "FP32", [2, 2], [1, 2, 3, 4]))
    assert json.loads(body) == {"inputs": {"x": [[1.0, 2.0], [3.0, 4.0]]}}


def test_missing_numbers_are_sent_as_nan():
    body = infer(ONE, tensor("x", "FP32", [1, 2], [None, 2]))
    assert body == b'{"inputs": {"x": [[NaN, 2.0]]}}'


def test_binary_strings_travel_as_base64_both_ways():
    known = signature(
        {"image_bytes": info("DT_STRING", -1)}, {"thumb_bytes": info("DT_STRING", -1)}
    )
    assert known.inputs.tensors[0].to_json()["parameters"] == {"content_type": "base64"}
    body = infer(known, tensor("image_bytes", "BYTES", [1], ["aGk="]))
    assert json.loads(body) == {"inputs": {"image_bytes": [{"b64": "aGk="}]}}
    result = tensorflow.infer_result(b'{"outputs": [{"b64": "aGk="}]}', known.outputs)
    assert answered(result) == [tensor("thumb_bytes", "BYTES", [1], ["aGk="])]


def answered(result):
    frame = Frame(0, RESULT, tensors.pack(*result))
    body = oip.answer(frame, "m", "3", {"id": "id", "outputs": None})
    return json.loads(body)["outputs"]


def test_one_output_comes_back_without_its_name():
    result = tensorflow.infer_result(b'{"outputs": [1.5, NaN, -Infinity]}', ONE.outputs)
    assert answered(result) == [tensor("y", "FP64", [3], [1.5, None, None])]


def test_several_outputs_come_back_by_name():
    result = tensorflow.infer_result(b'{"outputs": {"z": ["a"], "y": [2.0]}}', TWO.outputs)
    assert answered(result) == [
        tensor("y", "FP32", [1], [2.0]),
        tensor("z", "BYTES", [1], ["a"]),
    ]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"outputs": {"y": ["a"]}}', b'{"outputs": {"y": [1.0]}}']
)
def test_an_answer_of_another_form_is_unreadable(body):
    with pytest.raises(tensorflow.Unreadable):
        tensorflow.infer_result(body, TWO.outputs)


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 3),
    data=st.data(),
)
def test_what_goes_there_and_comes_back_is_the_same(rows, columns, data):
    number = st.floats(width=32, allow_nan=False)
    values = data.draw(st.lists(number, min_size=rows * columns, max_size=rows * columns))
    finite = [value if math.isfinite(value) else 1.0 for value in values]
    described = {"x": info("DT_FLOAT", -1, columns)}
    known = signature(described, described)
    sent = json.loads(infer(known, tensor("x", "FP32", [rows, columns], finite)))
    body = json.dumps({"outputs": sent["inputs"]["x"]}).encode()
    result = tensorflow.infer_result(body, known.outputs)
    _, [buffer] = result
    assert tensors.decode("FP32", buffer) == finite
    assert answered(result)[0]["shape"] == [rows, columns]


# -- /invocations


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_its_own_words_go_as_they_are(form):
    body = b'{"%s": [[1, NaN]],  "signature_name": "other"}' % form.encode()
    assert invoke(ONE, body) is body


def test_a_frame_becomes_columns():
    frame = {"columns": ["b", "extra", "a"], "data": [[1, "x", 0.5], [2, "y", None]]}
    split = json.loads(invoke(TWO, {"dataframe_split": frame}))
    assert split["inputs"]["b"] == [[1], [2]]
    assert split["inputs"]["a"][0] == 0.5
    assert math.isnan(split["inputs"]["a"][1])
    assert list(split["inputs"]) == ["a", "b"]
    records = [{"b": 1, "a": 0.5}, {"a": 1.5, "b": 2}]
    assert json.loads(invoke(TWO, {"dataframe_records": records})) == {
        "inputs": {"a": [0.5, 1.5], "b": [[1], [2]]}
    }


def test_the_only_input_gets_the_whole_frame():
    frame = {"columns": ["length", "width"], "data": [[1, 2], [3, 4]]}
    assert json.loads(invoke(ONE, {"dataframe_split": frame})) == {
        "inputs": {"x": [[1, 2], [3, 4]]}
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "the body is not JSON"),
        ([1], "exactly one of dataframe_split, dataframe_records, instances, inputs"),
        ({"instances": [], "inputs": []}, "exactly one of"),
        ({"dataframe_split": {"columns": ["a"]}}, "must have 'data'"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "each row must have a value"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1]]}}, "column 'b' is missing"),
        ({"dataframe_records": [{"a": 1}, {"b": 1}]}, "must have the fields of the first"),
        ({"dataframe_records": {}}, "a list of at least one object"),
    ],
)
def test_what_cannot_be_understood_is_said(content, said):
    with pytest.raises(BadInput, match=said):
        invoke(TWO, content)


def test_only_json_is_taken():
    with pytest.raises(BadInput, match="only application/json"):
        invoke(TWO, b"a,b\n1,2\n", kind=b"text/csv")
    invoke(TWO, {"inputs": {}}, kind=b"Application/JSON; charset=utf-8")


def test_answers_are_in_mlflows_form_whichever_way_it_was_asked():
    assert tensorflow.predictions(b'{\n    "outputs": ["outputs"]\n}') == (
        b'{\n    "predictions": ["outputs"]\n}'
    )
    for as_it_is in (b'{"predictions": [1]}', b'{"predictions": [{"outputs": 1, "more": 2}]}'):
        assert tensorflow.predictions(as_it_is) == as_it_is


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "plain"}', "plain"),
        (b'{ "error": "it\\\'s \\"one\\"\\nof two" }', 'it\'s "one" of two'),
        (b"<h1>Not Found</h1>", "<h1>Not Found</h1>"),
        (b'{"error": "' + b"x" * 900 + b'"}', "x" * 500),
    ],
)
def test_its_errors_are_read_however_they_are_escaped(body, said):
    assert tensorflow.error_message(body) == said
