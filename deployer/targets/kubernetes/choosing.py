"""In: a record, or a predictor's pods. Out: which predictors there are, and which pod to ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployer.state import Predictor, Record


def known(record: Record) -> list[Predictor]:
    """The predictors that a record names, each once."""
    own = [record.serving, record.candidate.predictor if record.candidate else None]
    found = [p for p in own if p] + [d.predictor for d in record.draining]
    return list({p.name: p for p in found}.values())


def first_ready(pods: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The ready pod whose name comes first; None if no pod is ready."""
    ready = [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and any(
            c["type"] == "Ready" and c["status"] == "True"
            for c in pod.get("status", {}).get("conditions") or ()
        )
    ]
    return min(ready, key=lambda pod: str(pod["metadata"]["name"]), default=None)


def instance(pods: Sequence[dict[str, Any]]) -> str | None:
    """The uid of that pod, by which an answer is known to be its own."""
    pod = first_ready(pods)
    return str(pod["metadata"]["uid"]) if pod else None
