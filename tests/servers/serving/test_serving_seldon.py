"""Our server as a container of a SeldonDeployment: it does what the operator's variables say."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems.mlflow import MlflowServer

ROOT = Path(__file__).parents[3]
OPERATOR = {
    "PREDICTIVE_UNIT_ID": "model",
    "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": "9000",
    "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": "6000",
    "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
    "PREDICTOR_ID": "main",
}


def test_a_server_told_by_the_operator_alone(models, model_python, tmp_path):
    """As under a name of its config: no file, another port for metrics, a Unix socket."""
    ports = [free_port(), free_port(), free_port()]
    path = tmp_path / "s"
    told = {"python": model_python, "host": "127.0.0.1", "admin_port": ports[2]}
    told["state_file"] = str(tmp_path / "state.json")
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
            httpx.Client(trust_env=False, timeout=60) as client,
            httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=60) as beside,
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
            window = client.get(f"http://127.0.0.1:{ports[2]}/schnitzel/window").json()
            assert window["total"]["counts"] == {"ok": 1}
    finally:
        process.terminate()
        assert process.wait(60) == 0
        process.stderr.close()


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
