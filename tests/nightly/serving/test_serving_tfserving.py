"""A front whose model TensorFlow Serving has: the same answers by each protocol, and its end.

TensorFlow Serving is the stand-in (test_tfserving_standin.py says how far it is like the real one).
"""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems import tfserving as tfserving_standin

from serving.worker.oip.infer import LARGE

EVERY = [
    ("count", "INT64", [2], [1, -7]),
    ("flag", "BOOL", [2], [True, False]),
    ("name", "BYTES", [2], ["a", "straße"]),
    ("raw_bytes", "BYTES", [2], ["aGk=", "AP8="]),
    ("pair", "FP64", [2, 2], [1.5, 3.0, -1.0, 0.0]),
]
SPINS = 300_000
"""A second of computing, or some."""


def tensor(name, datatype, shape, data):
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


@pytest.fixture
def half(front, tensorflow_serving):
    return front("halfplustwo", tensorflow_serving.url).ready()


@pytest.fixture
def own_standin(saved_models, tmp_path):
    """Start a stand-in that this test may kill, with one model."""
    started = []

    def start(name, **flags):
        folder = tmp_path / f"tfserving-{len(started)}"
        folder.mkdir()
        made = tfserving_standin.ModelServer(folder, {name: saved_models[name]}, **flags)
        started.append(made)
        return made

    yield start
    for each in started:
        each.stop()


# -- answers


def test_all_protocols_give_the_same_answer(half, tensorflow_serving):
    values = [1.0, -3.6, 0.1]
    own = tensorflow_serving.post("/v1/models/halfplustwo:predict", {"inputs": values})
    expected = own.json()["outputs"]
    [output] = half.infer(tensor("x", "FP32", [3], values)).json()["outputs"]
    assert output["data"] == pytest.approx(expected, abs=1e-7)
    assert {k: v for k, v in output.items() if k != "data"} == {
        "name": "y", "datatype": "FP32", "shape": [3],
    }  # fmt: skip
    frame = {"columns": ["x"], "data": [[value] for value in values]}
    for content in (
        {"instances": values},
        {"instances": [{"x": value} for value in values]},
        {"inputs": values},
        {"inputs": {"x": values}},
        {"dataframe_split": frame},
        {"dataframe_records": [{"x": value} for value in values]},
    ):
        assert half.invoke(content).json() == {"predictions": expected}


def test_its_own_paths_are_passed_on_unchanged(half, tensorflow_serving):
    for path in ("", "/metadata", "/versions/3", "/labels/test", "/versions/9"):
        ours = half.client.get(f"/v1/models/halfplustwo{path}")
        theirs = tensorflow_serving.get(f"/v1/models/halfplustwo{path}")
        assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
    for content in ('{"instances": [1.0]}', '{"inputs": "a"}', "{"):
        ours = half.client.post("/v1/models/halfplustwo/labels/test:predict", content=content)
        theirs = tensorflow_serving.post("/v1/models/halfplustwo/labels/test:predict", content)
        assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
        assert ours.headers["content-type"] == theirs.headers["content-type"]
        assert ours.headers["x-schnitzel-model-version"] == "3"
    assert half.client.delete("/v1/models/halfplustwo").status_code == 405


def test_every_type_goes_there_and_back(front, tensorflow_serving):
    server = front("every", tensorflow_serving.url).ready()
    answer = server.infer(*(tensor(*each) for each in EVERY))
    assert answer.status_code == 200, answer.text
    found = {each.pop("name"): each for each in answer.json()["outputs"]}
    assert found == {
        "doubled": {"datatype": "INT64", "shape": [2], "data": [2, -14]},
        "not": {"datatype": "BOOL", "shape": [2], "data": [False, True]},
        "upper": {"datatype": "BYTES", "shape": [2], "data": ["A", "STRAßE"]},
        "same_bytes": {"datatype": "BYTES", "shape": [2], "data": ["aGk=", "AP8="]},
        "ratio": {"datatype": "FP64", "shape": [2], "data": [0.5, None]},  # -Infinity
        "sum": {"datatype": "FP64", "shape": [2, 1], "data": [4.5, -1.0]},
    }
    wanted = server.infer(*(tensor(*each) for each in EVERY), outputs=[{"name": "not"}])
    assert [each["name"] for each in wanted.json()["outputs"]] == ["not"]


