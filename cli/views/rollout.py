"""A rollout under way in, text for people out: its steps, and what its candidate has shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.clients.deployments import label
from cli.views.deployments import age, duration
from cli.views.output import bold, fields, style, table

if TYPE_CHECKING:
    from cli.clients.deployments import Deployment

_COLOURS = {"pass": "green", "fail": "red", "undecided": "yellow", "no_data": "dim"}
_WORDS = {"pass": "shown", "fail": "harm", "undecided": "undecided", "no_data": "too few requests"}


def rollout(found: Deployment) -> str:
    """Draw the rollout of a deployment; a sentence if there is none."""
    under_way: dict[str, Any] | None = found["rollout"]
    if under_way is None:
        return f"no rollout of {label(found)} is under way; {found['message']}"
    judgement: dict[str, Any] | None = under_way["judgement"]
    parts = [
        bold(f"{label(found)}: version {under_way['version']}"),
        fields(
            [
                ("state", f"{found['state']}, {found['reason']}"),
                ("message", found["message"]),
                ("began", f"{age(under_way['since'])} ago"),
                ("evidence", _evidence(judgement) if judgement else None),
                ("bake", _bake(under_way["bake"]) if under_way["bake"] else None),
                ("next step", found["next_step"]),
            ]
        ),
        "",
        table(
            ("STEP", "AT LEAST", "AT MOST", "REQUIRES", ""),
            [_step(number, step, under_way) for number, step in enumerate(under_way["steps"])],
        ),
    ]
    if judgement and judgement["metrics"]:
        old = "BEFORE" if under_way["bake"] else "CHAMPION"
        headers = ("METRIC", "OUTCOME", "NEW", old, "DIFFERENCE", "ALLOWED", "STILL NEEDED")
        rows = [_metric(each, judgement) for each in judgement["metrics"]]
        parts += ["", table(headers, rows)]
    return "\n".join(parts)


def evidence(found: Deployment, shown: dict[str, Any]) -> str:
    """Draw what was said of the steps of rollouts, or what would have been said."""
    title = f"{label(found)}: evidence"
    if shown["replayed"]:
        title = f"{label(found)}: the last rollout, judged with {', '.join(shown['replayed'])}"
    if not shown["steps"]:
        return f"{title}\nno rollout was judged: the steps of `rollout` require nothing"
    rows = [
        (
            one["version"],
            "bake" if one["bake"] else f"{one['weight']} %",
            one["require"] or "-",
            f"{age(one['judgement']['since'])} ago",
            style(_WORDS[one["judgement"]["outcome"]], _COLOURS[one["judgement"]["outcome"]]),
            f"{one['judgement']['requests']:,}",
            one["judgement"]["message"],
        )
        for one in shown["steps"]
    ]
    headers = ("VERSION", "STEP", "REQUIRES", "BEGAN", "OUTCOME", "REQUESTS", "EVIDENCE")
    return f"{bold(title)}\n{table(headers, rows)}"


def _step(number: int, step: dict[str, Any], under_way: dict[str, Any]) -> tuple[str, ...]:
    now = under_way["step"]
    state = "done" if number < now else ""
    if number == now:
        since = under_way["step_since"]
        state = f"now, for {age(since)}" if since else "now, once the gateway serves it"
    requires = step["require"] or ""
    if step["pause"]:
        released = number < now or (number == now and under_way["released"])
        word = "an operator" if not released else "an operator (given)"
        requires = f"{requires}, {word}" if requires else word
    least = duration(step["min_time"]) if step["min_time"] else "-"
    most = duration(step["max_time"]) if step["max_time"] else "-"
    return f"{step['weight']} %", least, most, requires or "-", state


def _bake(bake: dict[str, Any]) -> str:
    left = (datetime.fromisoformat(bake["until"]) - datetime.now(UTC)).total_seconds()
    return f"version {bake['version']} stays warm for {duration(max(0.0, left))} more"


def _evidence(judgement: dict[str, Any]) -> str:
    word = style(_WORDS[judgement["outcome"]], _COLOURS[judgement["outcome"]])
    return f"{word}: {judgement['message']}"


def _metric(metric: dict[str, Any], judgement: dict[str, Any]) -> tuple[str, ...]:
    name, outcome = metric["metric"], metric["outcome"]
    text = _milliseconds if name.startswith("latency") else _percent
    low, high = metric["low"], metric["high"]
    points = [_points(value) for value in (low, high)]
    apart = f"{points[0]} to {points[1]} pp" if low is not None and high is not None else "-"
    allowed = "-"
    if metric["margin"] is not None:
        latency = name.startswith("latency")
        allowed = f"{metric['margin']:g}x" if latency else f"{_points(metric['margin'])} pp"
    return (
        name,
        style(_WORDS[outcome], _COLOURS[outcome]),
        text(metric["candidate"]),
        text(metric["champion"]),
        apart,
        allowed,
        _needed(metric["more"], judgement),
    )


def _needed(more: int | None, judgement: dict[str, Any]) -> str:
    """Say how many more requests it takes, and how long that is at the present traffic."""
    if more is None:
        return "-"
    begin, end = judgement["since"], judgement["until"]
    lasted = 0.0
    if begin and end:
        lasted = (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
    if lasted <= 0 or not judgement["requests"]:
        return f"{more:,} requests"
    return f"{more:,} requests, about {duration(more * lasted / judgement['requests'])}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3g} %"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2g}"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{1000 * value:.3g} ms"
