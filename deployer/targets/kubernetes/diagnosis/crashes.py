"""Explain why a pod's containers ended, from their own messages, the kernel or the log.

Our programs write one line of JSON, {"reason", "message", "hint"}, to their termination message.
The model server ends with 64 when a retry is useless (older servers with 65 when they kept
crashing), the init container with 75 when a retry may help (sysexits.h, EX_TEMPFAIL). Other
programs leave the exit code and the end of the log.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from dataclasses import replace

from deployer.errors import ArtifactUnreachable
from deployer.state.reasons import Reason
from deployer.targets.kubernetes.diagnosis.problem import (
    Object,
    Problem,
    delegate,
    describe,
    events_of,
    fatal,
    fetching,
    message_of,
    parse_time,
    serving,
    shorten,
    spec_of,
    status_of,
    termination_message,
)
from deployer.targets.kubernetes.diagnosis.reasons import PodReason

FINAL_EXITS, TRANSIENT_EXIT = (64, 65), 75
_MAYBE_THE_NODES = (Reason.OUT_OF_MEMORY, Reason.CRASH_LOOP)
_BACKING_OFF = "CrashLoopBackOff"
_LOADING = "Loading"
"""The reason that a server reports while it loads the model (serving/front/app.py)."""

_UNLOADED = re.compile(r"did not become available.*?due to error: (.*?)(?:\}, |\Z)", re.DOTALL)
"""The last message of TensorFlow Serving when it tries only once (model_servers/server_core.cc)."""

_UNSTARTED = ("StartError", "ContainerCannotRun", "RunContainerError", "CreateContainerError")


def fetch_problem(pod: Object) -> Problem | None:
    """Explain why the model's files could not be fetched; None while the fetch may succeed."""
    status = status_of(pod, fetching(pod))
    ended = _ended(status)
    if not ended or ended.get("exitCode") == 0:
        return None
    since = parse_time(ended.get("finishedAt"))
    own = termination_message(ended)
    if own.get("reason"):
        sentence = f"{shorten(str(own.get('message') or 'Its files could not be fetched'))}."
        transient = ended.get("exitCode") == TRANSIENT_EXIT
        hint = str(own.get("hint") or "")
        return fatal(str(own["reason"]), sentence, hint, since, transient=transient)
    if ended.get("reason") in _UNSTARTED:
        return _cannot_start(pod, str(ended.get("message")), since)
    if ended.get("reason") == "OOMKilled":
        limit = _limit(pod, fetching(pod))
        sentence = f"Fetching the model's files took more memory than its limit{limit}."
        hint = "Raise resources.memory in serving.yaml."
        return fatal(Reason.OUT_OF_MEMORY, sentence, hint, since, transient=True)
    sentence = f"Fetching the model's files ended with {_exit(ended)}{_words(ended, '')}."
    return fatal(ArtifactUnreachable.reason, sentence, since=since, transient=True)


def crash_problem(
    pod: Object,
    container: str,
    events: Iterable[Object],
    log: str,
    *,
    served: bool,
    show: str,
) -> Problem | None:
    """Explain why a container ended, or cannot be started; None if it seems to run.

    Args:
        pod: The pod.
        container: The serving or the working container; a missing container is no problem.
        events: The events of the pod.
        log: The last lines that the ended container wrote, "" if they were not read.
        served: Whether this predictor was ready before: then the kubelet restarts it after one
            crash, and only a crash loop is final.
        show: The command that shows the log.
    """
    status = status_of(pod, container)
    if status.get("ready"):
        return None
    waiting = status.get("state", {}).get("waiting") or {}
    if waiting.get("reason") in _UNSTARTED:
        return _cannot_start(pod, str(waiting.get("message")), None)
    ended = _ended(status)
    looping = waiting.get("reason") == _BACKING_OFF
    if not ended or (ended.get("exitCode") == 0 and not looping):
        return None
    again = looping or (int(status.get("restartCount") or 0) > 1 and not served)
    problem, known = _why(pod, container, events, ended, log, show)
    if again or (known and not served):
        return problem
    if status.get("state", {}).get("running") and served:
        return None
    return replace(problem, final=False)


def readiness_problem(
    pod: Object, events: Iterable[Object], answer: Object, show: str
) -> Problem | None:
    """Explain why a server that has started is not ready.

    Args:
        pod: The pod.
        events: The events of the pod.
        answer: The JSON body of its /v2/health/ready, reason and message; empty if unasked.
        show: The command that shows the log.
    """
    if not is_unready(pod) or answer.get("reason") == _LOADING:
        return None
    since = parse_time(status_of(pod, serving(pod))["state"]["running"].get("startedAt"))
    if answer.get("reason"):
        message = f"{shorten(str(answer.get('message') or 'The model does not answer'))}."
        if answer["reason"] == Reason.CRASH_LOOP:  # the server retries; the rollout does not wait
            return fatal(Reason.CRASH_LOOP, message, show, since, transient=True)
        return Problem(str(answer["reason"]), message, show, transient=False, since=since)
    failed = [
        event for event in events_of(events, pod, "Unhealthy") if "Readiness" in message_of(event)
    ]
    why = f": {shorten(message_of(failed[0]))}" if failed else ""
    message = f"Its server runs, but does not report that it is ready{why}."
    return Problem(Reason.NOT_READY, message, show, transient=False, since=since)


