"""Seldon's microservice before our server: REST, feedback, metrics and gRPC, on loopback.

The real seldon-core, in an environment of its own; the model in another; our server between them.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from support import ROOT
from support.run.ports import free_port
from support.run.process import Running
from support.run.wait import wait_for
from support.systems.model_server import Server
from support.systems.seldon_environment import seldon_environment

CODE = ROOT / "images" / "seldon-microservice"
NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]


@pytest.fixture(scope="module")
def pod(models, tmp_path_factory):
    """Our server, and Seldon's microservice that asks it, as in one pod."""
    folder = tmp_path_factory.mktemp("pod")
    path = str(folder / "s")
    ports = {name: free_port() for name in ("http", "grpc", "metrics")}
    with ExitStack() as stack:
        os.environ["SCHNITZEL_SOCKET"] = path
        try:
            server = Server(folder, models / "iris")
        finally:
            del os.environ["SCHNITZEL_SOCKET"]
        stack.callback(server.stop)
        env = {
            "PATH": f"{seldon_environment() / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(CODE),
            "SCHNITZEL_SOCKET": path,
            "GUNICORN_THREADS": "4",
            "PREDICTIVE_UNIT_ID": "model",
            "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": str(ports["http"]),
            "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": str(ports["grpc"]),
            "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": str(ports["metrics"]),
            "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
            "PREDICTIVE_UNIT_PARAMETERS": '[{"name": "depth", "value": "3", "type": "INT"}]',
        }
        command = [str(seldon_environment() / "bin" / "seldon-core-microservice")]
        command += ["schnitzel_seldon.Model", "--service-type", "MODEL"]
        running = Running(command, folder / "microservice.log", env, cwd=folder)
        stack.callback(running.stop)
        client = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{ports['http']}", timeout=60, trust_env=False)
        )

        def ready():
            try:
                return client.get("/health/status").status_code == 200
            except httpx.HTTPError:
                assert running.process.poll() is None, running.tail()
                return False

        try:
            wait_for(ready, "the microservice to be ready")
        except AssertionError:
            sys.stderr.write(running.log.read_text()[-3000:])
            raise
        yield SimpleNamespace(server=server, client=client, ports=ports, log=running.log)


def predict(pod, **body):
    answer = pod.client.post("/api/v1.0/predictions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def expected(pod):
    """What our server itself answers."""
    url = f"http://127.0.0.1:{pod.server.port}/invocations"
    body = {"dataframe_split": {"columns": NAMES, "data": ROWS}}
    return httpx.post(url, json=body, timeout=60).json()["predictions"]


def test_named_columns(pod, expected):
    found = predict(pod, data={"names": NAMES, "ndarray": ROWS})
    assert found["data"]["ndarray"] == expected
    assert found["meta"]["tags"] == {"model_version": "3"}


def test_a_tensor(pod, expected):
    flat = [value for row in ROWS for value in row]
    found = predict(pod, data={"tensor": {"shape": [2, 4], "values": flat}})
    assert found["data"]["tensor"] == {"shape": [2], "values": expected}


def test_rows_without_names(pod, expected):
    assert predict(pod, data={"ndarray": ROWS})["data"]["ndarray"] == expected


@pytest.mark.parametrize("inside", ["dataframe_split", "open inference"])
def test_json_in_our_own_protocols(pod, expected, inside):
    flat = [value for row in ROWS for value in row]
    tensor = {"name": "x", "datatype": "FP64", "shape": [2, 4], "data": flat}
    bodies = {
        "dataframe_split": {"dataframe_split": {"columns": NAMES, "data": ROWS}},
        "open inference": {"inputs": [tensor]},
    }
    found = predict(pod, jsonData=bodies[inside])["jsonData"]
    if inside == "open inference":
        assert found["outputs"][0]["data"] == expected
    else:
        assert found["predictions"] == expected


def test_text_is_csv(pod, expected):
    lines = [",".join(NAMES), *(",".join(map(str, row)) for row in ROWS)]
    assert predict(pod, strData="\n".join(lines))["jsonData"]["predictions"] == expected


def test_a_bad_request_is_the_clients_fault_and_says_why(pod):
    answer = pod.client.post(
        "/api/v1.0/predictions", json={"data": {"tensor": {"shape": [1, 2], "values": [1, 2]}}}
    )
    assert answer.status_code == 400
    assert "expected 4 columns" in answer.json()["status"]["info"]


def test_feedback_and_custom_metrics(pod):
    predict(pod, data={"ndarray": ROWS})
    feedback = {
        "request": {"data": {"ndarray": ROWS}},
        "response": {"data": {"ndarray": [0, 2]}},
        "truth": {"data": {"ndarray": [0, 1]}},
        "reward": 0.75,
    }
    answer = pod.client.post("/api/v1.0/feedback", json=feedback)
    assert answer.status_code == 200, answer.text

    def page():
        return httpx.get(f"http://127.0.0.1:{pod.ports['metrics']}/prometheus", timeout=60).text

    def counted():
        found = page()
        names = ("schnitzel_forwarded_total", "schnitzel_feedback_total", "with_truth_total")
        return all(name in found for name in names) and found

    found = wait_for(counted, "the metrics", 30, every=0.5)
    reward = [line for line in found.splitlines() if "reward" in line and line[0] != "#"]
    assert any(line.endswith(" 0.75") for line in reward), reward
    assert "schnitzel_forwarded_milliseconds" in found


def test_grpc(pod, expected):
    asked = json.dumps({"data": {"names": NAMES, "ndarray": ROWS}})
    script = Path(__file__).with_name("ask_grpc.py")
    command = [seldon_environment() / "bin" / "python", script, str(pod.ports["grpc"]), asked]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + pod.log.read_text()[-2000:]
    answer, _ = json.loads(done.stdout)
    assert answer["data"]["ndarray"] == expected
    assert answer["meta"]["tags"] == {"model_version": "3"}


def test_the_models_environment_has_nothing_of_seldon(pod):
    """One model process, the server's, however many processes Seldon starts."""
    page = httpx.get(f"http://127.0.0.1:{pod.server.port}/metrics", timeout=60).text
    requests = [line for line in page.splitlines() if line.startswith("schnitzel_requests_total")]
    assert any('route="invocations",code="200"' in line for line in requests)
    index = httpx.get(f"http://127.0.0.1:{pod.server.port}/v2/health/ready", timeout=60)
    assert index.json() == {"ready": True}


def test_with_the_server_gone_it_says_so_and_is_not_ready(pod):
    """The last test: it ends the server."""
    pod.server.stop()
    answer = pod.client.post("/api/v1.0/predictions", json={"data": {"ndarray": ROWS}})
    assert answer.status_code == 503
    assert "cannot be asked" in answer.json()["status"]["info"]
    assert pod.client.get("/health/status").status_code == 503
