"""Both protocols, asked over HTTP, on real models."""

import gzip
import json
import sys

import httpx
import pytest
from support.run.wait import wait_for

from serving.worker.oip import infer

IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 5.0, 2.0]]


def tensor(name, datatype, shape, data):
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def iris_columns():
    columns = zip(IRIS, zip(*ROWS, strict=True), strict=True)
    return [tensor(name, "FP64", [2], list(values)) for name, values in columns]


def test_every_answer_carries_version_predictor_and_request_id(iris):
    for path in ("/", "/v2", "/metrics", "/nothing"):
        headers = iris.client.get(path).headers
        assert headers["x-schnitzel-model-version"] == "3"
        assert headers["x-schnitzel-predictor"] == iris.predictor["predictor"]
        assert len(headers["x-request-id"]) == 32
    sent = iris.client.get("/v2", headers={"x-request-id": "mine-1"})
    assert sent.headers["x-request-id"] == "mine-1"


def test_health_and_metadata(iris):
    assert iris.client.get("/v2/health/live").json() == {"live": True}
    assert iris.client.get("/v2/health/ready").json() == {"ready": True}
    assert iris.client.get("/v2/models/iris/ready").json() == {"name": "iris", "ready": True}
    assert iris.client.get("/v2").json()["name"] == "schnitzel"
    for path in ("/v2/models/iris", "/v2/models/iris/versions/3"):
        shown = iris.client.get(path).json()
        assert shown["versions"] == ["3"]
        assert [each["name"] for each in shown["inputs"]] == IRIS
        assert shown["outputs"] == [{"name": "output-0", "datatype": "INT64", "shape": [-1]}]
        assert iris.client.get(path + "/ready").status_code == 200
    assert iris.client.get("/ping").text == "\n"
    assert iris.client.get("/health").status_code == 200
    assert iris.client.get("/version").text.startswith("3.")


def test_a_body_that_the_worker_reads_is_answered_as_a_small_one(iris):
    rows = ROWS * 8_000
    large = iris.infer(tensor("x", "FP64", [len(rows), 4], rows), id="mine")
    assert len(large.request.content) > infer.LARGE
    small = iris.infer(tensor("x", "FP64", [2, 4], ROWS), id="mine").json()
    body = large.json()
    assert large.status_code == 200
    assert large.headers["content-type"] == "application/json"
    assert body["outputs"][0].pop("data") == small["outputs"][0].pop("data") * 8_000
    assert body["outputs"][0].pop("shape") == [16_000]
    small["outputs"][0].pop("shape")
    assert body == small
    made = iris.infer(tensor("x", "FP64", [len(rows), 4], rows))
    assert made.json()["id"] == made.headers["x-request-id"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (tensor("x", "FP64", [20_000, 3], [1.0] * 60_000), "expected 4 columns"),
        (tensor("x", "FP64", [20_000, 4], ["a"] * 80_000), "expected numbers"),
        (tensor("x", "FP64", [20_001, 4], [1.0] * 80_000), "expected 80004 values"),
    ],
)
def test_a_body_that_the_worker_reads_is_refused_as_a_small_one(iris, wrong, said):
    answer = iris.infer(wrong)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_an_answer_that_is_large_is_written_by_the_worker(actor):
    columns = [
        tensor("act", "BYTES", [30_000], ["a"] * 30_000),
        tensor("number", "FP64", [30_000], [0.5] * 30_000),
    ]
    body = actor.infer(*columns, outputs=[{"name": "number"}]).json()
    (output,) = body["outputs"]
    assert (output["name"], output["shape"]) == ("number", [30_000])
    assert set(output["data"]) == {0.5}


def test_a_model_of_parts_gets_what_it_gets_where_it_was_saved(serve, models):
    server = serve("parts").ready()
    told = json.loads((models / "parts.json").read_text())
    answer = server.invoke(told["asked"])
    assert answer.json() == {"predictions": told["expected"]}


