"""Define the problem that each module of the diagnosis returns, and read fields of API objects.

Objects are as the API gives them, as JSON: mappings, lists and texts. A missing field reads as
empty, because the API leaves out empty fields.
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
"""Names of the init container that fetches the model; the second is that of Seldon's operator."""

SERVING = ("server", "oip", "model")
"""Names of the container that serves; inside Seldon it stands beside another, or alone."""

TFSERVING = "tfserving"


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason why a predictor, or one of its pods, does not answer.

    Attributes:
        reason: A CamelCase reason, with a section in docs/reference/states.md.
        message: One sentence.
        hint: The next step; empty for the usual one.
        final: Waiting does not help: the rollout gives the version up at once. Otherwise the
            status shows the problem at once, and the rollout waits until its time is over.
        transient: The cause may lie outside the version and go away, so that the controller
            retries a version that was given up for it.
        since: The beginning, in seconds since the epoch, if it is known.
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
    """Make a problem that waiting does not fix: mostly the version's own, so not transient."""
    return Problem(reason, message, hint, final=True, transient=transient, since=since)


def name(thing: Object) -> str:
    """Return the object's name."""
    return str(thing.get("metadata", {}).get("name", ""))


def namespace(thing: Object) -> str:
    """Return the object's namespace."""
    return str(thing.get("metadata", {}).get("namespace", "default"))


def describe(pod: Object) -> str:
    """Return the `kubectl describe` command of a pod."""
    return f"kubectl -n {namespace(pod)} describe pod {name(pod)}"


def parse_time(text: object) -> float | None:
    """Parse an API time ("2026-01-31T12:00:00Z", with or without a fraction) to epoch seconds."""
    return datetime.fromisoformat(str(text)).timestamp() if text else None


def created(thing: Object) -> float | None:
    """Return the object's time of creation, in seconds since the epoch."""
    return parse_time(thing.get("metadata", {}).get("creationTimestamp"))


def condition(thing: Object, kind: str) -> Object:
    """Find the condition of this type in the object's status; empty if there is none."""
    conditions = thing.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})


def status_of(pod: Object, container: str) -> Object:
    """Find the status of a container or init container; empty before the kubelet has seen it."""
    status = pod.get("status", {})
    both = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    return next((each for each in both if each.get("name") == container), {})


def spec_of(pod: Object, container: str) -> Object:
    """Find the spec of a container or init container; empty if the pod has none of this name."""
    spec = pod.get("spec", {})
    both = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return next((each for each in both if each.get("name") == container), {})


def fetching(pod: Object) -> str:
    """Return the name of the init container that fetches the model."""
    return _first(pod, FETCHING)


def serving(pod: Object) -> str:
    """Return the name of the container that serves."""
    return _first(pod, SERVING)


def delegate(pod: Object) -> str:
    """Return the name of the container that the server asks; "" where the server does the work."""
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


def events_of(events: Iterable[Object], thing: Object, *reasons: str) -> list[Object]:
    """List the events of an object with one of these reasons, the newest first.

    `about` reads both forms of events: `involvedObject` (v1) and `regarding` (events.k8s.io/v1).
    """
    found = [
        event
        for event in events
        if event.get("reason") in reasons and _regards(event, thing.get("metadata", {}))
    ]
    return sorted(found, key=lambda event: event_time(event) or 0.0, reverse=True)


def message_of(event: Object) -> str:
    """Return an event's message, in either form of events."""
    return str(event.get("message") or event.get("note") or "")


def event_time(event: Object) -> float | None:
    """Return when an event happened last, in seconds since the epoch."""
    series = event.get("series") or {}
    for time in (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("deprecatedLastTimestamp"),
        event.get("eventTime"),
        event.get("metadata", {}).get("creationTimestamp"),
    ):
        if time:
            return parse_time(time)
    return None


def termination_message(ended: Object) -> Object:
    """Parse the termination message of a program of ours: JSON on its last line, or {}."""
    lines = str(ended.get("message") or "").strip().splitlines()
    try:
        message = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def shorten(text: str, length: int = 300) -> str:
    """Shorten a foreign message to one line without secrets."""
    line = " ".join(redact(text).split()).rstrip(" .:")
    return line if len(line) <= length else f"{line[: length - 3].rstrip()}..."


def _regards(event: Object, metadata: Object) -> bool:
    regarded = event.get("involvedObject") or event.get("regarding") or {}
    if regarded.get("name") != metadata.get("name"):
        return False
    uid = regarded.get("uid")
    return not uid or uid == metadata.get("uid", uid)
