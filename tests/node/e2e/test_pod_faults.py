"""Version 2 goes wrong in a pod, or takes its time, while version 1 is asked without a pause.

Version 2 of every model is promoted at the same time, so that all costs about what one does. What
goes wrong with pods otherwise, and what is said of it:
tests/node/deployer/targets/kubernetes/diagnosis/test_provoked.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.load import Load
from support.models import log_models
from support.platform.cluster import ClusterPlatform
from support.run.wait import wait_for
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(1800)

GATE = "/tmp/go-on"  # noqa: S108 - the pod's own
SECOND: dict[str, dict[str, Any]] = {
    "refusing": {"kind": "refuses-example"},
    "devouring": {"kind": "eats-memory", "serving": {"resources": {"memory": "600Mi"}}},
    "dawdling": {
        "kind": "waits-at-load",
        "path": GATE,
        "serving": {"rollout": {"ready_timeout": "15m"}},
    },
}
"""Version 2 of each model; that of the last one loads once something is at GATE in its pod."""

FATES = {
    "refusing": ("ExampleRefused", "answers 500 to its own input example"),
    "devouring": ("OutOfMemory", "memory"),
}
"""The reason that is told, and a part of the sentence."""

MORE = 20
"""Answers that show what is so from now on."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterPlatform]:
    home = tmp_path_factory.mktemp("faults") / "home"
    # What failed for a transient cause is not tried again while a test looks at it.
    settings = {"policy": {"retry_first": "5m"}}
    made = ClusterPlatform(cluster(), home, settings=settings, builds=False)
    try:
        models: list[dict[str, Any]] = []
        for name, second in SECOND.items():
            models.append({"name": made.model(name), "kind": "constant", "say": 1})
            models.append({"name": made.model(name), "say": 2} | second)
        log_models(made.mlflow.url, models)
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def loads(platform: ClusterPlatform) -> Iterator[dict[str, Load]]:
    """Requests to each model, from before its version 2 is promoted until all is over."""
    for name in SECOND:
        promote(platform, name, 1)
    urls = {name: platform.serving(name, 1)["url"] for name in SECOND}
    with ExitStack() as stack:
        begun = {name: stack.enter_context(Load(url, 10, 2)) for name, url in urls.items()}
        for name in SECOND:
            promote(platform, name, 2)
        yield begun
    for name, load in begun.items():
        assert not load.failed, (name, load.failed[:3])


def promote(platform: ClusterPlatform, name: str, version: int) -> None:
    platform.mlflow.alias(platform.model(name), platform.environment("prod"), version)


def answered(load: Load, *versions: str) -> None:
    """These versions have answered, the last of them from now on, and no request was lost."""
    before = len(load.answers)

    def last() -> bool:
        assert not load.failed, load.failed[:3]
        lately = load.answers[before:][-MORE:]
        return len(lately) == MORE and {each.version for each in lately} == {versions[-1]}

    wait_for(last, f"version {versions[-1]} to answer everything", 120)
    assert load.versions() == set(versions)
    for answer in list(load.answers):
        assert json.loads(answer.body) == {"predictions": [int(answer.version)]}


@pytest.mark.parametrize("name", FATES)
def test_a_version_that_goes_wrong_says_why_and_the_one_before_loses_no_request(
    platform, loads, name
):
    model, where = platform.model(name), platform.environment("prod")
    reason, words = FATES[name]
    seen = platform.wait(model, lambda d: d["state"] == "Degraded", where, 600)
    assert seen["reason"] == reason, seen
    assert words in seen["message"]
    assert "version 1 keeps serving" in seen["message"]
    assert seen["next_step"]
    platform.wait(model, lambda d: [p["version"] for p in d["predictors"]] == ["1"], where)
    tag = f"schnitzel.{where}.status"
    platform.wait(model, lambda _: reason in platform.mlflow.tags(model, 2).get(tag, ""), where)
    seen = platform.seen(name)
    assert (seen["state"], seen["serving"]) == ("Degraded", {"version": "1"})
    answered(loads[name], "1")


def test_a_version_that_loads_slowly_is_waited_for_and_takes_over(platform, loads):
    model, where = platform.model("dawdling"), platform.environment("prod")

    def loading() -> str | None:
        """The predictor of version 2, once the kubelet has seen that it has not started yet."""
        unstarted = [
            event["involvedObject"]["name"]
            for event in platform.objects("events")
            if "Startup probe failed" in event["message"]
        ]
        for each in platform.seen("dawdling").get("predictors", ()):
            if each["version"] == "2" and any(pod.startswith(each["name"]) for pod in unstarted):
                return str(each["name"])
        return None

    predictor = wait_for(loading, "version 2 to load", 600, 0.5)
    seen = platform.wait(model, lambda d: d["reason"] == "Starting", where, 60)
    answered(loads["dawdling"], "1")
    now = platform.wait(model, lambda d: d["observed_at"] > seen["observed_at"], where, 60)
    assert (now["state"], now["reason"]) == ("Progressing", "Starting"), now
    assert now["serving"] == {"version": "1"}
    inside = ("exec", f"deployment/{predictor}", "-c", "server", "--", "/bin/sh", "-c")
    platform.cluster.kubectl("-n", where, *inside, f": > {GATE}")
    platform.serving("dawdling", 2)
    answered(loads["dawdling"], "1", "2")
