"""Promotion to first answer, warm environment, scikit-learn, by stage and by alias.

Medians over ten each, on the real MLflow, Traefik, supervisord and Deployer, with the default
periods of the registry's watch. The breakdown is from the deployment's history.
"""

import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from models import log_models
from platform_home import PlatformHome

ROUNDS = 10
BODY = {
    "dataframe_split": {
        "columns": [
            "sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)",
        ],
        "data": [[5.1, 3.5, 1.4, 0.2]],
    }
}  # fmt: skip


def first_answer(platform: PlatformHome, url: str, version: int) -> float:
    """When the first answer of a version came."""
    while True:
        answer = platform.client.post(f"{url}invocations", json=BODY)
        if answer.headers.get("x-schnitzel-model-version") == str(version):
            return time.time()
        time.sleep(0.01)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        watch = {"poll": "1s", "listing": "30s"}
        platform = PlatformHome(Path(folder) / "home", {"registry": watch})
        try:
            platform.up("mlflow", "gateway", "deployer")
            measure(platform)
        finally:
            platform.down()


def measure(platform: PlatformHome) -> None:
    """Promote back and forth."""
    models = [{"name": "iris", "kind": "sklearn", "say": say} for say in (1, 2)]
    log_models(platform.url("mlflow"), models)
    mlflow = platform.mlflow
    mlflow.stage("iris", 1, "Production")
    url = platform.wait_serving("iris", 1, seconds=300)["url"]
    serving = 1
    for how in ("stage", "alias"):
        taken, seen, ready = [], [], []
        for _ in range(ROUNDS):
            serving = 3 - serving
            began = time.time()
            if how == "stage":
                mlflow.stage("iris", serving, "Production", archive=True)
            else:
                mlflow.alias("iris", "champion", serving)
            taken.append(first_answer(platform, url, serving) - began)
            platform.wait_serving("iris", serving)
            platform.wait("iris", lambda d: len(d["predictors"]) == 1)
            events = platform.api("deployments/iris-prod/history?limit=6")["events"]
            times = {e["action"]: moment(e["at"]) for e in events if e["kind"] == "intent"}
            seen.append(times["rollout"] - began)
            ready.append(times["shift"] - times["rollout"])
        rest = [t - s - r for t, s, r in zip(taken, seen, ready, strict=True)]
        print(
            f"by {how}: p50 {statistics.median(taken):.2f} s (min {min(taken):.2f}, "
            f"max {max(taken):.2f}); seen {statistics.median(seen):.2f}, start to example "
            f"answered {statistics.median(ready):.2f}, gateway {statistics.median(rest):.2f}"
        )


def moment(text: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
