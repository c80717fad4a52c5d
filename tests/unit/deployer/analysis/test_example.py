import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from support.systems.answering import artifact, predictor

from deployer.analysis.example import ExampleResult, ask, ask_successor
from deployer.analysis.signature import mismatch


def column(kind: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": kind, "required": True, **({"name": name} if name else {}), **more}


def tensor(dtype: str, shape: list[int], name: str | None = None) -> dict[str, Any]:
    return column("tensor", name, **{"tensor-spec": {"dtype": dtype, "shape": shape}})


OPTIONAL = {"required": False}
RECORDS = [{"p": 0.5, "label": "a"}, {"p": 1, "label": "b"}]
BOTH = [column("double", "p"), column("string", "label")]
ITEMS = {"items": {"type": "double"}}
PROPERTIES = {"properties": {"k": {"type": "long", "required": True}}}


@pytest.mark.parametrize(
    ("outputs", "predictions"),
    [
        (BOTH, RECORDS),
        (BOTH, RECORDS[0]),
        (BOTH, {"p": [0.5, 1.0], "label": ["a", "b"]}),
        (BOTH, [[0.5, "a"], [1.0, "b"]]),
        (BOTH, []),
        ([column("double", "p")], [0.5, 1]),
        ([column("double", "p")], [{"p": None}, {"p": "NaN"}]),
        ([column("string", "s", **OPTIONAL), column("long", "n")], [{"n": 1}]),
        ([column("long")], [1, 2]),
        ([column("long")], [{"0": 1}, {"0": 2}]),
        ([column("long")], [[1], [2]]),
        ([column("long")], 1),
        ([column("string")], "text"),
        ([column("array", **ITEMS)], [[1.0], [2.0]]),
        ([column("array", "l", **ITEMS)], [{"l": [1.0, 2.0]}]),
        ([column("array", "l", **ITEMS)], {"l": [1.0, 2.0]}),
        ([column("array", "l", **ITEMS)], {"l": [[1.0], [2.0]]}),
        ([column("object", "o", **PROPERTIES)], [{"o": {"k": 1}}]),
        ([column("any")], [{"whatever": None}]),
        ([column("boolean")], [True, False]),
        ([column("datetime")], ["2026-01-01T00:00:00"]),
        ([tensor("float32", [-1, 3])], [[1, 2, 3], [0.5, None, 1]]),
        ([tensor("int64", [-1])], [1, 2]),
        ([tensor("bool", [-1])], [True]),
        ([tensor("str", [-1])], ["a"]),
        ([tensor("float64", [-1, 3])], []),
        ([tensor("float64", [-1, -1, 2])], [[[1, 2]], [[3, 4]]]),
        ([tensor("float32", [-1], "p"), tensor("int64", [-1], "q")], {"p": [0.5], "q": [1]}),
    ],
)
def test_an_answer_that_fits_has_no_fault(outputs: list[dict[str, Any]], predictions: Any) -> None:
    assert mismatch(outputs, predictions) == ""


@pytest.mark.parametrize(
    ("outputs", "predictions", "says"),
    [
        (BOTH, [{"p": 0.5}], "'label' is missing; there is 'p'"),
        (BOTH, [RECORDS[0], {"p": 0.5}], "'label' is missing"),
        (BOTH, {"p": [1.0]}, "'label' is missing"),
        (BOTH, [{"p": "high", "label": "a"}], "'p' should be double, and is text ('high')"),
        (BOTH, [0.5, 0.6], "2 outputs are declared, and the answer is a list"),
        (BOTH, [[0.5]], "2 outputs are declared, and a row of the answer has 1"),
        (BOTH, [[0.5, 1.0]], "'label' should be string, and is a number"),
        (BOTH, None, "the answer is null"),
        ([column("long")], [0.5], "the answer should be long, and is a number (0.5)"),
        ([column("long")], [True], "a truth value"),
        ([column("boolean")], [1], "should be boolean"),
        ([column("string")], [None], "should be string, and is null"),
        ([column("double", "p")], "text", "1 outputs are declared, and the answer is text"),
        ([column("array", **ITEMS)], [["a"]], "should be array"),
        ([column("object", "o", **PROPERTIES)], [{"o": {}}], "should be object"),
        ([tensor("float32", [-1, 3])], [[1, 2]], "shape [-1, 3], and has [1, 2]"),
        ([tensor("float32", [-1, 3])], [1, 2], "shape [-1, 3], and has [2]"),
        ([tensor("float32", [-1, 2])], [[1, 2], [3]], "its rows differ in length"),
        ([tensor("int64", [-1])], [0.5], "should hold int64, and holds 0.5"),
        ([tensor("float32", [-1])], ["a"], "should hold float32, and holds 'a'"),
        ([tensor("float32", [-1], "p")], {"q": [1]}, "'p' is missing; there is 'q'"),
    ],
)
def test_a_fault_names_the_output_and_what_was_expected(
    outputs: list[dict[str, Any]], predictions: Any, says: str
) -> None:
    assert says in mismatch(outputs, predictions)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["p", "q"]), inner, max_size=2)
    ),
    max_leaves=8,
)


