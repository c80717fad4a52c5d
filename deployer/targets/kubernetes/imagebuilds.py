"""In: what a model asks of its environment. Out: an image that has exactly that, built by a Job.

One ConfigMap of a build tells what was asked for and, afterwards, the image's digest: it is looked
at first, so that an environment is built once, by whichever Deployer. The Job's name is that of
what it builds, so that the API server itself refuses a second one beside it.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass
from typing import Any, Final, Literal

from deployer import errors
from deployer.background import Jobs, Stopped
from deployer.errors import EnvironmentUnbuildable, VersionFailure
from deployer.requirements import EnvironmentRequest
from deployer.targets.kubernetes import buildjob
from deployer.targets.kubernetes.apierrors import Exists, Missing
from deployer.targets.kubernetes.buildjob import BuildPlace
from deployer.targets.kubernetes.connection import Client
from deployer.targets.kubernetes.kinds import CONFIG_MAP, JOB, POD
from deployer.targets.kubernetes.words import waiting

LOOK_SECONDS: Final = 1.0
LOG_LINES: Final = 20
_LOCK: Final = re.compile(
    r"-----BEGIN LOCK (?P<digest>[0-9a-f]{64})-----\n(?P<text>.*?)-----END LOCK-----", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image with a model's environment: how nodes name it, by digest; its lock; its Python."""

    image: str
    lock: str
    python: str


@dataclass(frozen=True, slots=True)
class ImageState:
    """How far an environment's image is.

    Attributes:
        phase: where it is.
        since: seconds since the epoch.
        built: the image, once it is ready.
        message: the last word of a build under way.
        error: why it failed.
    """

    phase: Literal["building", "ready", "failed"]
    since: float
    built: BuiltImage | None = None
    message: str = ""
    error: VersionFailure | None = None


class ImageBuilds:
    """Builds environments as images, a few at a time, each once.

    Args:
        client: the cluster.
        place: where and with what; None: versions have to name an image.
        parallel: builds at the same time.
    """

    def __init__(self, client: Client, place: BuildPlace | None, parallel: int) -> None:
        self._client = client
        self._maybe = place
        self._jobs: Jobs[BuiltImage] = Jobs("image-builds", parallel)
        self._said: dict[str, str] = {}
        self._wake = threading.Event()

    @property
    def _place(self) -> BuildPlace:
        if self._maybe is None:
            raise EnvironmentUnbuildable(
                "This cluster has no registry to keep environment images in.",
                "Name an image in serving.yaml, or a registry for the cluster in platform.yaml.",
            )
        return self._maybe

    def ensure(self, request: EnvironmentRequest) -> ImageState:
        """Begin what is not there yet, and say how far it is; returns at once.

        Raises:
            EnvironmentUnbuildable: nothing can be built for this cluster.
        """
        key = buildjob.image_key(request, self._place)
        job = self._jobs.ensure(key, lambda: self._build(request, key))
        if job.result:
            return ImageState("ready", job.since, job.result)
        if job.error:
            return ImageState("failed", job.since, error=job.error)
        return ImageState("building", job.since, message=self._said.get(key, ""))

    def forget(self, request: EnvironmentRequest) -> None:
        """Let a failed build be tried again."""
        self._jobs.forget(buildjob.image_key(request, self._place))

    def close(self) -> None:
        """Let go; a Job that runs goes on, and is found by the next Deployer."""
        self._wake.set()
        self._jobs.close()

    def _build(self, request: EnvironmentRequest, key: str) -> BuiltImage:
        name = buildjob.object_name(key)
        known = self._client.find(CONFIG_MAP, self._place.namespace, name)
        if known and (built := _built(known, self._place)):
            return built
        self._begin(request, known is not None)
        self._said[key] = "it waits for a node"
        try:
            while True:
                ended = self._look(name, key)
                if ended:
                    return self._end(request, name, ended)
                self._wake.wait(LOOK_SECONDS)
                if self._jobs.stopping.is_set():
                    raise Stopped
        finally:
            self._said.pop(key, None)

    def _begin(self, request: EnvironmentRequest, asked: bool) -> None:
        """Have the build's objects there; a Job that failed before makes way for another try."""
        name = buildjob.object_name(buildjob.image_key(request, self._place))
        namespace = self._place.namespace
        if not asked:
            kept = self._client.find(CONFIG_MAP, namespace, buildjob.lock_name(request))
            lock = str((kept or {}).get("data", {}).get("lock", ""))
            before = self._before(request) if lock else ""
            self._make(buildjob.request_map(request, self._place, lock, before))
        job = self._client.find(JOB, namespace, name)
        if job and _condition(job, "Failed"):
            uid = job["metadata"]["uid"]
            self._client.delete(JOB, namespace, name, uid=uid, propagation="Foreground")
            while self._client.find(JOB, namespace, name):
                if self._jobs.stopping.is_set():
                    raise Stopped
                time.sleep(LOOK_SECONDS / 4)
            job = None
        if job is None:
            self._make(buildjob.job(request, self._place))

    def _before(self, request: EnvironmentRequest) -> str:
        """The image of the same environment on another server image, as a build reaches it."""
        labels = (
            f"{buildjob.REQUIREMENTS}={request.key},{buildjob.PLATFORM}={self._place.platform_id}"
        )
        for known in self._client.list(CONFIG_MAP, self._place.namespace, labels=labels):
            _, _, digest = str(known.get("data", {}).get("image", "")).partition("@")
            if digest:
                return f"{self._place.push}@{digest}"
        return ""

    def _make(self, obj: dict[str, Any]) -> None:
        try:
            self._client.create(obj)
        except Exists:
            return  # another Deployer was faster

    def _look(self, name: str, key: str) -> dict[str, Any] | None:
        """The Job, if it ended; else what it does is remembered."""
        namespace = self._place.namespace
        job = self._client.find(JOB, namespace, name)
        if job is None:
            raise EnvironmentUnbuildable(
                "The build of the environment was taken away before it ended.",
                "It is begun anew by itself.",
                passing=True,
            )
        if _condition(job, "Complete") or _condition(job, "Failed"):
            return job
        pod = self._pod(name)
        if pod is None:
            return None
        if pod.get("status", {}).get("phase") == "Pending":
            self._said[key] = waiting(pod) or "it waits for a node"
            return None
        try:
            lines = self._client.logs(namespace, pod["metadata"]["name"], lines=LOG_LINES)
        except Missing:
            return None
        told = [line for line in lines.splitlines() if line.strip()]
        self._said[key] = told[-1].strip() if told else ""
        return None

    def _pod(self, name: str) -> dict[str, Any] | None:
        pods = self._client.list(POD, self._place.namespace, labels=f"job-name={name}")
        return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)

    def _end(self, request: EnvironmentRequest, name: str, job: dict[str, Any]) -> BuiltImage:
        """What came of a Job that ended, kept in its ConfigMap; a failure is raised."""
        namespace = self._place.namespace
        pod = self._pod(name)
        told = _termination(pod)
        failed = _condition(job, "Failed")
        if failed or "image" not in told:
            raise _failure(failed, pod, told, self._place)
        log = self._client.logs(namespace, pod["metadata"]["name"], lines=100_000) if pod else ""
        found = _LOCK.search(log)
        if found and hashlib.sha256(found["text"].encode()).hexdigest() == told.get("lock"):
            self._make(buildjob.lock_map(request, self._place, found["text"]))
        data = {key: str(told[key]) for key in ("image", "lock", "python") if key in told}
        current = self._client.get(CONFIG_MAP, namespace, name)
        changed = {**current, "data": {**current.get("data", {}), **data}}
        self._client.replace(changed)
        self._client.delete(JOB, namespace, name, uid=job["metadata"]["uid"])
        built = _built(changed, self._place)
        if built is None:
            raise EnvironmentUnbuildable("The build named no image.", passing=True)
        return built


