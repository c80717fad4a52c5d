"""Explain which admission rule refuses a pod, from the API server's message.

The message stands in a Deployment's ReplicaFailure condition, in FailedCreate events, and in
answers to an apply. The wording is that of the admission plug-ins of Kubernetes 1.34.
"""

from __future__ import annotations

import re

from deployer.targets.kubernetes.diagnosis.problem import (
    Object,
    Problem,
    condition,
    fatal,
    parse_time,
    shorten,
)
from deployer.targets.kubernetes.diagnosis.reasons import PodReason

_QUOTA = re.compile(
    r"exceeded quota: ([^,\s]+), requested: (.+?), used: (.+?), limited: (.+)$", re.DOTALL
)
_MUST = re.compile(r"failed quota: ([^:]+): must specify (.+)$", re.DOTALL)
_RANGE = re.compile(
    r"((?:maximum|minimum) (\S+) usage per (\S+) is \S+?)(?:, but (request|limit) is (\S+?)"
    r"|\.\s+No (request|limit) is specified)[.,]?(?:\s|$|\])"
)
_SECURITY = re.compile(r'violates PodSecurity "([^"]+)": (.+)$', re.DOTALL)
_WEBHOOK = re.compile(r'admission webhook "([^"]+)" denied the request(?:: (.+))?$', re.DOTALL)
_NO_WEBHOOK = re.compile(r'failed calling webhook "([^"]+)": (.+)$', re.DOTALL)
_POLICY = re.compile(r"ValidatingAdmissionPolicy '([^']+)'.*? denied request: (.+)$", re.DOTALL)
_ACCOUNT = re.compile(r'service account ([^/\s]+)/([^:\s]+): serviceaccount "[^"]+" not found')
_PRIORITY = re.compile(r"no PriorityClass with name (\S+) was found")


def admission_problem(deployment: Object) -> Problem | None:
    """Explain why a Deployment's pods cannot be made; None if they can."""
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return refusal(
        str(failure.get("message") or failure.get("reason") or ""),
        parse_time(failure.get("lastTransitionTime")),
    )


def refusal(text: str, since: float | None = None) -> Problem:
    """Put an API server's refusal into one sentence.

    Args:
        text: The message of the API server.
        since: The time of the first refusal, in seconds since the epoch.
    """
    for pattern, explain in _RULES:
        match = pattern.search(text)
        if match:
            return explain(match, since)
    why = shorten(text) or "no reason is given"
    hint = "kubectl get events shows the whole answer."
    sentence = f"The cluster refuses its pods: {why}."
    return Problem(PodReason.ADMISSION_REFUSED, sentence, hint, since=since)


def _quota(match: re.Match[str], since: float | None) -> Problem:
    sentence = (
        f"The quota {match[1]!r} of its namespace is used up: it needs {shorten(match[2])}; "
        f"{shorten(match[3])} is taken, of {shorten(match[4])}."
    )
    hint = "Ask for less in serving.yaml, free some, or have the quota raised; kubectl get quota"
    return Problem(PodReason.QUOTA_EXCEEDED, sentence, hint, since=since)


def _must(match: re.Match[str], since: float | None) -> Problem:
    sentence = f"The quota {match[1]!r} of its namespace demands {shorten(match[2])}."
    return _no(sentence, "Set resources in serving.yaml, or a LimitRange with defaults.", since)


def _range(match: re.Match[str], since: float | None) -> Problem:
    asked = f"its {match[4]} is {match[5]}" if match[4] else f"it sets no {match[6]}"
    sentence = f"The namespace's LimitRange refuses it: {match[1]}, and {asked}."
    return _no(sentence, f"Change resources ({match[2]}) in serving.yaml.", since)


def _security(match: re.Match[str], since: float | None) -> Problem:
    sentence = f"Its pods break the Pod Security Standard {match[1]}: {shorten(match[2])}."
    hint = "Change what serving.yaml asks for, or ask who owns the namespace to allow it."
    return _no(sentence, hint, since)


def _webhook(match: re.Match[str], since: float | None) -> Problem:
    why = shorten(match[2] or "no reason is given")
    sentence = f"The cluster's admission webhook {match[1]!r} refuses its pods: {why}."
    return _no(sentence, "Change what it objects to, or ask who runs that webhook.", since)


def _policy(match: re.Match[str], since: float | None) -> Problem:
    sentence = f"The cluster's policy {match[1]!r} refuses its pods: {shorten(match[2])}."
    return _no(sentence, "Change what it objects to, or ask who wrote that policy.", since)


def _no_webhook(match: re.Match[str], since: float | None) -> Problem:
    sentence = f"The cluster's admission webhook {match[1]!r} does not answer: {shorten(match[2])}."
    hint = "Ask who runs that webhook; the ReplicaSet creates the pods once the webhook answers."
    return Problem(PodReason.ADMISSION_UNAVAILABLE, sentence, hint, since=since)


def _account(match: re.Match[str], since: float | None) -> Problem:
    sentence = f"The service account {match[2]!r} that it names does not exist."
    make = f"kubectl -n {match[1]} create serviceaccount {match[2]}"
    hint = f"{make}, or correct kubernetes.service_account."
    return Problem(PodReason.REFERENCE_MISSING, sentence, hint, since=since)


def _priority(match: re.Match[str], since: float | None) -> Problem:
    sentence = f"The priority class {match[1]!r} that it names does not exist."
    hint = "kubectl get priorityclasses shows those that exist."
    return Problem(PodReason.REFERENCE_MISSING, sentence, hint, since=since)


def _no(sentence: str, hint: str, since: float | None) -> Problem:
    return fatal(PodReason.ADMISSION_REFUSED, sentence, hint, since)


_RULES = (
    (_QUOTA, _quota),
    (_MUST, _must),
    (_RANGE, _range),
    (_SECURITY, _security),
    (_WEBHOOK, _webhook),
    (_NO_WEBHOOK, _no_webhook),
    (_POLICY, _policy),
    (_ACCOUNT, _account),
    (_PRIORITY, _priority),
)