def test_the_signature_is_shown_as_that_of_any_model(front, tensorflow_serving):
    shown = front("every", tensorflow_serving.url).ready().client.get("/v2/models/every").json()
    assert (shown["platform"], shown["versions"]) == ("tensorflow_savedmodel", ["3"])
    assert {each["name"]: each["datatype"] for each in shown["inputs"]} == {
        name: datatype for name, datatype, *_ in EVERY
    }
    assert {each["name"]: each["shape"] for each in shown["outputs"]}["sum"] == [-1, 1]


def test_what_is_large_is_answered_as_what_is_small_is(half):
    values = [number / 8 for number in range(60_000)]
    asked = tensor("x", "FP32", [len(values)], values)
    answer = half.infer(asked)
    assert len(answer.request.content) > LARGE < len(answer.content)
    [output] = answer.json()["outputs"]
    assert output == tensor("y", "FP32", [len(values)], [value / 2 + 2 for value in values])
    frame = {"columns": ["x"], "data": [[value] for value in values]}
    assert half.invoke({"dataframe_split": frame}).json()["predictions"] == output["data"]
    refused = half.infer({**asked, "datatype": "FP64"})
    assert refused.json() == {"error": "input 'x': expected FP32, got FP64"}
    late = half.infer(asked, parameters={"timeout": 1})
    assert (late.status_code, late.json()["error"]) == (
        504,
        "the model did not answer within 1e-06 s",
    )


def test_a_frame_is_one_matrix_to_a_model_with_one_input(front, tensorflow_serving):
    server = front("matrix", tensorflow_serving.url).ready()
    frame = {"columns": ["a", "b"], "data": [[1, 2], [3, None]]}
    assert server.invoke({"dataframe_split": frame}).text.split() == [
        "{",
        '"predictions":',
        "[3.0,",
        "NaN]",
        "}",
    ]
    answer = server.infer(tensor("anything", "FP32", [2, 2], [1, 2, 3, 4]))
    assert answer.json()["outputs"][0]["data"] == [3.0, 7.0]


# -- errors


def test_errors_are_in_the_form_of_the_protocol_that_asked(front, tensorflow_serving):
    server = front("grumbles", tensorflow_serving.url).ready()
    answer = server.infer(tensor("x", "FP32", [1], [-1]))
    assert answer.status_code == 400
    assert "nothing below 0" in answer.json()["error"]
    answer = server.invoke({"instances": [-1]})
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert "nothing below 0" in answer.json()["message"]
    answer = server.invoke({"inputs": {"y": [1]}})
    assert answer.json()["message"] == "Missing named input: x in 'inputs' object."
    answer = server.infer(tensor("x", "FP64", [1], [1]))
    assert answer.json() == {"error": "input 'x': expected FP32, got FP64"}
    answer = server.client.post(
        "/invocations", content="x\n1\n", headers={"content-type": "text/csv"}
    )
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")


def test_a_model_without_the_default_signature_is_asked_in_its_own_words(front, tensorflow_serving):
    server = front("unsigned", tensorflow_serving.url).ready()
    answer = server.infer(tensor("x", "FP32", [1], [1]))
    assert answer.status_code == 400
    assert "no signature 'serving_default'" in answer.json()["error"]
    asked = {"signature_name": "other", "instances": [1.0]}
    assert server.invoke(asked).json() == {"predictions": [2.5]}


def test_limits_are_those_of_any_front(front, tensorflow_serving):
    server = front("halfplustwo", tensorflow_serving.url, max_body_bytes=1000).ready()
    large = {"instances": [0.5] * 1000}
    assert server.invoke(large).status_code == 413
    assert server.client.post("/v1/models/halfplustwo:predict", json=large).status_code == 413
    server = front("spins", tensorflow_serving.url, timeout_seconds=0.2).ready()
    answer = server.infer(tensor("times", "INT64", [1], [SPINS]))
    assert answer.status_code == 504
    assert "within 0.2 s" in answer.json()["error"]
    assert server.client.get("/version").status_code == 404
    assert server.client.get("/ping").status_code == 200