def _built(known: dict[str, Any], place: BuildPlace) -> BuiltImage | None:
    data = known.get("data", {})
    _, _, digest = str(data.get("image", "")).partition("@")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        return None
    return BuiltImage(f"{place.pull}@{digest}", data.get("lock", ""), data.get("python", ""))


def _condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    conditions = job.get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), None)


def _ended(pod: dict[str, Any] | None) -> dict[str, Any]:
    statuses = (pod or {}).get("status", {}).get("containerStatuses") or [{}]
    terminated: dict[str, Any] = statuses[0].get("state", {}).get("terminated") or {}
    return terminated


def _termination(pod: dict[str, Any] | None) -> dict[str, Any]:
    try:
        told = json.loads(_ended(pod).get("message") or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _failure(
    failed: dict[str, Any] | None,
    pod: dict[str, Any] | None,
    told: dict[str, Any],
    place: BuildPlace,
) -> VersionFailure:
    if told.get("reason"):
        known = getattr(errors, str(told["reason"]), EnvironmentUnbuildable)
        if not (isinstance(known, type) and issubclass(known, VersionFailure)):
            known = EnvironmentUnbuildable
        passing = _ended(pod).get("exitCode") == 75
        message, hint = str(told.get("message", "")), str(told.get("hint", ""))
        return known(message, hint, passing=passing)
    if failed and failed.get("reason") == "DeadlineExceeded":
        return EnvironmentUnbuildable(
            f"The environment was not built within {place.timeout} s.",
            "Raise build.timeout of the cluster in platform.yaml, or ask for fewer packages.",
        )
    if _ended(pod).get("reason") == "OOMKilled":
        return EnvironmentUnbuildable(
            f"The build of the environment took more than its {place.memory} of memory.",
            "Raise build.memory of the cluster in platform.yaml.",
        )
    why = (pod and waiting(pod)) or (failed or {}).get("message") or "its pod is gone"
    return EnvironmentUnbuildable(
        f"The build of the environment ended without a word: {why}.",
        "It is tried again by itself.",
        passing=True,
    )