def is_unready(pod: Object) -> bool:
    """Decide whether a server has started and is not ready, so that its own answer explains why."""
    status = status_of(pod, serving(pod))
    running = status.get("state", {}).get("running")
    return bool(running and status.get("started") and not status.get("ready"))


def log_wanted(pods: Iterable[Object]) -> tuple[str, str, bool] | None:
    """Choose the log that explains a crash: pod, container, and whether the previous instance's.

    None if no container crash_problem, or each left a termination message of its own.
    """
    for pod in pods:
        for container in filter(None, (fetching(pod), delegate(pod), serving(pod))):
            status = status_of(pod, container)
            ended = _ended(status)
            if status.get("ready") or not ended or ended.get("exitCode") == 0:
                continue
            if not termination_message(ended):
                # The kubelet keeps two logs: while a container runs, the ended one is "previous".
                running = bool(status.get("state", {}).get("running"))
                return str(pod["metadata"]["name"]), container, running
    return None


def _why(
    pod: Object, container: str, events: Iterable[Object], ended: Object, log: str, show: str
) -> tuple[Problem, bool]:
    """Explain why a container ended, and whether the cause is certain without a second crash."""
    since = parse_time(ended.get("finishedAt"))
    own = termination_message(ended)
    if ended.get("reason") == "OOMKilled":
        sentence = f"It was stopped: it took more memory than its limit{_limit(pod, container)}."
        hint = "Raise resources.memory in serving.yaml, or make the model smaller."
        return fatal(Reason.OUT_OF_MEMORY, sentence, hint, since, transient=True), True
    if own.get("reason"):
        reason, hint = str(own["reason"]), str(own.get("hint") or show)
        sentence = f"{shorten(str(own.get('message') or 'The model server gave up'))}."
        transient = bool(own.get("passing", reason in _MAYBE_THE_NODES))
        final = ended.get("exitCode") in FINAL_EXITS
        return fatal(reason, sentence, hint, since, transient=transient), final
    if ended.get("reason") in _UNSTARTED:
        return _cannot_start(pod, str(ended.get("message")), since), True
    unloaded = (
        _UNLOADED.search(str(ended.get("message") or log)) if container == delegate(pod) else None
    )
    if unloaded:
        sentence = f"TensorFlow Serving cannot load the model: {shorten(unloaded[1])}."
        hint = "Log a SavedModel that it can load, in the folder that tfserving.saved_model names."
        return fatal(Reason.LOAD_ERROR, sentence, hint, since), True
    probe = _probe(pod, events)
    if probe == "startup":
        failed = [
            event for event in events_of(events, pod, "Unhealthy") if "Startup" in message_of(event)
        ]
        why = f"; its startup probe said: {shorten(message_of(failed[0]))}" if failed else ""
        sentence = f"It was stopped because it did not start in time{why}."
        hint = "Raise kubernetes.probes.startup_seconds in serving.yaml, or see why it is so slow."
        return fatal(Reason.NOT_READY_IN_TIME, sentence, hint, since), True
    because = "; its liveness probe failed" if probe == "liveness" else ""
    who = "The server behind the model server" if container == delegate(pod) else "The model server"
    sentence = f"{who} ended with {_exit(ended)}{because}{_words(ended, log)}."
    return fatal(Reason.CRASH_LOOP, sentence, show, since, transient=True), False


def _cannot_start(pod: Object, text: str, since: float | None) -> Problem:
    # The runtime's message names each layer's attempt first and the error last.
    _, _, why = text.rpartition("unable to start container process: ")
    sentence = f"Its container cannot be started: {shorten(why).removesuffix(': unknown')}."
    return fatal(PodReason.CANNOT_START, sentence, describe(pod), since)


def _ended(status: Object) -> Object:
    """Return the terminated state of a container, or else that of its previous instance."""
    last = (status.get("lastState") or {}).get("terminated") or {}
    return (status.get("state") or {}).get("terminated") or last


def _probe(pod: Object, events: Iterable[Object]) -> str:
    """Find the probe that had the container stopped: "startup", "liveness" or "" for none."""
    for event in events_of(events, pod, "Killing"):
        for probe in ("startup", "liveness"):
            if f"failed {probe} probe" in message_of(event):
                return probe
    return ""


def _exit(ended: Object) -> str:
    code = int(ended.get("exitCode") or ended.get("signal") or 0)
    try:
        return f"exit code {code} ({signal.Signals(code - 128).name})"
    except ValueError:
        return f"exit code {code}"


def _words(ended: Object, log: str) -> str:
    """Quote the end of the log as the end of a sentence; of a traceback, only the last line."""
    text = log or str(ended.get("message") or "")
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    if "Traceback (most recent call last)" in text:
        return f": {shorten(lines[-1])}"
    return f"; its last lines: {shorten(' | '.join(lines[-3:]))}"


def _limit(pod: Object, container: str) -> str:
    limits = (spec_of(pod, container).get("resources") or {}).get("limits") or {}
    return f" of {limits['memory']}" if limits.get("memory") else ""
