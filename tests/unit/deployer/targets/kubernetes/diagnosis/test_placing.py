"""Words of the scheduler and of registries that no test provokes on a node.

Their text is taken from the sources of Kubernetes 1.34 and containerd, where they are made.
"""

from __future__ import annotations

import pytest

from deployer.targets.kubernetes.diagnosis import waiting
from deployer.targets.kubernetes.diagnosis.images import pull_problem
from deployer.targets.kubernetes.diagnosis.problem import shorten
from deployer.targets.kubernetes.diagnosis.scheduling import scheduling_problem

IMAGE = "registry.example:5000/env@sha256:" + "ab" * 32


def pod(**status: object) -> dict:
    server = {"name": "server", "image": IMAGE, "resources": {"limits": {"memory": "2Gi"}}}
    return {
        "metadata": {"name": "p-1", "namespace": "prod", "uid": "u"},
        "spec": {"containers": [server], "nodeSelector": {"disk": "ssd"}, "nodeName": "n1"},
        "status": status,
    }


def pending(message: str) -> dict:
    said = {"type": "PodScheduled", "status": "False", "message": message}
    found = pod(conditions=[said])
    del found["spec"]["nodeName"]
    return found


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            (
                "0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated "
                "taint(s). no new claims to deallocate, preemption: 0/3 nodes are available: "
                "1 No preemption victims found for incoming pod, 2 Preemption is not helpful."
            ),
            (
                "It needs 2Gi of memory, and no node has that free; nodes have a taint that it "
                "does not tolerate "
                "(0/3 nodes: 1 Insufficient memory, 2 node(s) had untolerated taint(s))."
            ),
        ),
        (
            (
                "0/2 nodes are available: 2 node(s) had untolerated taint {gpu: yes}. "
                "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
            ),
            (
                "Nodes have a taint that it does not tolerate "
                "(0/2 nodes: 2 node(s) had untolerated taint {gpu: yes})."
            ),
        ),
        (
            "0/1 nodes are available: 1 node(s) were unschedulable.",
            "Nodes are cordoned (0/1 nodes: 1 node(s) were unschedulable).",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints.",
            (
                "Its replicas may not be spread as asked "
                "(0/2 nodes: 2 node(s) didn't match pod topology spread constraints)."
            ),
        ),
        ("no nodes available to schedule pods", "The cluster has no node."),
        (
            "0/1 nodes are available: 1 node(s) had volume node affinity conflict.",
            "No node takes it (0/1 nodes: 1 node(s) had volume node affinity conflict).",
        ),
        (
            "running Bind plugin: oops",
            "The scheduler finds no node for it: running Bind plugin: oops.",
        ),
    ],
)
def test_the_scheduler_is_put_into_a_sentence(message: str, sentence: str) -> None:
    found = scheduling_problem(pending(message), [])
    assert found is not None
    assert (found.message, found.final, found.transient) == (sentence, False, True)
    assert found.hint


def test_a_pod_that_was_not_tried_yet_waits_for_nothing_special() -> None:
    found = pod()
    del found["spec"]["nodeName"]
    assert scheduling_problem(found, []) is None
    assert waiting(found) == ""


def test_what_a_pod_waits_for_is_a_clause() -> None:
    text = "0/1 nodes are available: 1 Too many pods."
    assert (
        waiting(pending(text)) == "Nodes hold as many pods as they may (0/1 nodes: 1 Too many pods)"
    )


@pytest.mark.parametrize(
    ("words", "final"),
    [
        ("dial tcp: lookup registry.example: no such host", False),
        ("net/http: TLS handshake timeout", False),
        ("unexpected status from HEAD request to https://r/v2/: 503 Service Unavailable", False),
        ("429 Too Many Requests", False),
        ("something that nobody foresaw", False),
        ("registry.example:5000/env: not found", True),
        ("pull access denied, repository does not exist or may require authorization", True),
        ("failed to authorize: failed to fetch anonymous token: 401 Unauthorized", True),
    ],
)
def test_an_image_that_may_come_yet_is_waited_for(words: str, final: bool) -> None:
    text = (
        f'Back-off pulling image "{IMAGE}": ErrImagePull: failed to resolve reference "x": {words}'
    )
    state = {"waiting": {"reason": "ImagePullBackOff", "message": text}}
    found = pull_problem(pod(), {"name": "server", "state": state}, [])
    assert found is not None
    assert (found.final, found.transient) == (final, not final)
    assert found.message.endswith(f"cannot be pulled: {shorten(words)}.")
    assert "sha256:abababababab..." in found.message


def test_an_older_kubelet_tells_why_only_in_its_event() -> None:
    event = {
        "reason": "Failed",
        "involvedObject": {"name": "p-1", "uid": "u"},
        "message": f'Failed to pull image "{IMAGE}": rpc error: code = Unknown desc = i/o timeout',
    }
    state = {
        "waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{IMAGE}"'}
    }
    found = pull_problem(pod(), {"name": "server", "state": state}, [event])
    assert found is not None
    assert found.message.endswith("cannot be pulled: i/o timeout.")
