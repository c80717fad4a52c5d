"""Explain why a container's image cannot be pulled, in the registry's message.

The reasons are the kubelet's (pkg/kubelet/images/types.go); the messages behind them are
containerd's and the registry's. Only their text shows which of them are transient.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from deployer.targets.kubernetes.diagnosis.problem import (
    Object,
    Problem,
    describe,
    events_of,
    fatal,
    message_of,
    shorten,
    spec_of,
)
from deployer.targets.kubernetes.diagnosis.reasons import PodReason

_PULLING = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable")
_TRANSIENT = re.compile(
    r"timeout|timed out|deadline exceeded|connection (?:refused|reset)|no such host|EOF"
    r"|server misbehaving|unreachable|no route to host|too many requests"
    r"|\b(?:429|50[0-9])\b|temporar|unavailable|canceled",
    re.IGNORECASE,
)
_MISSING = re.compile(r"not found|manifest unknown|name unknown|does not exist", re.IGNORECASE)
_REFUSED = re.compile(
    r"unauthorized|denied|forbidden|authentication required|authorization failed|\b40[13]\b",
    re.IGNORECASE,
)
_FRAME = re.compile(
    r'^.*(?:desc = |ErrImagePull: )|failed to do request: |failed to [a-z ]+ "[^"]*": '
    r'|\b(?:Head|Get) "[^"]*": ',
    re.DOTALL,
)
"""The prefix of the kubelet and containerd before the message of the registry, or the network."""

_DIGEST = re.compile(r"(@sha256:[0-9a-f]{12})[0-9a-f]{52}")
_ENVIRONMENT = (
    "See whether the registry still has it; schnitzel deploy apply --retry builds it anew."
)


def pull_problem(pod: Object, status: Object, events: Iterable[Object]) -> Problem | None:
    """Explain why a container's image is not on its node; None if the image is no problem.

    Args:
        pod: The pod.
        status: The container's status.
        events: The events of the pod; older kubelets report the cause only there.
    """
    waiting = status.get("state", {}).get("waiting") or {}
    kind, text = waiting.get("reason"), str(waiting.get("message") or "")
    image = str(spec_of(pod, str(status.get("name"))).get("image") or status.get("image"))
    image = _DIGEST.sub(r"\1...", image)
    if kind == "InvalidImageName":
        sentence = f"The image's name is not one: {image}."
        return fatal(PodReason.IMAGE_UNAVAILABLE, sentence, "Correct image in serving.yaml.")
    if kind == "ErrImageNeverPull":
        sentence = f"The image {image} is not on the node, and may not be pulled."
        hint = "Load it into the node, or let it be pulled."
        return fatal(PodReason.IMAGE_UNAVAILABLE, sentence, hint)
    if kind == "ImageInspectError":
        sentence = f"The node cannot read the image {image}: {shorten(text)}."
        return Problem(PodReason.IMAGE_UNAVAILABLE, sentence, describe(pod))
    if kind not in _PULLING:
        return None
    if "ErrImagePull: " not in text and kind == "ImagePullBackOff":
        failed = events_of(events, pod, "Failed")
        text = next((message_of(event) for event in failed if "pull" in message_of(event)), text)
    why = shorten(_FRAME.sub("", text), 200)
    sentence = f"The image {image} cannot be pulled: {why}."
    if _TRANSIENT.search(text):
        hint = "Is the registry up, and does the node reach it? It is retried automatically."
        return Problem(PodReason.IMAGE_UNAVAILABLE, sentence, hint)
    if _REFUSED.search(text):
        hint = "Check the pull secret: registry.pull_secret of the cluster in platform.yaml."
        return fatal(PodReason.IMAGE_UNAVAILABLE, sentence, hint)
    if _MISSING.search(text):
        return fatal(PodReason.IMAGE_UNAVAILABLE, sentence, _ENVIRONMENT)
    return Problem(PodReason.IMAGE_UNAVAILABLE, sentence, describe(pod))