@given(st.sampled_from([BOTH, [column("long")], [tensor("float32", [-1, 2])]]), anything)
def test_whatever_is_answered_can_be_judged(outputs: list[dict[str, Any]], answer: Any) -> None:
    assert isinstance(mismatch(outputs, answer), str)


SIGNATURE = {"outputs": json.dumps([column("double", "p")])}
EXAMPLE = {"dataframe_split": {"columns": ["a"], "data": [[1]]}}


def asked(folder: Path, status: int, answer: Any) -> ExampleResult:
    logged = artifact(folder, {"signature": SIGNATURE}, {"serving_input_example.json": EXAMPLE})
    with predictor(status, answer) as server:
        return ask(server.url, logged)


def test_an_answer_that_fits_the_signature_is_ok(tmp_path: Path) -> None:
    assert asked(tmp_path, 200, {"predictions": [{"p": 0.5}]}) == ExampleResult(ok=True)


@pytest.mark.parametrize(
    ("status", "answer", "says", "transient"),
    [
        (200, {"predictions": [{"q": 0.5}]}, "breaks its signature: the output 'p'", False),
        (200, {"other": 1}, "holds no predictions", False),
        (200, b"<html>", "holds no predictions", False),
        (200, [1], "holds no predictions", False),
        (
            400,
            {"error": "column a: not text"},
            "to its own input example: column a: not text",
            False,
        ),
        (500, {"error": "ValueError (id 7)"}, "ValueError (id 7)", False),
        (500, b"", "no message", False),
        (500, b"x" * 1000, "xxx...", False),
        (503, {"error": "not ready"}, "not ready", True),
    ],
)
def test_another_answer_is_refused_in_one_sentence(
    tmp_path: Path, status: int, answer: Any, says: str, transient: bool
) -> None:
    verdict = asked(tmp_path, status, answer)
    assert not verdict.ok
    assert verdict.reason == "ExampleRefused"
    assert says in verdict.message
    assert verdict.transient is transient
    assert "rollout.example" in verdict.hint


AGENT = {"metadata": {"task": "agent/v1/chat"}}
"""Its declared outputs are MLflow's, and more than it answers."""


@pytest.mark.parametrize(
    ("description", "body", "answer"),
    [
        (AGENT, {"messages": []}, {"choices": [], "object": "chat.completion"}),
        (AGENT, {"inputs": {"messages": []}}, {"predictions": {"choices": []}}),
        ({}, {"messages": []}, [{"p": 0.5}]),
        ({}, {"prompt": "x", "temperature": 1}, {"p": 0.5}),
        ({}, {"input": "x"}, {"p": 0.5, "predictions": "of its own"}),
    ],
)
def test_a_chats_answer_is_unwrapped_as_mlflow_gives_it(
    tmp_path: Path, description: Any, body: Any, answer: Any
) -> None:
    described = {"signature": SIGNATURE, **description}
    logged = artifact(tmp_path, described, {"serving_input_example.json": body})
    with predictor(200, answer) as server:
        assert ask(server.url, logged) == ExampleResult(ok=True)


@pytest.mark.parametrize(
    ("body", "answer", "says"),
    [
        ({"messages": []}, {"predictions": [{"p": 0.5}]}, "'p' is missing"),
        ({"messages": []}, b"data: [DONE]", "is not JSON"),
        ({"inputs": {"messages": []}}, {"p": 0.5}, "holds no predictions"),
    ],
)
def test_what_mlflow_would_not_answer_a_chat_is_refused(
    tmp_path: Path, body: Any, answer: Any, says: str
) -> None:
    described = {"signature": SIGNATURE}
    logged = artifact(tmp_path, described, {"serving_input_example.json": body})
    with predictor(200, answer) as server:
        verdict = ask(server.url, logged)
    assert (verdict.ok, says in verdict.message) == (False, True), verdict


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        ({"data": [[1.0, 2.0]]}, "0, 1."),
        ({"columns": ["a", 1], "data": [[1.0, 2.0]]}, "1."),
        ({"columns": ["a", None], "data": [[1.0, 2.0]]}, "null."),
        ({"columns": [0.5], "data": [[1.0]]}, "0.5."),
        ({"columns": [["a", "x"], ["a", "y"]], "data": [[1, 2]]}, '["a", "x"], ["a", "y"].'),
        ({"columns": list(range(1, 9)), "data": [[1] * 8]}, "1, 2, 3, 4, 5, ...."),
    ],
)
def test_columns_that_no_string_names_have_a_next_step_that_helps(
    tmp_path: Path, frame: Any, columns: str
) -> None:
    files = {"serving_input_example.json": {"dataframe_split": frame}}
    with predictor(500, {"message": "the model raised KeyError"}) as server:
        verdict = ask(server.url, artifact(tmp_path, {}, files))
    assert verdict.message.endswith(f" Columns of its example are named by no string: {columns}")
    assert verdict.hint.startswith("Name the columns with strings where the model is trained")


