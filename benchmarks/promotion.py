"""Promotion to first answer, warm environment: scikit-learn and TensorFlow, by stage and by alias.

    python benchmarks/promotion.py [sklearn] [tensorflow] [--rounds N]

Medians over ten each, on the real MLflow, Traefik, supervisord and Deployer, with the default
periods of the registry's watch. The TensorFlow model is Angler's, trained by its pipeline in
Airflow. Beside each promotion, in the same run, the floor: a bare process of the model's own
environment that loads the same model and answers the same example once.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.models import log_models
from support.platform.home import PlatformHome

ROOT = Path(__file__).parents[1]
EXAMPLE = "serving_input_example.json"
LOADED = re.compile(r"model loaded: import ([\d.]+) s, load ([\d.]+) s")
BARE = """\
import sys
import mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
model.predict(model.input_example)
"""


@dataclass(frozen=True)
class Round:
    """Seconds of one promotion: all, and its parts; and of the floor beside it."""

    taken: float
    seen: float
    imported: float
    loaded: float
    prepared: float
    floor: float

    @property
    def gateway(self) -> float:
        """Until the gateway served it."""
        return self.taken - self.seen - self.prepared


def main() -> None:
    """Measure and print."""
    wanted = argparse.ArgumentParser()
    wanted.add_argument("kinds", nargs="*", default=["sklearn", "tensorflow"])
    wanted.add_argument("--rounds", type=int, default=10)
    given = wanted.parse_args()
    for kind in given.kinds:
        with tempfile.TemporaryDirectory() as folder:
            watch = {"poll": "1s", "listing": "30s"}
            whole = kind == "tensorflow"  # its models come of Airflow
            platform = PlatformHome(Path(folder) / "home", {"registry": watch}, whole=whole)
            try:
                model = sklearn(platform) if kind == "sklearn" else tensorflow(platform)
                measure(platform, kind, model, given.rounds)
            finally:
                platform.down()


def sklearn(platform: PlatformHome) -> str:
    """Two versions of a logistic regression."""
    platform.up("mlflow", "gateway", "deployer")
    log_models(
        platform.url("mlflow"), [{"name": "iris", "kind": "sklearn", "say": s} for s in (1, 2)]
    )
    return "iris"


def tensorflow(platform: PlatformHome) -> str:
    """Two versions of Angler, each from its own training run."""
    platform.up()
    platform.cli("project", "add", str(ROOT / "examples" / "angler"))
    for seed in (7, 8):
        platform.cli("train", "angler", "-p", f"seed={seed}", seconds=1800)
    return "angler"


def measure(platform: PlatformHome, kind: str, model: str, rounds: int) -> None:
    """Promote back and forth."""
    mlflow = platform.mlflow
    mlflow.stage(model, 1, "Production")
    url = platform.wait_serving(model, 1, seconds=600)["url"]
    for other in platform.api("deployments")["deployments"]:
        # What a pipeline promoted elsewhere must be at rest, too.
        platform.wait(
            model, lambda d: d["state"] in ("Serving", "Failed", "Degraded"), other["environment"]
        )
    where = {"name": model, "version": "1", "path": EXAMPLE}
    found = platform.client.get(
        f"{platform.url('mlflow')}/model-versions/get-artifact", params=where
    )
    body, serving = found.content, 1
    for how in ("stage", "alias"):
        made = []
        for _ in range(rounds):
            serving = 3 - serving
            made.append(once(platform, model, serving, how, url, body))
        told(f"{kind} by {how}", made)


def once(
    platform: PlatformHome, model: str, version: int, how: str, url: str, body: bytes
) -> Round:
    """Promote one version and wait until all is at rest again."""
    floor = bare(platform, model)
    began = time.time()
    if how == "stage":
        platform.mlflow.stage(model, version, "Production", archive=True)
    else:
        platform.mlflow.alias(model, "champion", version)
    taken = first_answer(platform, url, version, body) - began
    platform.wait_serving(model, version)
    platform.wait(model, lambda d: len(d["predictors"]) == 1)
    events = platform.api(f"deployments/{model}-prod/history?limit=6")["events"]
    times = {e["action"]: moment(e["at"]) for e in events if e["kind"] == "intent"}
    log = platform.client.get(f"{platform.url('deployer')}/api/v1/deployments/{model}-prod/logs")
    imported, loaded = map(float, LOADED.findall(log.text)[-1])
    prepared = times["shift"] - times["rollout"]
    return Round(taken, times["rollout"] - began, imported, loaded, prepared, floor)


def first_answer(platform: PlatformHome, url: str, version: int, body: bytes) -> float:
    """When the first answer of a version came."""
    headers = {"content-type": "application/json"}
    while True:
        answer = platform.client.post(f"{url}invocations", content=body, headers=headers)
        if answer.headers.get("x-schnitzel-model-version") == str(version):
            return time.time()
        time.sleep(0.01)


def bare(platform: PlatformHome, model: str) -> float:
    """Seconds in which a bare process of the same environment loads and asks the same model."""
    [name] = [p["name"] for p in platform.deployment(model)["predictors"]]
    file = platform.home / "serving" / "predictors" / name / "predictor.json"
    server = json.loads(file.read_text())
    command = [server["python"], "-W", "ignore", "-c", BARE, server["artifact"]]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def told(name: str, made: list[Round]) -> None:
    """Print the medians."""

    def median(part: str) -> float:
        return statistics.median(getattr(each, part) for each in made)

    taken = [each.taken for each in made]
    print(
        f"{name}: p50 {median('taken'):.2f} s (min {min(taken):.2f}, max {max(taken):.2f}, "
        f"n {len(made)}); seen {median('seen'):.2f}, start to example answered "
        f"{median('prepared'):.2f} (import {median('imported'):.2f}, load {median('loaded'):.2f}), "
        f"gateway {median('gateway'):.2f}; bare process {median('floor'):.2f} s, "
        f"ratio {statistics.median(each.taken / each.floor for each in made):.2f}",
        flush=True,
    )


def moment(text: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
