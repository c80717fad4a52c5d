"""Promotion to first answer on a Kubernetes node, warm, for scikit-learn: by stage and by alias.

    python benchmarks/cluster_promotion.py [--rounds N]

Medians over ten each, with the default periods of the registry's watch and the defaults of the
serving spec. Warm: the environment's image is built and on the node. Each round also says where its
time went, as the API server, the history and the server's log tell it. Beside each promotion, in
the same run, the floor: the same pod (same image, same artifact) made by hand, and asked at its own
address until it answers the same example. Its readiness probe is the one that people write, each
second; when that finds it ready is told, too, for a client behind a Service gets no answer before.

`SCHNITZEL_TEST_KUBECONFIG` names the cluster; without it, one is brought up.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import ApiError
from deployer.targets.kubernetes.client.session import ClusterAccess, Session

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.models import log_models
from support.platform.cluster import ClusterPlatform
from support.systems.cluster import cluster

EXAMPLE = "serving_input_example.json"
LOADED = re.compile(r"model loaded: import ([\d.]+) s, load ([\d.]+) s")
JSON = {"content-type": "application/json"}
VERSION = "x-schnitzel-model-version"
PROBE = {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1}
PAUSE = 0.02
"""Seconds between questions whether it is so far."""


@dataclass(frozen=True)
class Round:
    """Seconds of one promotion, its parts in their order, and of the floor beside it."""

    decided: float
    """Until the Deployer had seen it and decided, as its history says."""
    applied: float
    """Until the pod was there."""
    scheduled: float
    fetched: float
    """Until the init container had ended: sandbox, volumes, artifact."""
    started: float
    """Until the server's container ran."""
    ready: float
    """Until the kubelet found it ready: the model imported and loaded."""
    verified: float
    """Until the model's own example was answered, and traffic shifted."""
    answered: float
    """Until the gateway gave the first answer."""
    imported: float
    loaded: float
    floor: float
    """Until the pod made by hand answers at its own address."""
    floor_ready: float
    """Until the kubelet finds that pod ready."""

    @property
    def taken(self) -> float:
        """From the promotion to the first answer."""
        return sum(getattr(self, part) for part in PARTS)


PARTS = [field.name for field in fields(Round)][:8]
STAGES = ("there", "scheduled", "fetched", "started", "ready")


