"""The same requests to us and to MLflow's scoring server: with `input: mlflow`, the same answers.

How strict reading differs is told in test_serving_strict.py.
"""

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack, suppress
from functools import cache

import httpx
import pytest
from support.fixtures.serving import serving
from support.run.ports import free_port
from support.run.wait import wait_for

from deployer.analysis.example import ExampleResult, ask

IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROW = [5.1, 3.5, 1.4, 0.2]
RECORD = dict(zip(IRIS, ROW, strict=True))
JSON = "application/json"


def split(columns, *rows, **more):
    return {"dataframe_split": {"columns": columns, "data": list(rows), **more}}


IRIS_REQUESTS = [
    split(IRIS, ROW),
    split(IRIS[::-1], ROW[::-1]),
    split(IRIS, ROW, index=[17]),
    split([*IRIS, "extra"], [*ROW, 1]),
    split(IRIS, [5, 3, 1, 1]),
    {"dataframe_records": [RECORD]},
    {"inputs": [RECORD]},
    {"inputs": {name: [value] for name, value in RECORD.items()}},
    {"inputs": [ROW]},
    {"inputs": ROW},
    {"instances": [RECORD]},
    {"instances": [ROW]},
    split(IRIS[:3], ROW[:3]),
    split(IRIS, ["a", 3.5, 1.4, 0.2]),
    split(IRIS, [None, 3.5, 1.4, 0.2][:3]),
    {"dataframe_records": []},
    {"dataframe_records": {"a": 1}},
    {"dataframe_split": 5},
    {"dataframe_split": {"data": [ROW]}},
    {"dataframe_records": [RECORD], "inputs": [RECORD]},
    {"nothing": 1},
    {},
    [],
    5,
    {"inputs": "x"},
    {"inputs": [{"sepal length (cm)": "x"}]},
    {"inputs": [RECORD], "params": {"a": 1}},
]
ACTOR_REQUESTS = [
    split(["act", "number"], ["a", 1.5], ["b", 2.0]),
    split(["act", "number"], [1, 1.5]),
    split(["act", "number"], [None, 1.5]),
    split(["act", "number"], ["a", None]),
    split(["act", "number"], ["a", "1.5"]),
    {**split(["act", "number"], ["a", 2.0]), "params": {"factor": 3.0}},
    {**split(["act", "number"], ["a", 2.0]), "params": {"factor": "x"}},
    {**split(["act", "number"], ["a", 2.0]), "params": {"other": 1}},
    {"inputs": {"act": ["a", "b"], "number": [1.0, 2.0]}},
    {"inputs": {"act": ["a", "b"], "number": [1.0]}},
    {"instances": [{"act": "a", "number": 1.0}]},
]
RAW = [
    (b"{", JSON),
    (b"\xff\xfe", JSON),
    (b"", JSON),
    (b"{}", "application/json; charset=latin-1"),
    (b"{}", "application/json; colour=red"),
    (b"{}", "application/xml"),
    (",".join(IRIS).encode() + b"\n5.1,3.5,1.4,0.2\n", "text/csv"),
    (b"a,b\n1,2\n", "text/csv"),
    (",".join(IRIS).encode() + b"\nx,3.5,1.4,0.2\n", "text/csv"),
    (b"\xff\xfe", "text/csv"),
]


