"""What can go wrong with Seldon's operator, as the Deployer tells it; no request is lost to it.

The cases were seen with the real operator; a stand-in of it is at work here. What is
true of every target is in tests/contract, which is run for Seldon, too.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from contract.places.seldon import WithSeldon
from standins.seldon import servers
from support.load import Load
from support.models import log_models
from support.run.wait import wait_for
from support.systems.cluster import cluster
from support.systems.seldon import have_crd, standing_in

pytestmark = pytest.mark.timeout(900)

BAD = {
    "late": {"kind": "slow-load", "serving": {"rollout": {"ready_timeout": "5s"}}},
    "unheard": {"kind": "constant", "serving": {"rollout": {"ready_timeout": "25s"}}},
    "unknown": {"kind": "constant", "serving": {"seldon": {"shape": "named"}}},
    "refused": {"kind": "constant", "serving": {"seldon": {"shape": "tensorflow"}}},
    "unasked": {"kind": "constant"},
}
"""Version 2 of these; versions 1 and 3 are good."""

PROXY_ONLY = {servers.TENSORFLOW: {"protocols": {"seldon": {"image": "localhost:9/proxy"}}}}
BY_HAND = "by-hand"
NAMES = ("prod", "noting")


class Operator:
    """The stand-in, which may be stopped, and started in another way."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix = folder, prefix
        self._running = ExitStack()
        self._times = 0

    def start(self, *flags: str) -> None:
        self.stop()
        self._times += 1
        folder = self._folder / f"seldon-{self._times}"
        running = standing_in(cluster(), folder, self._prefix, *flags)
        self._process = self._running.enter_context(running)

    def stop(self) -> None:
        self._running.close()

    def die(self) -> None:
        """End as a node's end has it: its webhook stays registered."""
        self._process.signal(signal.SIGKILL)

    def forgotten(self) -> None:
        """Take away what it left when it died."""
        name = f"{self._prefix}stand-in.machinelearning.seldon.io"
        cluster().kubectl("delete", "validatingwebhookconfiguration", name)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithSeldon]:
    """Serves with Seldon; in `noting` what somebody changes by hand is reported and left so."""
    have_crd(cluster())
    each: dict[str, dict[str, Any]]
    each = {name: {"overlay": {"runtime": "seldon", "rollout": {"drain": "1s"}}} for name in NAMES}
    each["noting"]["drift"] = "report"
    home = tmp_path_factory.mktemp("seldon") / "home"
    made = WithSeldon(cluster(), home, NAMES, {"each": each})
    try:
        models = [
            {"name": made.model(name), "say": say} | (bad if say == 2 else {"kind": "constant"})
            for name, bad in BAD.items()
            for say in (1, 2, 3)
        ]
        log_models(made.mlflow.url, [*models, {"name": made.model(BY_HAND), "kind": "constant"}])
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def started(platform: WithSeldon) -> Iterator[Operator]:
    made = Operator(platform.home / "logs", platform.mark)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def operator(started: Operator) -> Operator:
    """At work, as it comes."""
    started.start()
    return started


def promote(platform: WithSeldon, model: str, version: int, environment: str = "prod") -> None:
    alias = platform.environment(environment)
    platform.mlflow.alias(platform.model(model), alias, version)


def brought(platform: WithSeldon, model: str, environment: str = "prod") -> dict[str, Any]:
    promote(platform, model, 1, environment)
    return platform.serving(model, 1, environment, seconds=600)


def told(
    platform: WithSeldon,
    model: str,
    reason: str,
    environment: str = "prod",
    state: str = "Degraded",
) -> Any:
    """Wait until the Deployer says that it is in a state, and for which reason."""

    def given(seen: dict[str, Any]) -> bool:
        return (seen["state"], seen["reason"]) == (state, reason)

    where = platform.environment(environment)
    return platform.wait(platform.model(model), given, where, 180)


def follows(platform: WithSeldon, model: str) -> None:
    """A good version is served after the bad one."""
    promote(platform, model, 3)
    platform.serving(model, 3, seconds=240)


def resources(platform: WithSeldon, environment: str = "prod") -> dict[str, Any]:
    """The SeldonDeployments of an environment, by model and version."""
    return {
        f"{obj['metadata']['annotations']['schnitzel.dev/model'].partition('-')[2]}-"
        f"{obj['metadata']['labels']['app.kubernetes.io/version']}": obj
        for obj in platform.objects("seldondeployments", environment)
    }


