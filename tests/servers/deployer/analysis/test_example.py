import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from deployer.analysis.example import ExampleResult, ask

ROOT = Path(__file__).resolve().parents[4]


SAVE = """
import sys
import mlflow.pyfunc
import pandas
from mlflow.models import ModelSignature, infer_signature

class Adds(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return pandas.DataFrame({"sum": model_input["a"] + model_input["b"]})

frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
fits = infer_signature(frame, pandas.DataFrame({"sum": [4.0, 6.0]}))
other = infer_signature(frame, pandas.DataFrame({"total": ["4"]}))
for name, signature in (("fits", fits), ("lies", other)):
    mlflow.pyfunc.save_model(
        f"{sys.argv[1]}/{name}", python_model=Adds(), input_example=frame, signature=signature,
        pip_requirements=["mlflow"],
    )
"""


def test_a_real_model_is_asked_its_own_example(tmp_path: Path) -> None:
    saved = subprocess.run(
        [sys.executable, "-c", SAVE, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert saved.returncode == 0, saved.stderr
    with model_server(tmp_path, tmp_path / "fits") as url:
        assert ask(url, tmp_path / "fits") == ExampleResult(ok=True)
        # The same server, held against a signature that promises something else.
        verdict = ask(url, tmp_path / "lies")
    assert not verdict.ok
    assert "'total' is missing; there is 'sum'" in verdict.message


@contextlib.contextmanager
def model_server(folder: Path, model: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "predictor": "adds-prod-v1-00000000",
        "model": "adds",
        "model_version": "1",
        "environment": "prod",
        "artifact": str(model),
        "python": sys.executable,
        "host": "127.0.0.1",
        "port": port,
        "state_file": str(folder / "state.json"),
        "memory_bytes": None,
        "max_body_bytes": 16 * 1024**2,
        "timeout_seconds": 60,
        "batching": {"enabled": True, "max_rows": 256},
        "drain_seconds": 1,
    }
    (folder / "predictor.json").write_text(json.dumps(config))
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "serving", str(folder / "predictor.json")],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until_ready(folder / "state.json", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def wait_until_ready(state_file: Path, server: subprocess.Popen[bytes]) -> None:
    poll = threading.Event()
    for _ in range(900):
        state = json.loads(state_file.read_text()) if state_file.exists() else {}
        if state.get("phase") == "ready":
            return
        assert server.poll() is None, state
        poll.wait(0.1)
    raise AssertionError(state_file.read_text())
