"""The stand-in for TensorFlow Serving keeps the real one's contract, as its documentation has it.

https://www.tensorflow.org/tfx/serving/api_rest and serving_config; error texts from its sources.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support.systems import tfserving as tfserving_standin
from support.systems.tfserving import ENV, PROGRAM, ModelServer

ROOT = Path(__file__).parents[3]
HALF = "/v1/models/halfplustwo"
PREDICT = f"{HALF}:predict"


@pytest.fixture(scope="module")
def server(tensorflow_serving):
    return tensorflow_serving


def started(*flags):
    """What it says when it ends at once."""
    command = [str(tfserving_standin.interpreter()), str(PROGRAM), *map(str, flags)]
    done = subprocess.run(
        command, env=ENV, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout


def test_the_documented_example_is_answered_as_documented(server):
    assert server.get(HALF).json() == {
        "model_version_status": [
            {
                "version": "3",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    answer = server.post(PREDICT, {"instances": [1.0, 2.0, 5.0]})
    assert answer.json() == {"predictions": [2.5, 3.0, 4.5]}
    assert server.post(PREDICT, {"inputs": {"x": [1]}}).json() == {"outputs": [2.5]}


def test_versions_and_labels_name_the_same(server):
    for which in ("", "/versions/3", "/labels/test"):
        assert server.get(HALF + which).status_code == 200
        assert server.post(f"{HALF}{which}:predict", {"inputs": [2]}).json() == {"outputs": [3.0]}


def test_metadata_has_signatures_with_types_and_shapes(server):
    shown = server.get(f"{HALF}/metadata").json()
    assert shown["model_spec"]["name"] == "halfplustwo"
    assert shown["model_spec"]["version"] == "3"
    x = shown["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert x["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


@pytest.mark.parametrize(
    ("path", "content", "status", "said"),
    [
        (
            "/v1/models/half:predict",
            {"inputs": [1]},
            404,
            "Servable not found for request: Latest(half)",
        ),
        (f"{HALF}/versions/7:predict", {"inputs": [1]}, 404, "Specific(halfplustwo, 7)"),
        (
            f"{HALF}/labels/prod:predict",
            {"inputs": [1]},
            400,
            "Unrecognized servable version label: prod",
        ),
        (
            f"{HALF}:explain",
            {"inputs": [1]},
            400,
            "Malformed request: POST /v1/models/halfplustwo:explain",
        ),
        (PREDICT, "", 400, "JSON Parse error: The document is empty"),
        (PREDICT, "{", 400, "JSON Parse error"),
        (PREDICT, {}, 400, "Missing 'inputs' or 'instances' key"),
        (PREDICT, {"instances": []}, 400, "No values in 'instances' array"),
        (
            PREDICT,
            {"inputs": ["a"]},
            400,
            'JSON Value: "a" Type: String is not of expected type: float',
        ),
        (PREDICT, {"inputs": [None]}, 400, "Type: Null is not of expected type: float"),
        (PREDICT, {"inputs": [[1], 2]}, 400, "found at incorrect level"),
        (PREDICT, {"inputs": {"y": [1]}}, 400, "Missing named input: x in 'inputs' object."),
        (PREDICT, {"signature_name": "no", "inputs": [1]}, 400, "not found in signature def"),
        (PREDICT, {"inputs": 1}, 400, "input tensors must have at least one dimension"),
        (PREDICT, {"inputs": [1] * 65_537}, 400, "larger than maximum input batch size 65536"),
        (
            "/v1/models/every:predict",
            {"instances": [1]},
            400,
            "expecting list of objects as multiple input",
        ),
        ("/v1/models/grumbles:predict", {"inputs": [-1]}, 400, "nothing below 0"),
    ],
)
def test_errors_have_the_real_ones_codes_and_words(server, path, content, status, said):
    answer = server.post(path, content)
    assert answer.status_code == status
    assert answer.text.startswith('{ "error": "')
    assert said in answer.text.replace('\\"', '"').replace("\\'", "'")


def test_what_is_not_there_is_404(server):
    answer = server.get("/v1/models/half")
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "Could not find any versions of model half"},
    )
    assert "Could not find version 7" in server.get(f"{HALF}/versions/7").text
    assert server.get("/").status_code == 404


def test_numbers_are_the_shortest_that_read_back_the_same(server):
    def predicted(value):
        body = f'{{"inputs": [{value}]}}'
        return server.post(PREDICT, body).text.split("[")[1].split("]")[0]

    assert predicted(-3.6) == "0.200000048"  # of 32 bits, as computed
    assert predicted(18e6 - 4) == "9e+06"
    assert predicted("NaN") == "NaN"
    assert predicted("-Infinity") == "-Infinity"


def test_metrics_are_where_the_file_says(server):
    assert ":tensorflow:serving:request_count" in server.get("/metrics/tf").text


def test_warmup_requests_are_sent_before_it_opens(server):
    read = "Finished reading warmup data for model at"
    assert f"{read} {server.running.log.parent}/models/halfplustwo/3/" in server.log
    assert "Number of warmup records read: 2." in server.log


def test_what_angler_writes_for_the_warm_up_is_read(saved_models, tmp_path):
    """It writes the messages by hand; here they are read by TensorFlow Serving's own."""
    folder = tmp_path / "model"
    shutil.copytree(saved_models["every"], folder)
    program = tmp_path / "write.py"
    program.write_text(f"""
import sys
from pathlib import Path
sys.path.append({str(ROOT / "examples" / "angler" / "src")!r})
import numpy as np
from angler import warmup
one = {{"count": np.int64([1]), "flag": [True], "name": ["a"], "raw_bytes": [b"x"]}}
warmup.write(Path({str(folder)!r}), [one | {{"pair": np.ones((1, 2))}}] * 3)
""")
    tfserving_standin.run(program)
    standin = ModelServer(tmp_path, {"every": folder})
    try:
        assert "Number of warmup records read: 3." in standin.ready().log
    finally:
        standin.stop()