def test_columns_that_integers_name_are_named_in_text(serve):
    server = serve("numbered").ready()
    shown = server.client.get("/v2/models/numbered").json()
    assert [each["name"] for each in shown["inputs"]] == ["0", "1"]
    answer = server.infer(tensor("1", "FP64", [1], [0.5]), tensor("0", "FP64", [1], [2.0]))
    assert answer.json()["outputs"][0]["data"] == [2.5]


def test_infer_takes_columns_or_one_tensor(iris):
    whole = tensor("x", "FP64", [2, 4], ROWS)
    for answer in (iris.infer(*iris_columns()), iris.infer(whole)):
        body = answer.json()
        assert answer.status_code == 200, body
        assert body["model_name"] == "iris"
        assert body["model_version"] == "3"
        assert body["outputs"] == [
            {"name": "output-0", "datatype": "INT64", "shape": [2], "data": [0, 2]}
        ]


def test_infer_repeats_the_id_and_answers_under_a_version(iris):
    content = {"id": "a-1", "inputs": [tensor("x", "FP64", [2, 4], ROWS)]}
    body = iris.client.post("/v2/models/iris/versions/3/infer", json=content).json()
    assert body["id"] == "a-1"


@pytest.mark.parametrize(
    "content",
    [
        {"dataframe_split": {"columns": IRIS, "data": ROWS}},
        {"dataframe_records": [dict(zip(IRIS, row, strict=True)) for row in ROWS]},
        {"instances": [dict(zip(IRIS, row, strict=True)) for row in ROWS]},
        {
            "inputs": dict(
                zip(IRIS, [list(column) for column in zip(*ROWS, strict=True)], strict=True)
            )
        },
        {"inputs": [dict(zip(IRIS, row, strict=True)) for row in ROWS]},
    ],
    ids=lambda content: next(iter(content)),
)
def test_invocations_takes_all_of_mlflows_forms(iris, content):
    answer = iris.invoke(content)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"predictions": [0, 2]}


def test_invocations_takes_csv(iris):
    lines = [",".join(IRIS), *(",".join(map(str, row)) for row in ROWS)]
    answer = iris.client.post(
        "/invocations", content="\n".join(lines), headers={"content-type": "text/csv"}
    )
    assert answer.json() == {"predictions": [0, 2]}


def test_a_bad_column_is_named_with_what_was_expected(iris):
    columns = iris_columns()
    columns[1] = tensor(IRIS[1], "BYTES", [2], ["3.5", "3"])
    answer = iris.infer(*columns)
    assert answer.status_code == 400
    assert answer.json() == {"error": "input 'sepal width (cm)': expected FP64, got BYTES"}
    answer = iris.infer(*columns[:1])
    assert answer.status_code == 400
    assert "input 'sepal width (cm)' is missing: expected FP64" in answer.json()["error"]


def test_a_tensor_signature_is_answered_in_both_protocols(forest):
    answer = forest.infer(tensor("x", "FP64", [2, 4], ROWS))
    assert answer.json()["outputs"][0]["data"] == [0, 2]
    assert forest.invoke({"inputs": ROWS}).json() == {"predictions": [0, 2]}
    wrong = forest.infer(tensor("x", "FP32", [2, 4], ROWS))
    assert wrong.status_code == 400
    assert wrong.json() == {"error": "input 'x': expected FP64, got FP32"}


def test_strings_go_in_and_come_out(words):
    answer = words.infer(
        tensor("size", "BYTES", [2], ["m", "s"]), tensor("colour", "BYTES", [2], ["blue", "red"])
    )
    assert answer.json()["outputs"] == [
        {"name": "output-0", "datatype": "BYTES", "shape": [2], "data": ["sea", "stop"]}
    ]


def test_a_frame_comes_back_as_named_typed_tensors(actor):
    answer = actor.infer(
        tensor("act", "BYTES", [1], ["ä"]),
        tensor("number", "FP64", [1], [2]),
        outputs=[{"name": "said"}, {"name": "number"}],
    )
    assert answer.json()["outputs"] == [
        {"name": "said", "datatype": "BYTES", "shape": [1], "data": ["ä"]},
        {"name": "number", "datatype": "FP64", "shape": [1], "data": [2.0]},
    ]
    wrong = actor.infer(
        tensor("act", "BYTES", [1], ["a"]),
        tensor("number", "FP64", [1], [2]),
        outputs=[{"name": "none"}],
    )
    assert wrong.status_code == 400
    assert "output 'none' is not one of the model's outputs: said, number, whole" in wrong.text


