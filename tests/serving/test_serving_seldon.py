"""Our server as a container of a SeldonDeployment: it does what the operator's variables say."""

# ruff: noqa: S104 - an address in a pod

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from mlflow_server import MlflowServer
from processes import free_port, wait_for

from serving.predictor import BadPredictor
from serving.seldon import placing
from serving.seldon.paths import Renamed

ROOT = Path(__file__).parents[2]
OPERATOR = {
    "PREDICTIVE_UNIT_ID": "model",
    "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9000",
    "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": "6000",
    "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
    "PREDICTOR_ID": "main",
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "predictor.json"
    content = {
        "predictor": "p",
        "model": "iris",
        "model_version": "3",
        "artifact": "/mnt/model/model",
        "python": "/opt/env/bin/python",
        "host": "0.0.0.0",
        "port": 8080,
        "state_file": str(tmp_path / "state.json"),
    }
    path.write_text(json.dumps(content))
    return path


def test_without_an_operator_the_file_says_all(file):
    found = placing.predictor(str(file), {})
    assert (found.port, found.artifact) == (8080, "/mnt/model/model")
    with pytest.raises(BadPredictor):
        placing.predictor(str(file) + "x", {})


def test_the_operator_says_where_to_listen(file):
    found = placing.predictor(str(file), OPERATOR)
    assert (found.port, found.model, found.artifact) == (9000, "iris", "/mnt/model/model")
    fetched = placing.predictor(str(file), OPERATOR | {"MLSERVER_MODEL_URI": "/mnt/models"})
    assert fetched.artifact == "/mnt/models"


def test_where_no_file_is_mounted_the_variables_say_all(tmp_path, file):
    missing = str(tmp_path / "missing.json")
    alone = placing.predictor(missing, OPERATOR | {"MLSERVER_MODEL_VERSION": "v1"})
    assert (alone.predictor, alone.model, alone.model_version) == ("main", "model", "v1")
    assert (alone.host, alone.port, alone.artifact) == ("0.0.0.0", 9000, "/mnt/models")
    assert alone.drain_whole
    told = OPERATOR | {"SCHNITZEL_PREDICTOR": file.read_text()}
    assert placing.predictor(missing, told).model == "iris"
    with pytest.raises(BadPredictor, match="SCHNITZEL_PREDICTOR is not JSON"):
        placing.predictor(missing, OPERATOR | {"SCHNITZEL_PREDICTOR": "{"})


def test_a_port_that_is_none_is_named(file):
    wrong = OPERATOR | {"PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "http"}
    with pytest.raises(BadPredictor, match="PREDICTIVE_UNIT_HTTP_SERVICE_PORT is 'http'"):
        placing.predictor(str(file), wrong)


@pytest.mark.parametrize(
    ("environ", "path", "seen"),
    [
        (OPERATOR, "/v2/models/model/infer", "/v2/models/Fraud%20%CE%A9/infer"),
        (OPERATOR, "/v2/models/model", "/v2/models/Fraud%20%CE%A9"),
        (OPERATOR, "/v2/models/models/infer", "/v2/models/models/infer"),
        (OPERATOR, "/v2/models/Fraud%20%CE%A9/infer", "/v2/models/Fraud%20%CE%A9/infer"),
        (OPERATOR, "/prometheus", "/metrics"),
        ({}, "/prometheus", "/metrics"),
        ({}, "/v2/models/model", "/v2/models/model"),
        (OPERATOR | {"PREDICTIVE_UNIT_METRICS_ENDPOINT": "/m"}, "/m", "/metrics"),
    ],
)
def test_it_answers_to_the_operators_names_as_well(environ, path, seen):
    import asyncio

    asked = []

    async def app(scope, receive, send):
        asked.append(scope["raw_path"].decode())

    async def ask():
        await Renamed(app, "Fraud Ω", environ)({"raw_path": path.encode()}, None, None)

    asyncio.run(ask())
    assert asked == [seen]


@pytest.mark.e2e
def test_a_server_told_by_the_operator_alone(models, model_python, tmp_path):
    """As under a name of its config: no file, another port for metrics, a Unix socket."""
    ports = [free_port(), free_port()]
    path = tmp_path / "s"
    told = {"python": model_python, "host": "127.0.0.1", "state_file": str(tmp_path / "state.json")}
    env = {
        **os.environ,
        **OPERATOR,
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(ports[0]),
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(ports[1]),
        "MLSERVER_MODEL_URI": str(models / "iris"),
        "SCHNITZEL_PREDICTOR": json.dumps(told | {"drain_whole": False}),
        "SCHNITZEL_SOCKET": str(path),
    }
    command = [sys.executable, "-m", "serving", str(tmp_path / "missing.json")]
    process = subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.PIPE)
    try:
        with (
            httpx.Client(trust_env=False, timeout=30) as client,
            httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=30) as beside,
        ):

            def ready():
                assert process.poll() is None, process.stderr.read()
                try:
                    url = f"http://127.0.0.1:{ports[0]}/v2/health/ready"
                    return client.get(url).status_code == 200
                except httpx.TransportError:
                    return False

            wait_for(ready, "the server to be ready")
            tensor = {
                "name": "x",
                "datatype": "FP64",
                "shape": [1, 4],
                "data": [5.1, 3.5, 1.4, 0.2],
            }
            url = f"http://127.0.0.1:{ports[0]}/v2/models/model/infer"
            answer = client.post(url, json={"inputs": [tensor]})
            assert answer.status_code == 200, answer.text
            page = client.get(f"http://127.0.0.1:{ports[1]}/prometheus").text
            assert 'schnitzel_requests_total{route="infer",code="200"} 1' in page
            assert beside.get("http://s/v2/health/ready").json() == {"ready": True}
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stderr.close()


@pytest.mark.e2e
def test_what_the_operator_runs_to_fetch_a_model(tmp_path_factory, tmp_path):
    """Two arguments; the folder is a mount, so that only what is in it can be replaced."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    folder = tmp_path / "models"
    folder.mkdir()

    def fetch(address):
        command = [sys.executable, "-m", "serving", address, str(folder)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    try:
        server.start()
        for path in ("good/MLmodel", "good/code/a.txt"):
            url = f"/api/2.0/mlflow-artifacts/artifacts/{path}"
            assert server.client.put(url, content=path.encode()).status_code == 200
        uri = f"mlflow-artifacts:/good?tracking_uri={quote(server.url, safe='')}"
        for _ in range(2):  # a container that is started anew does it again
            done = fetch(uri)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["digest"]
            files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
            assert files == {"MLmodel", "code/a.txt"}
        missing = fetch(uri.replace("good", "none"))
        assert missing.returncode == 1
        assert "hint:" in missing.stderr
    finally:
        server.close()
    done = fetch("ftp://somewhere/else")
    assert done.returncode == 1
    assert "pods fetch from mlflow-artifacts: and s3: only" in done.stderr
