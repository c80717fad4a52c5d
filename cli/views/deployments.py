"""Deployments and plans in, text for people out."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.clients.deployments import label, version_of
from cli.views import objects
from cli.views.output import Format, bold, colour_state, emit, fields, say, style, table

if TYPE_CHECKING:
    from cli.clients.deployments import Deployment, Plan

MOST_PAGES = 5
"""Deployments that are drawn one below the other; more are a table."""
_VERBS = {"start": "green", "route": "cyan", "retire": "red", "wait": "yellow", "keep": "dim"}


def age(moment: str | None) -> str:
    """Say how long ago an ISO time was, as in "3 min"; empty for none."""
    if not moment:
        return ""
    return duration(max(0.0, time.time() - datetime.fromisoformat(moment).timestamp()))


def _until(moment: str | None) -> str | None:
    if not moment:
        return None
    left = datetime.fromisoformat(moment).timestamp() - time.time()
    return f"automatically, in {duration(left)}" if left > 0 else "automatically, now"


def duration(seconds: float) -> str:
    """Say a duration in its largest sensible unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def changed(deployment: Deployment, what: str, form: Format) -> None:
    """Say what was asked for; the answer is from before the pass that acts on it, so it is data."""
    say(f"{label(deployment)}: {what}")
    emit(deployment, form, str)


def deployments(found: list[Deployment]) -> str:
    """Draw the list: what is wanted beside what serves is its main signal."""
    rows = [
        (
            label(each),
            each["state"],
            each["sync"],
            version_of(each["wanted"]) or "-",
            version_of(each["serving"]) or "-",
            each["reason"],
            age(each["changed_at"]),
            each["url"],
        )
        for each in found
    ]
    headers = ("DEPLOYMENT", "STATE", "SYNC", "WANTED", "SERVING", "REASON", "SINCE", "URL")
    return table(headers, rows) if rows else "nothing is deployed"


def deployment(found: Deployment) -> str:
    """Draw one deployment: state and reason, versions, predictors, losing versions, next step."""
    wanted, paused = found["wanted"], found["paused"]
    parts = [
        bold(label(found)),
        fields(
            [
                ("state", found["state"]),
                ("reason", found["reason"]),
                ("message", found["message"]),
                ("sync", found["sync"]),
                (
                    "wanted",
                    f"version {wanted['version']} by {wanted['via']}" if wanted else "nothing",
                ),
                (
                    "serving",
                    f"version {found['serving']['version']}" if found["serving"] else "nothing",
                ),
                ("paused", f"by {paused['by']}: {paused['reason']}" if paused else None),
                ("target", found["target"]),
                ("url", found["url"]),
                ("changed", f"{age(found['changed_at'])} ago" if found["changed_at"] else None),
                ("next try", _until(found.get("retry_at"))),
                ("next step", found["next_step"]),
            ]
        ),
    ]
    if found["predictors"]:
        about = ("PREDICTOR", "VERSION", "RUNTIME", "ROLE", "WEIGHT")
        headers = (*about, "PHASE", "READY", "REASON", "MESSAGE")
        rows = [
            (
                each["name"],
                each["version"],
                each["runtime"],
                each["role"],
                each["weight"],
                each["phase"],
                f"{each['replicas_ready']}/{each['replicas']}",
                each["reason"],
                each["message"],
            )
            for each in found["predictors"]
        ]
        parts += ["", table(headers, rows)]
    parts += [f"note: {note}" for note in found["notes"]]
    parts += [f"version {each['version']}: {each['message']}" for each in found["losing"]]
    return "\n".join(parts)


def pages(found: list[Deployment]) -> str:
    """Draw each deployment; of many, those that failed, and a table of all."""
    if len(found) <= MOST_PAGES:
        return "\n\n".join(map(deployment, found)) or "nothing is deployed"
    wrong = [each for each in found if each["state"] in ("Failed", "Degraded")]
    shown = [deployment(each) for each in wrong[:MOST_PAGES]]
    more = "more about one of them: schnitzel deploy status MODEL@ENV"
    return "\n\n".join([*shown, deployments(found), more])


def plan(found: Plan) -> str:
    """Draw one plan: each change with its reason, the objects, the digest to apply exactly this."""
    lines = [
        bold(f"{found['deployment']}  {'changes pending' if found['pending'] else 'no changes'}")
    ]
    for change in found["changes"]:
        verb = style(f"{change['action']:<6}", _VERBS.get(change["action"], "bold"))
        version = f"version {change['version']}" if change.get("version") else ""
        lines.append(f"  {verb}  {version or change['predictor']}: {change['why']}")
    if found["objects"]:
        lines.append(f"  objects: {objects.summary(found['objects'])}")
        lines += [f"    {objects.one_line(each)}" for each in found["objects"]]
    lines += [f"  not known yet: {sentence}" for sentence in found["unknown"]]
    held: dict[str, Any] | None = found.get("held_by") or found.get("unsafe")
    if held:
        lines.append(f"  {colour_state('Frozen')}  {held['reason']}: {held['message']}")
        lines.append(f"          {held['hint']}")
    if found["pending"] and found["digest"]:
        lines.append(f"  digest  {found['digest']}")
    return "\n".join(lines)


def history(events: list[dict[str, Any]]) -> str:
    """Draw the history, newest last: when, what, from which version to which, why, who."""
    rows = [
        (
            each["at"],
            each["kind"],
            each["action"],
            _step(each),
            each["who"],
            each["detail"] or each["why"],
        )
        for each in events
    ]
    return table(("AT", "KIND", "ACTION", "VERSION", "WHO", "WHY"), rows)


def _step(event: dict[str, Any]) -> str:
    before, after = event.get("from"), event.get("to")
    return f"{before or '-'} -> {after or '-'}" if before or after else ""
