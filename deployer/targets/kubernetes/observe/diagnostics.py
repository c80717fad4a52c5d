"""Collect evidence on pods that are not ready: events, the end of a log, their own answers.

Jobs in the background collect, because the API server may be slow or hang. The target asks for
evidence only while a predictor is not ready, and no more often than every few seconds. A pass does
not judge a predictor whose pods changed before the evidence on the change is there, but goes
without the evidence if it takes long.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from deployer.background.jobs import Jobs
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import ApiError
from deployer.targets.kubernetes.client.kinds import EVENT
from deployer.targets.kubernetes.diagnosis.crashes import is_unready, log_wanted
from deployer.targets.kubernetes.render.route import PORT

FRESH_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 2.0
"""How long passes over a deployment wait for evidence; normally it takes some milliseconds."""

KEPT_SECONDS: Final = 600.0
"""How long evidence is kept that nobody asks for."""

PARALLEL: Final = 4
LOG_LINES: Final = 30

Object = Mapping[str, Any]
Pods = frozenset[tuple[object, object]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence on a predictor, for `predictor.Seen`."""

    events: Sequence[Object] = ()
    log: str = ""
    answer: Object | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """The evidence on a predictor, and its renewal; times on the monotonic clock.

    Attributes:
        deployment: the id of the predictor's deployment.
        evidence: the evidence, once there is some.
        pods: the states of the pods for which it was collected.
        at: when its collection ended.
        asked: when somebody last asked for it.
        job: the key of the collection under way; empty if there is none.
        begun: when that collection began.
        changing: the states of the pods for which it collects.
    """

    deployment: str
    evidence: Evidence | None = None
    pods: Pods = frozenset()
    at: float = 0.0
    asked: float = 0.0
    job: str = ""
    begun: float = 0.0
    changing: Pods = frozenset()


class Diagnostics:
    """The evidence on predictors of one cluster that are not ready.

    Args:
        client: The cluster.
        changed: Called with a deployment's id when there is new evidence on its predictors.
        timer: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        client: Client,
        changed: Callable[[str], None] = lambda _: None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._changed = changed
        self._timer = timer
        self._known: dict[str, _Known] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._jobs: Jobs[Evidence] = Jobs(
            "diagnostics", PARALLEL, ended=self._ended, patience=PATIENCE_SECONDS
        )

    def evidence_of(
        self, deployment: str, predictor: str, namespace: str, pods: Sequence[Object]
    ) -> tuple[Evidence, bool]:
        """Return the evidence on a predictor's pods, and begin to renew it if it is old.

        Returns:
            The evidence as far as it is known, and whether to wait with a judgement: there is no
            evidence yet, or none since the pods changed, and it is on its way.
        """
        if not pods:
            return Evidence(), False
        now, states, job = self._timer(), _states(pods), ""
        with self._lock:
            known = self._known.get(predictor, _Known(deployment))
            known = replace(known, asked=now)
            due = known.evidence is None or now - known.at >= FRESH_SECONDS
            if due and not known.job:
                job = f"{predictor} {next(self._numbers)}"
                known = replace(known, job=job, begun=now, changing=states)
            self._known[predictor] = known
        if job:
            self._jobs.ensure(job, partial(self.collect, namespace, pods))
        elif known.job:
            self._jobs.peek(known.job)  # if another one hangs, this one gets a thread of its own
        lacks = known.evidence is None or known.pods != states
        waits = lacks and bool(known.job) and now - known.begun < PATIENCE_SECONDS
        return known.evidence or Evidence(), waits

    def forget(self, predictor: str) -> None:
        """Drop the evidence on a predictor that is ready, or gone."""
        with self._lock:
            self._known.pop(predictor, None)

    def collect(self, namespace: str, pods: Sequence[Object]) -> Evidence:
        """Collect the evidence on pods: blocks until the cluster has answered."""
        return Evidence(
            self._events(namespace, pods), self._log(namespace, pods), self._answer(pods)
        )

    def close(self) -> None:
        """Stop collecting; a request under way is left alone."""
        self._jobs.close(0.0)

    def _ended(self, key: str) -> None:
        job = self._jobs.peek(key)
        self._jobs.forget(key)
        predictor, now = key.partition(" ")[0], self._timer()
        with self._lock:
            before = self._known.get(predictor)
            if job is None or before is None or before.job != key:
                return
            found = job.result or Evidence()
            self._known[predictor] = replace(
                before, evidence=found, pods=before.changing, at=now, job=""
            )
            self._known = {
                name: one for name, one in self._known.items() if now - one.asked < KEPT_SECONDS
            }
        if found != before.evidence or before.changing != before.pods:
            self._changed(before.deployment)

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
            if is_unready(pod):
                body = self._client.pods.get(pod, PORT, "/v2/health/ready")
                try:
                    answer = json.loads(body) if body else None
                except ValueError:
                    return None
                return answer if isinstance(answer, dict) else None
        return None


def _states(pods: Sequence[Object]) -> Pods:
    """Identify the states of pods: another write to a pod is another state."""
    return frozenset((p["metadata"].get("uid"), p["metadata"].get("resourceVersion")) for p in pods)
