"""Queues, messages and dead letters in, text for people out."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from cli.clients.deployments import label
from cli.views.deployments import duration
from cli.views.output import bold, fields, table

if TYPE_CHECKING:
    from cli.clients.queues import Queue

BODY = 60
"""Characters of a body in a table."""

OURS = "x-schnitzel-"
_OUTCOMES = {
    "made": "made",
    "there": "was there",
    "differs": "was there, with other arguments: left as it is",
}


def listed(queues: list[Queue]) -> str:
    """Draw the list: how much waits, how fast it is answered, what is wrong."""
    rows = [
        (
            label(each),
            each["source"],
            _count(each["ready"]),
            _count(each["in_flight"]),
            _rate(each["answered_per_second"]),
            _lag(each),
            _count(each["dead"]),
            _shares(each),
            each["trouble"]["reason"] if each["trouble"] else "",
        )
        for each in queues
    ]
    headers = (
        "DEPLOYMENT", "SOURCE", "WAITING", "IN FLIGHT", "PER SECOND", "EMPTY IN", "DEAD", "SHARES",
        "TROUBLE",
    )  # fmt: skip
    return table(headers, rows) if rows else "no deployment answers a queue"


def queue(found: Queue, dead: dict[str, Any] | None = None) -> str:
    """Draw one deployment's queue; `dead` are the dead letters that were looked at."""
    trouble = found["trouble"] or {}
    letters = _count(found["dead"])
    if dead is not None and dead["messages"]:
        letters += f" ({reasons(dead)})"
    parts = [
        bold(label(found)),
        fields(
            [
                ("trouble", trouble.get("reason")),
                ("message", trouble.get("message")),
                ("broker", found["broker"]),
                ("source", found["source"]),
                ("waiting", _count(found["ready"])),
                ("in flight", _count(found["in_flight"])),
                ("answered", f"{_rate(found['answered_per_second'])} per second"),
                ("empty in", _lag(found)),
                ("consumers", _count(found["consumers"])),
                ("dead letters", f"{letters} in {found['dead_letter']}"),
                ("next step", trouble.get("next_step")),
            ]
        ),
    ]
    if found["versions"]:
        headers = ("VERSION", "ROLE", "SHARE", "REPLICAS", "CONSUMING", "IN FLIGHT", "PER SECOND")
        parts += ["", table(headers, [_version(each) for each in found["versions"]])]
    rows = [
        (each["name"], _count(each["ready"]), _count(each["consumers"]), each["message"])
        for each in found["results"]
    ]
    rows += [(name, "-", "-", "no single queue") for name in found["elsewhere"]]
    if rows:
        parts += ["", table(("RESULTS", "WAITING", "CONSUMERS", ""), rows)]
    return "\n".join(parts)


def messages(found: dict[str, Any]) -> str:
    """Draw messages that wait."""
    rows = [
        (
            each["id"] or "-",
            each["content_type"] or "-",
            f"{each['size']:,} B",
            "yes" if each["redelivered"] else "no",
            _cut(each["body"]),
        )
        for each in found["messages"]
    ]
    title = bold(f"{found['queue']}: {_of(found)}")
    if not rows:
        return title
    return f"{title}\n{table(('ID', 'TYPE', 'SIZE', 'REDELIVERED', 'BODY'), rows)}"


def dead_letters(found: dict[str, Any]) -> str:
    """Draw dead letters, each with its reason."""
    rows = [
        (
            each["id"] or "-",
            each["reason"] or "-",
            each["headers"].get(f"{OURS}version", "-"),
            _since(each["headers"].get(f"{OURS}dead-at", "")),
            each["message"] or _cut(each["body"]),
        )
        for each in found["messages"]
    ]
    title = bold(f"{found['queue']}: {_of(found)}")
    if not rows:
        return title
    headers = ("ID", "REASON", "VERSION", "DIED", "MESSAGE")
    return f"{title}\n{reasons(found)}\n\n{table(headers, rows)}"


def reasons(found: dict[str, Any]) -> str:
    """Say how many messages died of each reason, as far as they were looked at."""
    counted = Counter(each["reason"] or "no reason" for each in found["messages"])
    text = ", ".join(f"{count} {reason}" for reason, count in counted.most_common())
    looked = len(found["messages"])
    return text if looked >= found["ready"] else f"{text}, of the first {looked}"


def created(found: dict[str, Any]) -> str:
    """Draw what became of queues that were to be made."""
    rows = [(each["name"], _OUTCOMES[each["outcome"]]) for each in found["queues"]]
    rows += [(name, "no single queue: make it yourself") for name in found["elsewhere"]]
    return f"{bold('broker ' + found['broker'])}\n{table(('QUEUE', 'OUTCOME'), rows)}"


def _of(found: dict[str, Any]) -> str:
    looked = len(found["messages"])
    return f"{looked:,} of {found['ready']:,} messages" if found["ready"] else "empty"


def _version(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        each["version"],
        each["role"],
        f"{100 * each['share']:.0f} %",
        str(each["replicas"]),
        str(each["consuming"]),
        str(each["in_flight"]),
        _rate(each["answered_per_second"]),
    )


def _shares(found: Queue) -> str:
    shares = [f"v{one['version']} {100 * one['share']:.0f} %" for one in found["versions"]]
    return ", ".join(shares) or "-"


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _rate(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:,.1f}"


def _lag(found: Queue) -> str:
    if found["lag_seconds"] is not None:
        return duration(found["lag_seconds"]) if found["lag_seconds"] else "empty"
    return "?" if found["ready"] is None or found["answered_per_second"] is None else "never"


def _since(text: str) -> str:
    return f"{duration(max(0.0, time.time() - int(text)))} ago" if text.isdecimal() else "-"


def _cut(body: str) -> str:
    line = " ".join(body.split())
    return line if len(line) <= BODY else f"{line[: BODY - 1]}…"
