"""What the model server answers, beside `mlflow models serve`: requests a second, p50 and p99.

    python benchmarks/model_server.py [ROUNDS]

One scikit-learn model, one row a request, both servers started from the same environment, asked by
turns from one process on as many connections as the table says; each figure is the median of its
rounds. The ratio is to MLflow's server in the same round. Batching is trusted before anything is
measured: the first requests are all different.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from http_load import Taken, load, post

ROOT = Path(__file__).parents[1]
CONNECTIONS = (1, 8, 64)
SECONDS = 3.0
COLUMNS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROW = [5.1, 3.5, 1.4, 0.2]
SPLIT = {"dataframe_split": {"columns": COLUMNS, "data": [ROW]}}
TENSOR = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 4], "data": ROW}]}
SAVE = """
import sys, mlflow.sklearn
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
data = load_iris(as_frame=True)
model = LogisticRegression(max_iter=500).fit(data.data, data.target)
signature = infer_signature(data.data, model.predict(data.data))
mlflow.sklearn.save_model(model, sys.argv[1], signature=signature,
    serialization_format="cloudpickle", pip_requirements=["mlflow"])
"""


def start_ours(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the model server."""
    predictor = {
        "predictor": "iris", "model": "iris", "model_version": "1", "environment": "bench",
        "artifact": str(folder / "iris"), "python": sys.executable, "host": "127.0.0.1",
        "port": port, "state_file": str(folder / "state.json"),
    }  # fmt: skip
    (folder / "predictor.json").write_text(json.dumps(predictor))
    command = [sys.executable, "-m", "serving", str(folder / "predictor.json")]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)


def start_mlflows(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start MLflow's scoring server, as `mlflow models serve` does."""
    environment = {**os.environ, "__pyfunc_model_path__": str(folder / "iris")}
    command = [sys.executable, "-m", "uvicorn", "mlflow.pyfunc.scoring_server.app:app"]
    return subprocess.Popen(
        [*command, "--port", str(port), "--log-level", "error"],
        env=environment | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def wait(url: str) -> None:
    """Wait until a server is ready."""
    while True:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)


def earn_trust(port: int) -> None:
    """Ask different rows, several at a time, until the model may answer batches."""
    draw = random.Random(1)  # noqa: S311 - rows, not secrets
    url = f"http://127.0.0.1:{port}"
    told = '\nschnitzel_batching_state{state="on"} 1\n'
    while told not in httpx.get(f"{url}/metrics", trust_env=False).text:
        row = [draw.random() * 8 for _ in ROW]
        body = {"dataframe_split": {"columns": COLUMNS, "data": [row]}}
        load(port, post("/invocations", json.dumps(body).encode()), 8, 0.05)


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-c", SAVE, str(folder / "iris")], check=True,
                       stderr=subprocess.DEVNULL)  # fmt: skip
        ours, theirs = 18_431, 18_432
        servers = [start_ours(folder, ours), start_mlflows(folder, theirs)]
        try:
            wait(f"http://127.0.0.1:{ours}/v2/health/ready")
            wait(f"http://127.0.0.1:{theirs}/ping")
            earn_trust(ours)
            measure(ours, theirs, rounds)
        finally:
            for server in servers:
                server.kill()
                server.wait()


def measure(ours: int, theirs: int, rounds: int) -> None:
    """Ask both by turns, and print the table."""
    split = post("/invocations", json.dumps(SPLIT).encode())
    tensor = post("/v2/models/iris/infer", json.dumps(TENSOR).encode())
    asked = {
        "mlflow models serve": (theirs, split),
        "ours, /invocations": (ours, split),
        "ours, OIP": (ours, tensor),
    }
    print(f"{rounds} rounds of {SECONDS:g} s; one row a request\n")
    print(
        f"{'':22}{'connections':>12}{'requests/s':>12}{'to MLflow':>11}{'p50 ms':>9}{'p99 ms':>9}"
    )
    for connections in CONNECTIONS:
        taken: dict[str, list[Taken]] = {name: [] for name in asked}
        for _ in range(rounds):
            for name, (port, request) in asked.items():
                taken[name].append(load(port, request, connections, SECONDS))
        base = taken["mlflow models serve"]
        for name, found in taken.items():
            assert not sum(one.refused for one in found), name
            rate = statistics.median(one.rate for one in found)
            ratio = statistics.median(
                one.rate / other.rate for one, other in zip(found, base, strict=True)
            )
            p50, p99 = (
                statistics.median(one.quantile(share) for one in found) for share in (0.5, 0.99)
            )
            print(f"{name:22}{connections:12}{rate:12,.0f}{ratio:11.1f}{p50:9.2f}{p99:9.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