# -- readiness


def test_it_is_not_ready_before_tensorflow_serving_is(front, own_standin):
    port = free_port()
    server = front("halfplustwo", f"http://127.0.0.1:{port}")

    def live():
        try:
            return server.client.get("/v2/health/live").status_code == 200
        except httpx.TransportError:
            return False

    wait_for(live, "live")
    for answer in (
        server.client.get("/v2/health/ready"),
        server.client.get("/v2/models/halfplustwo"),
        server.client.get("/v1/models/halfplustwo"),
        server.infer(),
        server.invoke({}),
    ):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
    own_standin("halfplustwo", rest_port=port)
    wait_for(lambda: server.state.get("phase") == "ready", "readiness")
    assert server.client.get("/v2/health/ready").status_code == 200
    assert server.invoke({"instances": [1.0]}).json() == {"predictions": [2.5]}


def test_when_tensorflow_serving_dies_it_is_unready_until_it_is_back(front, own_standin):
    standin = own_standin("halfplustwo").ready()
    server = front("halfplustwo", standin.url).ready()
    assert server.invoke({"instances": [1.0]}).status_code == 200
    standin.running.signal(signal.SIGKILL)
    standin.running.process.wait()
    assert server.invoke({"instances": [1.0]}).status_code == 503
    wait_for(lambda: server.state["phase"] == "unready", "unready")
    assert server.state["reason"] == "WorkerDied"
    assert server.client.get("/v2/health/ready").status_code == 503
    assert server.metric("schnitzel_worker_restarts_total") == 1
    own_standin("halfplustwo", rest_port=standin.rest_port)
    wait_for(lambda: server.state["phase"] == "ready", "ready again")
    assert server.invoke({"instances": [1.0]}).json() == {"predictions": [2.5]}
    assert server.popen.poll() is None


def test_a_request_in_tensorflow_serving_when_it_dies_is_answered(front, own_standin):
    standin = own_standin("spins").ready()
    server = front("spins", standin.url).ready()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.infer, tensor("times", "INT64", [1], [10**12]))
        wait_for(
            lambda: server.metric("schnitzel_requests_in_flight") >= 1, "the request under way"
        )
        standin.running.signal(signal.SIGKILL)
        answer = asked.result(60)
    assert answer.status_code == 503
    assert "ended before it answered" in answer.json()["error"]


# -- the end


def test_no_request_is_lost_at_the_end(front, tensorflow_serving):
    """Nor one that is computed when the signal comes, nor one that comes while it drains."""
    server = front("spins", tensorflow_serving.url, drain_whole=True, drain_seconds=600).ready()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.infer, tensor("times", "INT64", [1], [SPINS]))
        wait_for(
            lambda: server.metric("schnitzel_requests_in_flight") >= 1, "the request under way"
        )
        server.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: server.client.get("/v2/health/ready").status_code == 503, "draining")
        late = server.infer(tensor("times", "INT64", [1], [5]))
        assert late.json()["outputs"][0]["data"] == [5]
        assert late.headers["connection"] == "close"
        assert asked.result(60).json()["outputs"][0]["data"] == [SPINS]
    assert server.popen.poll() is None
    assert server.state["reason"] == "Stopping"


def test_many_clients_at_once_all_get_their_own_answer(half):
    wrong, lock = [], threading.Lock()

    def ask(number):
        with httpx.Client(base_url=str(half.client.base_url), trust_env=False) as client:
            for turn in range(20):
                value = float(number * 100 + turn)
                answer = client.post("/invocations", json={"instances": [value]})
                if answer.status_code != 200 or answer.json() != {"predictions": [value / 2 + 2]}:
                    with lock:
                        wrong.append((value, answer.text))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert wrong == []
    assert half.metric("schnitzel_model_duration_seconds_count") == 160