@pytest.mark.parametrize(
    "body", [EXAMPLE, {"inputs": [[1.0]]}, {"dataframe_split": 5}, [1], {"dataframe_records": []}]
)
def test_an_example_with_names_is_not_told_to_name_its_columns(tmp_path: Path, body: Any) -> None:
    with predictor(500, {"message": "no"}) as server:
        logged = artifact(tmp_path, {}, {"serving_input_example.json": body})
        verdict = ask(server.url, logged)
    assert "string" not in verdict.message
    assert verdict.hint.startswith("Log the model with an input_example")


def test_a_predictor_that_is_not_there_is_a_passing_cause(tmp_path: Path) -> None:
    logged = artifact(tmp_path, {}, {"serving_input_example.json": EXAMPLE})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        verdict = ask(f"http://127.0.0.1:{free.getsockname()[1]}", logged, timeout=0.3)
    assert (verdict.ok, verdict.transient) == (False, True)
    assert "within 0.3 s: ConnectError" in verdict.message


@pytest.mark.parametrize(
    ("info", "plain", "body"),
    [
        (
            {"type": "dataframe", "pandas_orient": "split"},
            {"columns": ["a"], "data": [[1]]},
            {"dataframe_split": {"columns": ["a"], "data": [[1]]}},
        ),
        ({"type": "ndarray"}, [[1.0, 2.0]], {"inputs": [[1.0, 2.0]]}),
        ({"type": "ndarray", "format": "tf-serving"}, {"inputs": [[1]]}, {"inputs": [[1]]}),
        ({"type": "json_object"}, {"k": "v"}, {"inputs": {"k": "v"}}),
        (
            {"type": "json_object", "params": "true"},
            {"inputs": ["x"], "params": {"t": 1}},
            {"params": {"t": 1}, "inputs": ["x"]},
        ),
    ],
)
def test_an_older_models_example_is_put_into_the_form_that_is_posted(
    tmp_path: Path, info: dict[str, str], plain: Any, body: Any
) -> None:
    info = {"artifact_path": "input_example.json", **info}
    logged = artifact(tmp_path, {"saved_input_example_info": info}, {"input_example.json": plain})
    with predictor(200, {"predictions": [1]}) as server:
        verdict = ask(server.url, logged)
    assert verdict == ExampleResult(ok=True, message="The model declares no outputs to check.")
    assert server.asked == [("/invocations", body)]


@pytest.mark.parametrize("info", [{}, {"saved_input_example_info": {"type": "sparse_matrix_csr"}}])
def test_a_model_without_an_example_is_let_through_with_a_note(
    tmp_path: Path, info: dict[str, Any]
) -> None:
    verdict = ask("http://127.0.0.1:9", artifact(tmp_path, info, {}))
    assert verdict.ok
    assert "without an input example" in verdict.message


@pytest.mark.parametrize(
    "description",
    [
        [1],
        {"signature": {"outputs": "{not json"}},
        {"signature": {"outputs": "[1]"}},
        {"saved_input_example_info": {"serving_input_path": "../../../etc/passwd"}},
    ],
)
def test_a_description_that_cannot_be_is_refused(tmp_path: Path, description: Any) -> None:
    verdict = ask("http://127.0.0.1:9", artifact(tmp_path, description, {}))
    assert not verdict.ok
    assert "cannot be read" in verdict.message


def signed(folder: Path, *outputs: dict[str, Any]) -> Path:
    folder.mkdir()
    files = {"serving_input_example.json": {"inputs": [1]}}
    return artifact(folder, {"signature": {"outputs": json.dumps(outputs)}}, files)


def test_a_successor_that_does_not_fit_is_refused_unasked(tmp_path):
    before = signed(tmp_path / "before", column("string", "language"))
    after = signed(tmp_path / "after", column("string", "sentiment"))
    with predictor(200, {"predictions": [{"sentiment": "good"}]}) as server:
        result = ask_successor(server.url, after, before)
        assert not server.asked
        assert ask(server.url, after).ok
    assert not result.ok
    assert "does not fit those who use its queue: the output 'language' is gone" in result.message
    assert "queue.signature" in result.hint


def test_a_successor_that_fits_is_asked(tmp_path):
    before = signed(tmp_path / "before", column("string", "language"))
    after = signed(tmp_path / "after", column("string", "language"), column("double", "p"))
    answer = {"predictions": [{"language": "da", "p": 0.5}]}
    with predictor(200, answer) as server:
        assert ask_successor(server.url, after, before) == ExampleResult(True)
        assert server.asked


def test_a_predecessor_that_cannot_be_read_is_told(tmp_path):
    after = signed(tmp_path / "after", column("string", "language"))
    result = ask_successor("http://127.0.0.1:9", after, tmp_path / "nowhere")
    assert not result.ok
    assert "signature cannot be read" in result.message