def state(platform: WithSeldon, which: str, environment: str = "prod") -> str:
    """What the operator says of a SeldonDeployment; "" if it says nothing."""
    found = resources(platform, environment).get(which, {})
    return str(found.get("status", {}).get("state", ""))


def lost_nothing(load: Load, *versions: int) -> None:
    assert not load.failed, load.failed[:3]
    assert load.versions() == {str(version) for version in versions}


# -- a new version


def test_a_version_that_stays_creating_takes_no_request(platform, operator):
    with Load(brought(platform, "late")["url"], 20, 2) as load:
        promote(platform, "late", 2)
        wait_for(lambda: state(platform, "late-2") == "Creating", "the state", 120)
        seen = told(platform, "late", "NotReadyInTime")
        assert "version 1 keeps serving" in seen["message"]
        assert "rollout.ready_timeout" in seen["next_step"]
        wait_for(lambda: "late-2" not in resources(platform), "it to be taken away", 60)
        follows(platform, "late")
    lost_nothing(load, 1, 3)


def test_an_operator_that_is_not_there_is_told_and_waited_for(platform, operator):
    with Load(brought(platform, "unheard")["url"], 20, 2) as load:
        operator.stop()
        promote(platform, "unheard", 2)
        seen = told(platform, "unheard", "SeldonSilent", state="Progressing")
        assert "does not take it up" in seen["message"]
        seen = told(platform, "unheard", "SeldonSilent")
        assert "version 1 keeps serving" in seen["message"]
        assert "describe seldondeployment" in seen["next_step"]
        operator.start()
        platform.serving("unheard", 2, seconds=300)  # by itself
        follows(platform, "unheard")
    lost_nothing(load, 1, 2, 3)


def test_what_the_operator_cannot_make_is_told_in_its_words(platform, operator):
    with Load(brought(platform, "unknown")["url"], 20, 2) as load:
        promote(platform, "unknown", 2)
        seen = told(platform, "unknown", "SeldonRefused")
        assert "Failed to get server config for SCHNITZEL_SERVER" in seen["message"]
        assert "version 1 keeps serving" in seen["message"]
        assert "describe seldondeployment" in seen["next_step"]
        follows(platform, "unknown")
    lost_nothing(load, 1, 3)


def test_what_its_webhook_refuses_is_told_in_its_words(platform, operator):
    """One that knows TensorFlow Serving behind Seldon's proxy only; what it takes is served."""
    operator.start("--webhook", "--config", json.dumps(PROXY_ONLY))
    with Load(brought(platform, "refused")["url"], 20, 2) as load:
        promote(platform, "refused", 2)
        seen = told(platform, "refused", "AdmissionRefused")
        assert "Prepackaged server does not handle tensorflow protocol" in seen["message"]
        assert "version 1 keeps serving" in seen["message"]
        assert seen["next_step"]
        assert "refused-2" not in resources(platform)
        follows(platform, "refused")
    lost_nothing(load, 1, 3)


def test_a_webhook_that_does_not_answer_is_told_and_waited_for(platform, operator):
    operator.start("--webhook")
    with Load(brought(platform, "unasked")["url"], 20, 2) as load:
        operator.die()
        try:
            promote(platform, "unasked", 2)
            seen = told(platform, "unasked", "AdmissionUnavailable")
            assert "version 1 keeps serving" in seen["message"]
        finally:
            operator.forgotten()
        operator.start()
        platform.serving("unasked", 2, seconds=300)  # by itself
        follows(platform, "unasked")
    lost_nothing(load, 1, 2, 3)


# -- what serves, changed by hand where that is only reported


def patch(platform: WithSeldon, *changes: tuple[str, str, Any]) -> None:
    """Change the SeldonDeployment that serves in `noting`: (operation, path, value) of each."""
    operations = [
        {"op": op, "path": f"/spec/predictors/0/{path}"} | ({} if op == "remove" else {"value": to})
        for op, path, to in changes
    ]
    [name] = [o["metadata"]["name"] for o in platform.objects("seldondeployments", "noting")]
    where = ("-n", platform.environment("noting"))
    words = ("patch", "seldondeployment", name, "--type=json", "-p", json.dumps(operations))
    platform.cluster.kubectl(*where, *words)


def pods(platform: WithSeldon) -> set[str]:
    return {pod["metadata"]["uid"] for pod in platform.objects("pods", "noting")}


