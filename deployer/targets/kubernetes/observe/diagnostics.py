"""Collect evidence on pods that are not ready: events, the end of a log, their own answers.

The target asks for evidence only while a predictor is not ready, and no more often than every few
seconds.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import ApiError
from deployer.targets.kubernetes.client.kinds import EVENT
from deployer.targets.kubernetes.diagnosis.crashes import log_wanted, unanswering
from deployer.targets.kubernetes.render.route import PORT

FRESH_SECONDS: Final = 2.0
LOG_LINES: Final = 30

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence on a predictor, for `predictor.Seen`."""

    events: Sequence[Object] = ()
    log: str = ""
    answer: Object | None = None


class Diagnostics:
    """The evidence on predictors of one cluster that are not ready."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._found: dict[str, tuple[float, Evidence]] = {}
        self._lock = threading.Lock()

    def ask(self, predictor: str, namespace: str, pods: Sequence[Object]) -> Evidence:
        """Collect the evidence on a predictor's pods, and keep it for FRESH_SECONDS."""
        now = time.monotonic()
        with self._lock:
            at, known = self._found.get(predictor, (0.0, Evidence()))
            if at and now - at < FRESH_SECONDS:
                return known
            self._found[predictor] = (now, known)
        found = Evidence(
            self._events(namespace, pods), self._log(namespace, pods), self._answer(pods)
        )
        with self._lock:
            self._found[predictor] = (now, found)
        return found

    def forget(self, predictor: str) -> None:
        """Drop the evidence on a predictor that is ready, or gone."""
        with self._lock:
            self._found.pop(predictor, None)

    def _events(self, namespace: str, pods: Sequence[Object]) -> list[Object]:
        found: list[Object] = []
        for pod in pods:
            name = pod["metadata"]["name"]
            try:
                fields = f"involvedObject.kind=Pod,involvedObject.name={name}"
                found += self._client.list(EVENT, namespace, fields=fields)
            except ApiError:
                continue  # the pod's own status has to do
        return found

    def _log(self, namespace: str, pods: Sequence[Object]) -> str:
        wanted = log_wanted(pods)
        if wanted is None:
            return ""
        pod, container, previous = wanted
        try:
            return self._client.pods.logs(
                namespace, pod, container, lines=LOG_LINES, previous=previous
            )
        except ApiError:
            return ""

    def _answer(self, pods: Sequence[Object]) -> Object | None:
        for pod in pods:
            if unanswering(pod):
                body = self._client.pods.get(pod, PORT, "/v2/health/ready")
                try:
                    answer = json.loads(body) if body else None
                except ValueError:
                    return None
                return answer if isinstance(answer, dict) else None
        return None
