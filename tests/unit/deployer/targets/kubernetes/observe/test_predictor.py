"""What is judged of a predictor by what a real API server said of it, recorded on a node.

tests/node/deployer/targets/kubernetes/diagnosis/test_provoked.py makes the recordings, and judges
the same cases on a live node.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, strategies as st
from support.kubernetes.judged import RECORDED, judge, recorded
from support.kubernetes.pod_failures import CASES, DIGEST

from deployer.errors import EnvironmentUnbuildable
from deployer.spec.model import ServingSpec
from deployer.state.observed import ObservedPredictor
from deployer.state.predictor import ExampleAnswer, ExampleState, Phase, Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.images.preparation import ImagePrepared
from deployer.targets.kubernetes.observe.predictor import Seen, observe

PREDICTOR = Predictor("p", VersionId("angler", 2, 1), Role.CHAMPION, "d", "s", ServingSpec())
NOW = 1_000.0


def changed(
    name: str, change: Callable[[dict[str, Any]], None], weight: int = 0
) -> ObservedPredictor:
    read = recorded(name)
    change(read)
    return judge(name, read, weight)


def fewer(ready: int, wanted: int = 3) -> Callable[[dict[str, Any]], None]:
    def change(read: dict[str, Any]) -> None:
        read["deployment"]["spec"]["replicas"] = wanted
        read["deployment"]["status"] |= {
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": ready,
        }

    return change


def incomplete(read: dict[str, Any]) -> None:
    for condition in read["deployment"]["status"]["conditions"]:
        if condition["type"] == "Progressing":
            condition["reason"] = "ReplicaSetUpdated"


@pytest.mark.parametrize("name", CASES)
def test_a_recorded_case_is_told_in_one_sentence(name: str) -> None:
    case, seen = CASES[name], judge(name, recorded(name))
    assert (seen.phase, seen.reason, seen.transient) == (case.phase, case.reason, case.transient)
    assert case.says in seen.message
    assert "\n" not in seen.message + seen.hint
    assert seen.message.endswith(".") or not seen.message


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.phase == "failed"])
def test_what_failed_names_a_next_step_or_leaves_it_to_the_status(name: str) -> None:
    seen = judge(name, recorded(name))
    assert seen.hint or seen.reason.startswith("Artifact")


def test_no_secret_of_a_log_is_told() -> None:
    assert "s3cret" in recorded("crash")["log"]
    assert "s3cret" not in judge("crash", recorded("crash")).message


def test_all_replicas_ready_is_ready_with_the_artifacts_digest() -> None:
    seen = judge("ready", recorded("ready"))
    assert (seen.phase, seen.replicas, seen.replicas_ready) == (Phase.READY, 1, 1)
    assert seen.artifact_digest == DIGEST


def test_a_new_predictor_is_not_ready_before_all_its_replicas_are() -> None:
    def change(read: dict[str, Any]) -> None:
        fewer(2)(read)
        incomplete(read)

    seen = changed("ready", change)
    assert seen.phase is Phase.STARTING
    assert (seen.replicas, seen.replicas_ready) == (3, 2)


def test_one_that_was_complete_is_ready_as_long_as_one_replica_is() -> None:
    seen = changed("ready", fewer(1))
    assert seen.phase is Phase.READY
    assert seen.reason == "FewerReplicas"
    assert seen.message.startswith("1 of 3 replicas are ready")


def test_one_that_takes_traffic_is_ready_while_its_pods_are_replaced() -> None:
    def change(read: dict[str, Any]) -> None:
        fewer(1)(read)
        incomplete(read)
        read["deployment"]["metadata"]["generation"] += 1

    assert changed("ready", change, weight=100).phase is Phase.READY
    assert changed("ready", change, weight=0).phase is Phase.STARTING


def test_a_broken_replica_beside_good_ones_is_told_with_them() -> None:
    def change(read: dict[str, Any]) -> None:
        broken = recorded("out-of-memory")
        read["pods"] += broken["pods"]
        fewer(2)(read)

    seen = changed("ready", change, weight=100)
    assert (seen.phase, seen.reason) == (Phase.READY, "OutOfMemory")
    assert seen.message.startswith("2 of 3 replicas are ready. It was stopped: it took more memory")


def test_a_new_version_with_one_broken_replica_fails() -> None:
    def change(read: dict[str, Any]) -> None:
        read["pods"] += recorded("load-error")["pods"]
        fewer(2)(read)
        incomplete(read)

    assert changed("ready", change).phase is Phase.FAILED


def test_a_server_that_served_may_crash_once_and_comes_back() -> None:
    def change(read: dict[str, Any]) -> None:
        (status,) = read["pods"][0]["status"]["containerStatuses"]
        ended = status["lastState"] if status["lastState"].get("terminated") else status["state"]
        status |= {"lastState": ended, "restartCount": 1, "started": False}
        status["state"] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}

    assert changed("load-error", change, weight=0).phase is Phase.FAILED
    assert changed("load-error", change, weight=100).phase is Phase.STARTING


def test_what_ended_a_pod_from_outside_is_told_until_another_one_serves() -> None:
    seen = judge("evicted", recorded("evicted"), weight=100)
    assert (seen.phase, seen.reason, seen.transient) == (Phase.UNREADY, "Evicted", True)
    assert "drain of its node" in seen.message


def test_a_node_that_does_not_answer_is_named() -> None:
    seen = judge("node-lost", recorded("node-lost"))
    assert (seen.phase, seen.reason, seen.transient) == (Phase.UNREADY, "NodeLost", True)
    assert seen.message.startswith("The node ghost-")


def test_a_server_that_says_only_that_it_loads_is_starting() -> None:
    def change(read: dict[str, Any]) -> None:
        read["answer"] = {"ready": False, "reason": "Loading", "message": "it is being loaded"}

    seen = changed("not-ready", change)
    assert (seen.phase, seen.reason) == (Phase.STARTING, "")


def test_a_server_whose_model_keeps_dying_has_failed_though_it_goes_on_trying() -> None:
    def change(read: dict[str, Any]) -> None:
        read["answer"] = {"ready": False, "reason": "CrashLoop", "message": "it died 5 times"}

    seen = changed("not-ready", change)
    assert (seen.phase, seen.reason, seen.transient) == (Phase.FAILED, "CrashLoop", True)
    assert seen.message == "it died 5 times."


def test_a_server_that_answers_nothing_readable_is_told_with_its_probe() -> None:
    def change(read: dict[str, Any]) -> None:
        read["answer"] = None

    seen = changed("not-ready", change)
    assert seen.reason == "NotReady"
    assert "HTTP probe failed with statuscode: 503" in seen.message


def test_scaled_to_no_replica_is_not_ready_and_says_so() -> None:
    seen = changed("ready", fewer(0, 0))
    assert (seen.phase, seen.reason) == (Phase.UNREADY, "ScaledToZero")


def test_without_a_deployment_the_preparation_tells() -> None:
    def phase(prepared: ImagePrepared | None) -> Phase:
        return observe(PREDICTOR, Seen(None, prepared=prepared), NOW).phase

    assert phase(None) is Phase.ABSENT
    assert phase(ImagePrepared(Phase.READY, 1, "image")) is Phase.ABSENT
    assert phase(ImagePrepared(Phase.BUILDING, 1)) is Phase.BUILDING


def test_a_build_under_way_says_what_it_does() -> None:
    prepared = ImagePrepared(Phase.BUILDING, 7, message="it installs scipy")
    seen = observe(PREDICTOR, Seen(None, prepared=prepared), NOW)
    assert (seen.since, seen.message, seen.reason) == (7, "it installs scipy", "")


def test_a_build_that_failed_fails_the_predictor_with_its_words() -> None:
    error = EnvironmentUnbuildable("No such package.", "Log it again.", transient=True)
    seen = observe(PREDICTOR, Seen(None, prepared=ImagePrepared(Phase.FAILED, 7, error=error)), NOW)
    assert (seen.phase, seen.reason, seen.message, seen.hint, seen.transient) == (
        Phase.FAILED,
        "EnvironmentUnbuildable",
        "No such package.",
        "Log it again.",
        True,
    )


def test_what_the_gateway_and_the_example_say_stands_beside_it() -> None:
    read = recorded("ready")
    seen = observe(
        PREDICTOR,
        Seen(read["deployment"], read["pods"]),
        read["now"],
        weight=30,
        example=ExampleAnswer(ExampleState.REFUSED, "no", True),
    )
    assert (seen.live_weight, seen.example, seen.example_message) == (
        30,
        ExampleState.REFUSED,
        "no",
    )
    assert seen.transient


NAMES = sorted(path.stem for path in RECORDED.glob("*.json"))


@given(st.sampled_from(NAMES), st.data())
def test_an_object_that_lacks_a_part_is_judged_all_the_same(name: str, data: st.DataObject) -> None:
    read = deepcopy(recorded(name))
    objects = [read["deployment"], *read["pods"]]
    parts = [each[part] for each in objects for part in ("spec", "status") if part in each]
    for _ in range(data.draw(st.integers(1, 4))):
        part = data.draw(st.sampled_from(parts))
        while part:
            key = data.draw(st.sampled_from(sorted(part)))
            below = part[key]
            if isinstance(below, list) and below and isinstance(below[0], dict):
                below = below[0]
            if not isinstance(below, dict) or data.draw(st.booleans()):
                del part[key]
                break
            part = below
    seen = judge(name, read)
    assert seen.phase in Phase
    json.dumps([seen.message, seen.hint, seen.reason])