IMAGE = "componentSpecs/0/spec/containers/0/image"


def test_a_bad_change_of_what_serves_is_told_and_its_pods_from_before_answer(platform, operator):
    url, before = brought(platform, BY_HAND, "noting")["url"], pods(platform)
    [resource] = platform.objects("seldondeployments", "noting")
    spec = resource["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
    good = spec["containers"][0]["image"]
    with Load(url, 20, 2) as load:
        patch(platform, ("replace", IMAGE, "localhost:9/none:1"))
        seen = told(platform, BY_HAND, "ImageUnavailable", "noting")
        assert "its pods from before answer" in seen["message"]
        assert "Somebody changed SeldonDeployment/" in seen["message"]
        assert state(platform, f"{BY_HAND}-1", "noting") == "Creating"
        patch(platform, ("replace", IMAGE, good))
        platform.serving(BY_HAND, 1, "noting")
        wait_for(lambda: pods(platform) == before, "the pods from before alone", 60)
    lost_nothing(load, 1)


def test_writes_without_end_are_told_and_its_pods_from_before_answer(platform, operator):
    with Load(brought(platform, BY_HAND, "noting")["url"], 20, 2) as load:
        patch(platform, ("remove", "replicas", None), ("add", "annotations/again", "1"))
        seen = told(platform, BY_HAND, "SeldonLoops", "noting")
        assert "writes without end" in seen["message"]
        assert "describe seldondeployment" in seen["next_step"]
        patch(platform, ("add", "replicas", 1), ("remove", "annotations/again", None))
        platform.serving(BY_HAND, 1, "noting")
    lost_nothing(load, 1)


def test_available_without_a_service_of_the_operators_costs_nothing(platform, operator):
    with Load(brought(platform, BY_HAND, "noting")["url"], 20, 2) as load:
        [predictor] = platform.seen(BY_HAND, "noting")["predictors"]

        def of_the_operator() -> set[str]:
            names = {o["metadata"]["name"] for o in platform.objects("services", "noting")}
            return names - {predictor["name"]}

        patch(platform, ("replace", "graph/name", "other"))

        def misnamed(seen: dict[str, Any]) -> bool:
            drift = "graph.name is 'other' and should be 'model'"
            return seen["state"] == "Serving" and drift in seen["message"]

        where = platform.environment("noting")
        platform.wait(platform.model(BY_HAND), misnamed, where, 120)
        kubectl = platform.cluster.kubectl
        kubectl("-n", where, "delete", "services", *of_the_operator())  # as if it was made so
        before = platform.seen(BY_HAND, "noting")["observed_at"]
        platform.wait(
            platform.model(BY_HAND),
            lambda seen: misnamed(seen) and seen["observed_at"] > before,
            where,
            120,
        )
        wait_for(lambda: state(platform, f"{BY_HAND}-1", "noting") == "Available", "the state", 60)
        assert not of_the_operator()
        patch(platform, ("replace", "graph/name", "model"))
        wait_for(of_the_operator, "its Services to be there again", 60)
        platform.serving(BY_HAND, 1, "noting")
    lost_nothing(load, 1)


def test_a_service_that_leads_nowhere_is_told(platform, operator):
    [predictor] = brought(platform, BY_HAND, "noting")["predictors"]
    where = ("-n", platform.environment("noting"))
    astray = json.dumps({"spec": {"selector": {"seldon-app": "another"}}})
    platform.cluster.kubectl(*where, "patch", "service", predictor["name"], "-p", astray)
    seen = told(platform, BY_HAND, "SeldonUnreachable", "noting", "Failed")
    assert "no Service leads to them" in seen["message"]
    back = json.dumps({"spec": {"selector": {"seldon-app": f"{predictor['name']}-main"}}})
    platform.cluster.kubectl(*where, "patch", "service", predictor["name"], "-p", back)
    platform.serving(BY_HAND, 1, "noting")


def test_available_without_a_deployment_is_told(platform, operator):
    brought(platform, BY_HAND, "noting")
    [resource] = platform.objects("seldondeployments", "noting")
    components = resource["spec"]["predictors"][0]["componentSpecs"]
    patch(platform, ("remove", "componentSpecs", None))
    seen = told(platform, BY_HAND, "SeldonRefused", "noting", "Failed")
    assert "makes no Deployment of it, and says it is available" in seen["message"]
    patch(platform, ("add", "componentSpecs", components))
    platform.serving(BY_HAND, 1, "noting", seconds=240)