def test_grpc_answers_as_rest_does(server):
    program = f"""
import grpc, json, tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc as service
stub = service.PredictionServiceStub(grpc.insecure_channel("127.0.0.1:{server.grpc_port}"))
request = predict_pb2.PredictRequest()
request.model_spec.name = "halfplustwo"
request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0, 2.0]))
print(json.dumps(tf.make_ndarray(stub.Predict(request, 60).outputs["y"]).tolist()))
request.model_spec.name = "half"
try:
    stub.Predict(request, 60)
except grpc.RpcError as error:
    print(json.dumps([error.code().name, error.details()]))
"""
    done = subprocess.run(
        [str(tfserving_standin.interpreter()), "-c", program],
        env=ENV, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        [2.5, 3.0],
        ["NOT_FOUND", "Servable not found for request: Latest(half)"],
    ]


# -- at its start


def test_a_flag_that_it_does_not_know_is_refused():
    status, said = started("--rest_port=8501")
    assert status == 255
    assert said.startswith("unknown argument: --rest_port=8501\nusage:")
    assert started("--enable_batching=perhaps")[0] == 255


def test_a_file_that_it_cannot_read_is_refused(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("model_config_list { config { nme: 'x' } }")
    status, said = started(f"--model_config_file={path}")
    assert status == 255
    assert f"Invalid protobuf file: '{path}'" in said


def test_batching_parameters_need_batching(tmp_path):
    status, said = started(
        "--model_base_path=/nowhere", f"--batching_parameters_file={tmp_path}/none"
    )
    assert status == 255
    assert "without setting server_options.enable_batching to true" in said


def test_a_folder_without_a_model_ends_it(saved_models, tmp_path):
    standin = ModelServer(tmp_path, {"empty": saved_models["empty"]})
    try:
        assert standin.running.process.wait(120) == 255
        assert "1 servable(s) did not become available" in standin.log
    finally:
        standin.stop()
