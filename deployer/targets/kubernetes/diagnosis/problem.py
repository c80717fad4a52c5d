"""Nothing in; out: what every module of words gives back, and plain readings of API objects.

Objects are as the API gives them, as JSON: mappings, lists and texts. A field that is not there
reads as empty, as the API leaves out what is empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployer.redact import redact

Object = Mapping[str, Any]

FETCHING = ("artifact", "model-model-initializer")
"""What the init container is called that fetches the model: Seldon's operator has a name for it."""

SERVING = ("server", "oip", "model")
"""What the container is called that serves; inside Seldon it stands beside another, or alone."""

TFSERVING = "tfserving"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a predictor, or one of its pods, does not answer.

    Attributes:
        reason: One word, with a section in docs/reference/states.md.
        message: One sentence.
        hint: The next step; empty for the usual one.
        final: Waiting does not help: the version is given up at once. Otherwise it is said at
            once and waited for, until the rollout's time is over.
        transient: The cause may lie outside the version and go away, so that a version that was
            given up for it is tried again by itself.
        since: Since when, in seconds since the epoch, if it is known.
    """

    reason: str
    message: str
    hint: str = ""
    final: bool = False
    transient: bool = True
    since: float | None = None


def fatal(
    reason: str,
    message: str,
    hint: str = "",
    since: float | None = None,
    *,
    transient: bool = False,
) -> Problem:
    """A trouble that waiting does not mend: mostly the version's own, so that it does not pass."""
    return Problem(reason, message, hint, final=True, transient=transient, since=since)


def name(thing: Object) -> str:
    """The object's name."""
    return str(thing.get("metadata", {}).get("name", ""))


def namespace(thing: Object) -> str:
    """The namespace that it is in."""
    return str(thing.get("metadata", {}).get("namespace", "default"))


def describe(pod: Object) -> str:
    """The command that shows all that the cluster says of a pod."""
    return f"kubectl -n {namespace(pod)} describe pod {name(pod)}"


def moment(text: object) -> float | None:
    """An API time ("2026-01-31T12:00:00Z", with or without a fraction) in seconds, or None."""
    return datetime.fromisoformat(str(text)).timestamp() if text else None


def created(thing: Object) -> float | None:
    """When the object was made."""
    return moment(thing.get("metadata", {}).get("creationTimestamp"))


def condition(thing: Object, kind: str) -> Object:
    """The condition of this type in the object's status; empty if there is none."""
    conditions = thing.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})


def status_of(pod: Object, container: str) -> Object:
    """The status of a container or init container; empty before the kubelet has seen it."""
    status = pod.get("status", {})
    both = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    return next((each for each in both if each.get("name") == container), {})


def spec_of(pod: Object, container: str) -> Object:
    """The specification of a container or init container; empty if the pod has none such."""
    spec = pod.get("spec", {})
    both = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return next((each for each in both if each.get("name") == container), {})


def fetching(pod: Object) -> str:
    """The name of the init container that fetches the model."""
    return _first(pod, FETCHING)


def serving(pod: Object) -> str:
    """The name of the container that serves."""
    return _first(pod, SERVING)


def working(pod: Object) -> str:
    """The name of the container that the server asks; "" where it does the work itself."""
    if TFSERVING in _names(pod):
        return TFSERVING
    return "model" if serving(pod) == "oip" else ""


def _first(pod: Object, names: tuple[str, ...]) -> str:
    there = _names(pod)
    return next((name for name in names if name in there), names[0])


def _names(pod: Object) -> set[str]:
    spec, status = pod.get("spec", {}), pod.get("status", {})
    lists = (
        *(spec.get(part) or () for part in ("initContainers", "containers")),
        *(status.get(part) or () for part in ("initContainerStatuses", "containerStatuses")),
    )
    return {str(each.get("name")) for found in lists for each in found}


def about(events: Iterable[Object], thing: Object, *reasons: str) -> list[Object]:
    """The events of an object with one of these reasons, the newest first.

    Both forms of events are read: `involvedObject` (v1) and `regarding` (events.k8s.io/v1).
    """
    found = [
        event
        for event in events
        if event.get("reason") in reasons and _regards(event, thing.get("metadata", {}))
    ]
    return sorted(found, key=lambda event: happened(event) or 0.0, reverse=True)


def said(event: Object) -> str:
    """What an event says, in either form."""
    return str(event.get("message") or event.get("note") or "")


def happened(event: Object) -> float | None:
    """When an event happened last."""
    series = event.get("series") or {}
    for time in (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("deprecatedLastTimestamp"),
        event.get("eventTime"),
        event.get("metadata", {}).get("creationTimestamp"),
    ):
        if time:
            return moment(time)
    return None


def own_words(ended: Object) -> Object:
    """What a program of ours wrote of its end: a JSON object on the message's last line, or {}."""
    lines = str(ended.get("message") or "").strip().splitlines()
    try:
        words = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return words if isinstance(words, dict) else {}


def brief(text: str, length: int = 300) -> str:
    """Put somebody else's words on one line, without secrets, and not too long."""
    line = " ".join(redact(text).split()).rstrip(" .:")
    return line if len(line) <= length else f"{line[: length - 3].rstrip()}..."


def _regards(event: Object, metadata: Object) -> bool:
    regarded = event.get("involvedObject") or event.get("regarding") or {}
    if regarded.get("name") != metadata.get("name"):
        return False
    uid = regarded.get("uid")
    return not uid or uid == metadata.get("uid", uid)