def test_params_reach_the_model_in_both_protocols(actor):
    split = {"columns": ["act", "number"], "data": [["a", 2.0]]}
    answer = actor.invoke({"dataframe_split": split, "params": {"factor": 3.0}})
    assert answer.json()["predictions"][0]["number"] == 6.0
    inputs = [tensor("act", "BYTES", [1], ["a"]), tensor("number", "FP64", [1], [2])]
    answer = actor.infer(*inputs, parameters={"factor": 4.0})
    assert answer.json()["outputs"][1]["data"] == [8.0]
    wrong = actor.infer(*inputs, parameters={"factor": "x"})
    assert wrong.status_code == 400
    assert "factor" in wrong.json()["error"]


def test_a_model_without_a_signature_gets_what_was_sent(describe):
    def said(*inputs):
        return describe.infer(*inputs).json()["outputs"][0]["data"]

    assert said(tensor("x", "FP64", [2, 4], ROWS)) == ["ndarray (2, 4) None"]
    assert said(tensor("a", "FP64", [1], [1]), tensor("b", "BYTES", [1], ["x"])) == [
        "DataFrame (1, 2) ['a', 'b']"
    ]


def test_an_exception_of_the_model_is_a_500_whose_id_finds_the_traceback(actor):
    inputs = [tensor("act", "BYTES", [1], ["raise"]), tensor("number", "FP64", [1], [2])]
    for answer, said in (
        (actor.act("raise", 2), "message"),
        (actor.infer(*inputs), "error"),
    ):
        assert answer.status_code == 500
        body = answer.json()
        assert "the model raised ValueError: cannot do 2.0 with password=[redacted]" in body[said]
        written = f"error {body['error_id']}: ValueError"
        wait_for(lambda: written in actor.log, "the traceback in the log")  # noqa: B023
        log = actor.log
        assert "Traceback (most recent call last)" in log
        assert "actor.py" in log
        assert "hunter2" not in log.split(body["error_id"])[1].split("ValueError: cannot")[0]


def test_sys_exit_in_a_model_is_its_exception(actor):
    answer = actor.act("exit")
    assert answer.status_code == 500
    assert "the model called sys.exit(3)" in answer.json()["message"]
    assert actor.act("fine").status_code == 200


def test_what_a_model_prints_is_in_the_log(actor):
    assert actor.act("print").status_code == 200
    wait_for(lambda: "the model says hello" in actor.log, "what the model printed")


def test_nothing_of_ours_can_be_imported_by_a_model(actor):
    assert actor.act("import").json()["predictions"][0]["said"] == "none"


def test_wrong_methods_and_paths_are_said(iris):
    answer = iris.client.get("/invocations")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = iris.client.post("/v2/models/iris", content=b"")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    answer = iris.client.post("/v2/models/other/infer", json={})
    assert answer.status_code == 404
    assert "'iris' is" in answer.json()["error"]


def test_a_body_that_is_too_large_is_a_413_with_and_without_its_length(iris):
    body = b"x" * 1_500_000
    answer = iris.client.post("/invocations", content=body)
    assert answer.status_code == 413
    assert "1000000 bytes" in answer.json()["message"]
    pieces = iter([body[:700_000], body[700_000:]])
    answer = iris.client.post("/v2/models/iris/infer", content=pieces)
    assert answer.status_code == 413
    assert iris.client.get("/v2/health/ready").status_code == 200