class Pods:
    """When something was first so with each pod of a namespace, as a watch tells it."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._seen: dict[str, dict[str, float]] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._follow, daemon=True).start()

    def times(self, predictor: str, since: float) -> dict[str, float]:
        """For the pod of a predictor that came since then: seconds since the epoch."""

        def ready() -> dict[str, float] | None:
            for name, times in self._seen.items():
                if name.startswith(predictor) and times["there"] >= since and "ready" in times:
                    return times
            return None

        with self._changed:
            found = self._changed.wait_for(ready, 60)
        assert found, f"no new pod of {predictor} is ready"
        return found

    def _follow(self) -> None:
        while True:
            with suppress(ApiError):  # a watch that ended is taken up again
                *_, page = self._client.pages(kinds.POD, self._namespace)
                for pod in page.items:  # what came between two watches
                    self._note(pod, time.time())
                stream = self._client.watch(kinds.POD, self._namespace, page.resource_version)
                for event, pod in stream.events():
                    if event in ("ADDED", "MODIFIED"):
                        self._note(pod, time.time())

    def _note(self, pod: dict[str, Any], now: float) -> None:
        status = pod.get("status", {})
        true = {c["type"] for c in status.get("conditions", ()) if c["status"] == "True"}
        running = any("running" in c["state"] for c in status.get("containerStatuses", ()))
        facts = {
            "there": True,
            "scheduled": "PodScheduled" in true,
            "fetched": "Initialized" in true,
            "started": running,
            "ready": "Ready" in true,
        }
        with self._changed:
            times = self._seen.setdefault(pod["metadata"]["name"], {})
            for what, so in facts.items():
                if so:
                    times.setdefault(what, now)
            self._changed.notify_all()


def main() -> None:
    """Measure and print."""
    wanted = argparse.ArgumentParser()
    wanted.add_argument("--rounds", type=int, default=10)
    rounds = wanted.parse_args().rounds
    settings = {
        "registry": {"poll": "1s", "listing": "30s"},
        "each": {"prod": {"overlay": {}}},
    }
    print(f"load average before: {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        platform = ClusterPlatform(cluster(), Path(folder) / "home", settings=settings)
        try:
            model = platform.model("iris")
            versions = [{"name": model, "kind": "sklearn", "say": say} for say in (1, 2)]
            log_models(platform.mlflow.url, versions)
            platform.up()
            measure(platform, rounds)
        finally:
            platform.down()


def measure(platform: ClusterPlatform, rounds: int) -> None:
    """Promote back and forth."""
    model, where = platform.model("iris"), platform.environment("prod")
    platform.mlflow.stage(model, 1, "Production")
    url = platform.serving("iris", 1, seconds=900)["url"]
    place = {"name": model, "version": "1", "path": EXAMPLE}
    found = platform.client.get(
        f"{platform.mlflow.url}/model-versions/get-artifact", params=place
    ).raise_for_status()
    client = Client(Session(ClusterAccess(platform.cluster.kubeconfig)))
    pods = Pods(client, where)
    serving = 1
    for how in ("stage", "alias"):
        made = []
        for _ in range(rounds):
            floor = bare(platform, client, pods, found.content)
            serving = 3 - serving
            made.append(once(platform, pods, serving, how, url, found.content, floor))
        told(f"sklearn by {how}", made)


def once(
    platform: ClusterPlatform,
    pods: Pods,
    version: int,
    how: str,
    url: str,
    body: bytes,
    floor: tuple[float, float],
) -> Round:
    """Promote one version and wait until all is at rest again."""
    model, where = platform.model("iris"), platform.environment("prod")
    began = time.time()
    if how == "stage":
        platform.mlflow.stage(model, version, "Production")
    else:
        platform.mlflow.alias(model, where, version)
    ended = first_answer(platform, url, model, version, body)
    seen = platform.serving("iris", version)
    [name] = [p["name"] for p in seen["predictors"] if p["weight"] == 100]
    platform.mlflow.stage(model, 3 - version, "None")  # so that it may be promoted again
    platform.wait(model, lambda d: len(d["predictors"]) == 1, where)
    events = platform.api(f"deployments/{seen['id']}/history?limit=6")["events"]
    intents = {e["action"]: moment(e["at"]) for e in events if e["kind"] == "intent"}
    log = platform.client.get(f"{platform.url('deployer')}/api/v1/deployments/{seen['id']}/logs")
    imported, loaded = map(float, LOADED.findall(log.text)[-1])

    stages = pods.times(name, began)
    times = [began, intents["rollout"], *(stages[stage] for stage in STAGES)]
    times += [intents["shift"], ended]
    parts = [late - early for early, late in pairwise(times)]
    answered, ready = floor
    return Round(*parts, imported=imported, loaded=loaded, floor=answered, floor_ready=ready)


def first_answer(
    platform: ClusterPlatform, url: str, model: str, version: int, body: bytes
) -> float:
    """When the first answer of a version came; before, only its route is asked, which is cheap."""
    while True:
        seen = platform.client.get(f"{url}v2/models/{model}/ready")
        if seen.headers.get(VERSION) == str(version):
            answer = platform.client.post(f"{url}invocations", content=body, headers=JSON)
            assert answer.status_code == 200, answer.text
            assert answer.headers[VERSION] == str(version)
            return time.time()
        time.sleep(PAUSE)


def bare(platform: ClusterPlatform, client: Client, pods: Pods, body: bytes) -> tuple[float, float]:
    """Seconds until a pod like the one that serves, made by hand, answers; until it is ready."""
    where, name = platform.environment("prod"), f"by-hand-{time.time_ns()}"
    [serving] = [p["name"] for p in platform.seen("iris")["predictors"]]
    deployment = platform.cluster.get("deployment", serving, "-n", where)
    spec = deployment["spec"]["template"]["spec"]
    [server] = spec["containers"]
    del server["startupProbe"]
    server["readinessProbe"] = PROBE
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": where},
        "spec": spec,
    }
    began = time.time()
    client.create(pod)
    while True:
        address = client.get(kinds.POD, where, name).get("status", {}).get("podIP")
        if address and answers(platform, f"http://{address}:8080/invocations", body):
            break
        time.sleep(PAUSE)
    taken = time.time() - began
    ready = pods.times(name, began)["ready"] - began
    platform.cluster.kubectl("delete", "pod", name, "-n", where, "--grace-period=1")
    return taken, ready


def answers(platform: ClusterPlatform, url: str, body: bytes) -> bool:
    """Whether a model server gives a prediction."""
    try:
        return platform.client.post(url, content=body, headers=JSON).status_code == 200
    except httpx.TransportError:
        return False


def told(name: str, made: list[Round]) -> None:
    """Print the medians."""

    def median(part: str) -> float:
        return statistics.median(getattr(each, part) for each in made)

    taken = sorted(each.taken for each in made)
    ratio = statistics.median(each.taken / each.floor for each in made)
    print(
        f"{name}: p50 {median('taken'):.2f} s (min {taken[0]:.2f}, max {taken[-1]:.2f}, "
        f"n {len(made)}; aim 8 s); the same pod by hand {median('floor'):.2f} s, "
        f"ratio {ratio:.2f} (ready {median('floor_ready'):.2f} s)"
    )
    print(
        "  "
        + ", ".join(f"{part} {median(part):.2f}" for part in PARTS)
        + f" (import {median('imported'):.2f}, load {median('loaded'):.2f})",
        flush=True,
    )


def moment(text: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