@pytest.fixture(scope="session")
def mlflows_own(models, tmp_path_factory):
    """Start MLflow's scoring server for a model; return a client."""
    started = {}

    def start(name):
        if name in started:
            return started[name][1]
        port = free_port()
        log = (tmp_path_factory.mktemp("mlflow") / "log").open("wb")
        environment = {
            **os.environ,
            "__pyfunc_model_path__": str(models / name),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        command = [sys.executable, "-m", "uvicorn", "mlflow.pyfunc.scoring_server.app:app"]
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        started[name] = (process, client, log)

        def answers():
            assert process.poll() is None
            with suppress(httpx.TransportError):
                return client.get("/ping").status_code == 200
            return False

        wait_for(answers, "MLflow's scoring server")
        return client

    yield start
    for process, client, log in started.values():
        client.close()
        process.kill()
        process.wait()
        log.close()


def seen(answer):
    """Return what must agree: status and answer, without the stack trace: ours is in the log.

    What is no number of JSON, such as NaN, is compared as it is written.
    """
    try:
        body = answer.json(parse_constant=str)
    except ValueError:
        return answer.status_code, answer.text
    if isinstance(body, dict) and "message" in body:
        body.pop("stack_trace", None)
        # mlflow says the names of sets, whose order changes from one process to the next.
        body["message"] = sorted(re.findall(r"\w+", body["message"]))
    return answer.status_code, body


def same(ours, theirs, content, content_type=JSON):
    headers = {"content-type": content_type}
    mine = ours.client.post("/invocations", content=content, headers=headers)
    his = theirs.post("/invocations", content=content, headers=headers)
    assert seen(mine) == seen(his)
    assert mine.headers["content-type"].split(";")[0] == his.headers["content-type"].split(";")[0]


@pytest.fixture(scope="session")
def as_mlflow(models, model_python, tmp_path_factory):
    """Start our server for a model, to read what MLflow reads; return it."""
    with ExitStack() as stack:

        @cache
        def start(name):
            folder = tmp_path_factory.mktemp(name)
            settings = {"python": model_python, "input": "mlflow"}
            return stack.enter_context(serving(folder, models / name, **settings)).ready()

        yield start


@pytest.mark.parametrize("request_", IRIS_REQUESTS, ids=lambda r: json.dumps(r)[:60])
def test_iris_answers_as_mlflow_does(as_mlflow, mlflows_own, request_):
    same(as_mlflow("iris"), mlflows_own("iris"), json.dumps(request_))


@pytest.mark.parametrize("request_", ACTOR_REQUESTS, ids=lambda r: json.dumps(r)[:60])
def test_strings_and_params_are_answered_as_mlflow_does(as_mlflow, mlflows_own, request_):
    same(as_mlflow("actor"), mlflows_own("actor"), json.dumps(request_))


@pytest.mark.parametrize(("content", "content_type"), RAW)
def test_other_contents_are_answered_as_mlflow_does(as_mlflow, mlflows_own, content, content_type):
    same(as_mlflow("iris"), mlflows_own("iris"), content, content_type)


def test_tensors_are_answered_as_mlflow_does(as_mlflow, mlflows_own):
    for request_ in (
        {"inputs": [ROW]},
        {"instances": [ROW]},
        {"inputs": [[1, 2]]},
        {"inputs": ["a"]},
    ):
        same(as_mlflow("forest"), mlflows_own("forest"), json.dumps(request_))


@pytest.mark.parametrize("form", ["inputs", "instances"])
def test_a_tensor_that_is_called_as_a_chats_field_is_answered_as_mlflow_does(
    as_mlflow, mlflows_own, form
):
    values = {"input": [[1.0, 2.0]]} if form == "inputs" else [{"input": [1.0, 2.0]}]
    same(as_mlflow("prompted"), mlflows_own("prompted"), json.dumps({form: values}))


@pytest.mark.parametrize("name", ["chat", "chat_agent", "responses", "numbered"])
def test_what_mlflow_answers_to_a_models_own_example_passes(serve, mlflows_own, models, name):
    server = serve(name).ready()
    same(server, mlflows_own(name), (models / name / "serving_input_example.json").read_bytes())
    assert ask(str(server.client.base_url), models / name) == ExampleResult(ok=True)


def test_an_exception_of_the_model_is_the_clients_fault_to_mlflow_alone(
    as_mlflow, iris, mlflows_own
):
    content = split(IRIS, [None, *ROW[1:]])  # scikit-learn refuses what is missing
    said = "the model raised ValueError: Input X contains NaN"
    assert mlflows_own("iris").post("/invocations", json=content).status_code == 400
    answer = as_mlflow("iris").invoke(content)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
    assert said in answer.json()["message"]
    strict = iris.invoke(content)
    assert (strict.status_code, said in strict.json()["message"]) == (500, True)