@pytest.mark.parametrize("path", ["/invocations", "/v2/models/iris/infer"])
def test_a_gzipped_body_is_decoded_within_the_limit_and_other_encodings_are_refused(iris, path):
    if path == "/invocations":
        content = json.dumps({"dataframe_split": {"columns": IRIS, "data": ROWS}}).encode()
    else:
        content = json.dumps({"inputs": [tensor("x", "FP64", [2, 4], ROWS)]}).encode()

    def send(body, encoding):
        headers = {"content-type": "application/json", "content-encoding": encoding}
        return iris.client.post(path, content=body, headers=headers)

    assert send(gzip.compress(content), "gzip").status_code == 200
    assert send(content, "identity").status_code == 200
    assert send(gzip.compress(b" " * 1_000_001), "gzip").status_code == 413
    for body in (content, gzip.compress(content)[:-4], gzip.compress(content) + b"more", b""):
        answer = send(body, "gzip")
        assert (answer.status_code, "gzip" in answer.text) == (400, True), answer.text
    answer = send(content, "br")
    assert (answer.status_code, "'br' is not known" in answer.text) == (415, True)


def test_what_is_not_json_is_refused_by_its_content_type(iris):
    content = json.dumps({"inputs": [tensor("x", "FP64", [2, 4], ROWS)]})

    def status(kind):
        headers = {"content-type": kind}
        return iris.client.post("/v2/models/iris/infer", content=content, headers=headers)

    for kind in ("application/json", "application/json; charset=utf-8", "application/x.a+json", ""):
        assert status(kind).status_code == 200
    assert status("application/x-www-form-urlencoded").status_code == 200  # curl's own
    answer = status("application/xml")
    assert (answer.status_code, "'application/xml' is not known" in answer.text) == (415, True)


def test_half_a_surrogate_pair_in_what_a_model_says_can_be_sent(actor):
    split = '{"dataframe_split": {"columns": ["act", "number"], "data": [["raise \\ud800", 1]]}}'
    headers = {"content-type": "application/json"}
    answer = actor.client.post("/invocations", content=split, headers=headers)
    assert answer.status_code == 500
    assert "the model raised" in answer.json()["message"]


def test_an_exception_that_repeats_a_long_input_is_answered_in_short(actor):
    answer = actor.act("raise " + "a" * 500_000)
    assert answer.status_code == 500
    assert len(answer.content) < 1_000
    assert "the model raised ValueError" in answer.json()["message"]
    wait_for(lambda: answer.json()["error_id"] in actor.log, "the traceback in the log")
    assert len(actor.log) < 100_000


def test_the_binary_extension_is_refused_in_words(iris):
    answer = iris.client.post(
        "/v2/models/iris/infer", content=b"{}", headers={"inference-header-content-length": "2"}
    )
    assert answer.status_code == 400
    assert "binary tensors are not supported" in answer.json()["error"]


def test_metrics_count_requests_and_calls_of_the_model(iris):
    from support.systems.model_server import Server

    def count(server: Server) -> float:
        lines = server.client.get("/metrics").text.splitlines()
        name = 'schnitzel_requests_total{route="infer",code="200"} '
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    before, calls = count(iris), iris.metric("schnitzel_batch_requests_count")
    assert iris.infer(tensor("x", "FP64", [2, 4], ROWS)).status_code == 200
    assert count(iris) == before + 1
    assert iris.metric("schnitzel_batch_requests_count") == calls + 1
    assert iris.metric("schnitzel_ready") == 1
    assert iris.metric("schnitzel_worker_resident_memory_bytes") > 2**20


def test_the_state_file_says_ready(iris):
    state = iris.state
    assert state["phase"] == "ready"
    assert state["reason"] == ""
    assert state["pid"] == iris.popen.pid
    assert state["worker_pid"] > 0
    assert state["python"] == ".".join(map(str, sys.version_info[:3]))
    assert state["restarts"] == 0


def test_the_front_imports_no_framework_and_nothing_heavy(tmp_path):
    import subprocess

    script = (
        "import json, sys, serving.__main__, serving.front.server;"
        "heavy = ('numpy', 'pandas', 'mlflow', 'fastapi', 'starlette', 'pydantic', 'yaml');"
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_header_that_is_no_request_id_is_replaced(iris):
    for sent in ("x" * 200, "tab\there"):
        answer = httpx.get(
            str(iris.client.base_url), headers={"x-request-id": sent}, trust_env=False
        )
        assert len(answer.headers["x-request-id"]) == 32
