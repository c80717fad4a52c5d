"""Words of admission, and of pods that ended, that no test provokes on a node.

Their text is taken from the sources of Kubernetes 1.34, where they are made.
"""

from __future__ import annotations

import pytest

from deployer.targets.kubernetes.diagnosis.admission import refusal
from deployer.targets.kubernetes.diagnosis.crashes import crash_problem
from deployer.targets.kubernetes.diagnosis.nodes import disruption_problem
from deployer.targets.kubernetes.diagnosis.problem import shorten


def pod(**status: object) -> dict:
    return {
        "metadata": {"name": "p-1", "namespace": "prod", "uid": "u"},
        "spec": {"containers": [{"name": "server"}], "nodeName": "n1"},
        "status": status,
    }


@pytest.mark.parametrize(
    ("text", "reason", "final", "sentence"),
    [
        (
            (
                'pods "p" is forbidden: exceeded quota: team, requested: limits.memory=8Gi,pods=1, '
                "used: limits.memory=4Gi,pods=9, limited: limits.memory=10Gi,pods=9"
            ),
            "QuotaExceeded",
            False,
            (
                "it needs limits.memory=8Gi,pods=1; limits.memory=4Gi,pods=9 is taken, "
                "of limits.memory=10Gi,pods=9."
            ),
        ),
        (
            'pods "p" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
            "AdmissionRefused",
            True,
            "maximum memory usage per Container is 1Gi, and its limit is 2Gi.",
        ),
        (
            'pods "p" is forbidden: [maximum cpu usage per Pod is 2.  No limit is specified, x]',
            "AdmissionRefused",
            True,
            "maximum cpu usage per Pod is 2, and it sets no limit.",
        ),
        (
            'admission webhook "policy.example" denied the request: no team label',
            "AdmissionRefused",
            True,
            "The cluster's admission webhook 'policy.example' refuses its pods: no team label.",
        ),
        (
            (
                'Internal error occurred: failed calling webhook "policy.example": failed to call '
                'webhook: Post "https://p.svc": dial tcp 10.0.0.1:443: connect: connection refused'
            ),
            "AdmissionUnavailable",
            False,
            "connection refused.",
        ),
        (
            (
                "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'teams' with binding 'all' "
                "denied request: failed expression: object.metadata.labels.team != ''"
            ),
            "AdmissionRefused",
            True,
            "The cluster's policy 'teams' refuses its pods",
        ),
        (
            'pods "p" is forbidden: no PriorityClass with name high was found',
            "ReferenceMissing",
            False,
            "The priority class 'high' that it names does not exist.",
        ),
        (
            "something else",
            "AdmissionRefused",
            False,
            "The cluster refuses its pods: something else.",
        ),
        ("", "AdmissionRefused", False, "The cluster refuses its pods: no reason is given."),
    ],
)
def test_a_refusal_names_the_rule(text: str, reason: str, final: bool, sentence: str) -> None:
    found = refusal(text, 7)
    assert (found.reason, found.final, found.transient, found.since) == (
        reason,
        final,
        not final,
        7,
    )
    assert found.message.endswith(sentence) or sentence in found.message
    assert found.hint


def ended(code: int, **more: object) -> dict:
    status = {
        "name": "server",
        "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": code, **more}},
    }
    return pod(containerStatuses=[status])


def killing(probe: str) -> list[dict]:
    return [
        {
            "reason": "Killing",
            "involvedObject": {"name": "p-1"},
            "message": f"Container server failed {probe} probe, will be restarted",
        }
    ]


@pytest.mark.parametrize(
    ("crash", "events", "sentence"),
    [
        (ended(139), [], "The model server ended with exit code 139 (SIGSEGV)."),
        (ended(0), [], "The model server ended with exit code 0."),
        (
            ended(137),
            killing("liveness"),
            "The model server ended with exit code 137 (SIGKILL); its liveness probe failed.",
        ),
        (ended(1, message="a\nb\nc\nd"), [], "ended with exit code 1; its last lines: b | c | d."),
    ],
)
def test_a_crash_without_a_word_is_told_by_its_exit(
    crash: dict, events: list[dict], sentence: str
) -> None:
    found = crash_problem(crash, "server", events, "", served=False, show="logs")
    assert found is not None
    assert (found.reason, found.final, found.hint) == ("CrashLoop", True, "logs")
    assert found.message.endswith(sentence)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("NOT_FOUND: no SavedModel there", "NOT_FOUND: no SavedModel there."),
        (
            "INVALID_ARGUMENT: 2 root error(s) found.\n  (0) INVALID_ARGUMENT: password=hunter2\n",
            "INVALID_ARGUMENT: 2 root error(s) found. (0) INVALID_ARGUMENT: password=[redacted].",
        ),
    ],
)
def test_a_saved_model_that_does_not_load_is_told_in_tensorflow_serving_s_words(
    error: str, told: str
) -> None:
    words = (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
        f"{{{{Servable(name: model version: 3) due to error: {error}}}, }}\nterminate called\n"
    )
    [status] = ended(255, message=words)["status"]["containerStatuses"]
    crash = {"status": {"initContainerStatuses": [status | {"name": "tfserving"}]}}
    found = crash_problem(crash, "tfserving", [], "", served=False, show="logs")
    assert found is not None
    assert (found.reason, found.final, found.transient) == ("LoadError", True, False)
    assert found.message == f"TensorFlow Serving cannot load the model: {told}"
    assert "tfserving.saved_model" in found.hint


@pytest.mark.parametrize(
    ("status", "reason", "says"),
    [
        (
            {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on resource: memory. Container server was using 3Gi, "
                "request is 0, has larger consumption of memory. ",
            },
            "Evicted",
            "The node n1 evicted a pod of it: The node was low on resource: memory.",
        ),
        (
            {
                "phase": "Failed",
                "reason": "OutOfcpu",
                "message": "Node didn't have enough resource",
            },
            "Unschedulable",
            "The node n1 refused a pod of it: Node didn't have enough resource.",
        ),
        ({"phase": "Failed", "reason": "Terminated"}, "NodeLost", "was shut down."),
        (
            {"reason": "NodeLost"},
            "NodeLost",
            "The node n1, where a pod of it ran, does not answer.",
        ),
    ],
)
def test_a_pod_that_its_node_ended_says_why(status: dict, reason: str, says: str) -> None:
    found = disruption_problem(pod(**status), [], 0.0)
    assert found is not None
    assert (found.reason, found.final, found.transient) == (reason, False, True)
    assert says in found.message


def test_a_pod_that_does_not_end_in_its_time_has_lost_its_node() -> None:
    leaving = pod()
    leaving["metadata"]["deletionTimestamp"] = "1970-01-01T00:16:40Z"  # 1,000 s
    assert disruption_problem(leaving, [], 1_005.0) is None
    found = disruption_problem(leaving, [], 1_020.0)
    assert found is not None
    assert found.reason == "NodeLost"


def test_other_peoples_words_are_one_line_without_secrets_and_short() -> None:
    text = "at https://ann:s3cret@host\n  password=hunter2 Bearer abcdefgh12345 " + "x" * 400
    told = shorten(text)
    assert "s3cret" not in told
    assert "hunter2" not in told
    assert "abcdefgh12345" not in told
    assert "\n" not in told
    assert len(told) <= 300
