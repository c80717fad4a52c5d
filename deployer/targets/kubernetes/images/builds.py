"""In: what a model asks of its environment. Out: an image that has exactly that, built by a Job.

One ConfigMap of a build tells what was asked for and, afterwards, the image's digest: it is looked
at first, so that an environment is built once, by whichever Deployer. The Job's name is that of
what it builds, so that the API server itself refuses a second one beside it.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from deployer.artifacts.requirements import EnvironmentRequest
from deployer.background.jobs import Jobs, Stopped
from deployer.errors import EnvironmentUnbuildable, VersionFailure
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import Exists, Missing
from deployer.targets.kubernetes.client.kinds import CONFIG_MAP, JOB
from deployer.targets.kubernetes.images import job as buildjob, results, site
from deployer.targets.kubernetes.images.site import BuildSite

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
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        client: Client,
        place: BuildSite | None,
        parallel: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._maybe = place
        self._clock = clock
        self._asked: dict[str, float] = {}
        self._leaving: set[str] = set()
        self._lock = threading.Lock()
        self._jobs: Jobs[BuiltImage] = Jobs("image-builds", parallel)
        self._said: dict[str, str] = {}
        self._wake = threading.Event()

    @property
    def _place(self) -> BuildSite:
        if self._maybe is None:
            raise EnvironmentUnbuildable(
                "This cluster has no registry to keep environment images in.",
                "Name an image in serving.yaml, or a registry for the cluster in platform.yaml.",
            )
        return self._maybe

    def ensure(self, request: EnvironmentRequest, source: str = "") -> ImageState:
        """Begin what is not there yet, and say how far it is; returns at once.

        Args:
            request: what is asked for.
            source: the artifact URI of the model that asks, for the wheels among its files.

        Raises:
            EnvironmentUnbuildable: nothing can be built for this cluster.
        """
        key = site.image_key(request, self._place)
        with self._lock:
            now = self._asked[key] = self._clock()
            if key in self._leaving:
                message = "an image of it that nothing used is being removed; then it is made anew"
                return ImageState("building", now, message=message)
            job = self._jobs.ensure(key, lambda: self._build(request, key, source))
        if job.result:
            return ImageState("ready", job.since, job.result)
        if job.error:
            return ImageState("failed", job.since, error=job.error)
        return ImageState("building", job.since, message=self._said.get(key, ""))

    def forget(self, request: EnvironmentRequest) -> None:
        """Let a failed build be tried again."""
        self._jobs.forget(site.image_key(request, self._place))

    def asked_at(self, key: str) -> float:
        """When an image was last asked for here, in seconds since the epoch; 0 if never."""
        return self._asked.get(key, 0.0)

    def building(self, key: str) -> bool:
        """Whether its build is under way here."""
        job = self._jobs.seen(key)
        return job is not None and job.phase == "running"

    def claim(self, keys: Iterable[str], unasked_since: float) -> set[str]:
        """Those that nobody builds, or asked for since; none of them is given out until `release`.

        Args:
            keys: of images, as `buildplace.image_key` makes them.
            unasked_since: seconds since the epoch.
        """
        with self._lock:
            claimed = {
                key
                for key in keys
                if not self.building(key) and self.asked_at(key) <= unasked_since
            }
            self._leaving |= claimed
            return claimed

    def release(self, keys: Iterable[str]) -> None:
        """What came of a claim stands on the cluster: it is looked at anew when next asked for."""
        with self._lock:
            for key in keys:
                self._jobs.forget(key)
                self._leaving.discard(key)

    def close(self) -> None:
        """Let go; a Job that runs goes on, and is found by the next Deployer."""
        self._wake.set()
        self._jobs.close()

    def _build(self, request: EnvironmentRequest, key: str, source: str) -> BuiltImage:
        name = site.object_name(key)
        known = self._client.find(CONFIG_MAP, self._place.namespace, name)
        if known and (removal := site.removal_of(known)):
            self._await_removal(removal, known)
            known = None
        if known and (built := _built(known, self._place)):
            return built
        self._begin(request, known, source)
        self._said[key] = "it waits for a node"
        try:
            while True:
                ended = self._look(name, key)
                if ended:
                    return self._end(request, name, ended)
                self._pause()
        finally:
            self._said.pop(key, None)

    def _begin(
        self, request: EnvironmentRequest, known: dict[str, Any] | None, source: str
    ) -> None:
        """Have the build's objects there; a Job that failed before makes way for another try."""
        name = site.object_name(site.image_key(request, self._place))
        namespace = self._place.namespace
        job = self._client.find(JOB, namespace, name)
        if job and results.condition(job, "Failed"):
            uid = job["metadata"]["uid"]
            self._client.delete(JOB, namespace, name, uid=uid, propagation="Foreground")
            while self._client.find(JOB, namespace, name):
                self._pause()
            job = None
        if job and known:
            return
        kept = self._client.find(CONFIG_MAP, namespace, site.lock_name(request))
        lock = str((kept or {}).get("data", {}).get("lock", ""))
        before = self._before(request) if lock else ""
        asked = buildjob.request_map(request, self._place, lock, before)
        if known is None:
            self._make(asked)
        elif known.get("data") != asked["data"]:  # what can be gone on from is newer by now
            self._client.replace({**known, "data": asked["data"]})
        if job is None:
            self._make(buildjob.job(request, self._place, source))

    def _await_removal(self, removal: str, known: dict[str, Any]) -> None:
        """Wait for a removal that another Deployer began, and forget the image as it did."""
        namespace, meta = self._place.namespace, known["metadata"]
        while (job := self._client.find(JOB, namespace, removal)) and not results.ended(job):
            self._pause()
        self._client.delete(CONFIG_MAP, namespace, meta["name"], uid=meta["uid"])

    def _before(self, request: EnvironmentRequest) -> str:
        """An image with the same environment, whoever made it: on another server image, perhaps."""
        labels = f"{site.REQUIREMENTS}={request.key}"
        for known in self._client.list(CONFIG_MAP, self._place.namespace, labels=labels):
            image = str(known.get("data", {}).get("image", ""))
            if image.startswith(f"{self._place.push}@"):
                return image
        return ""

    def _pause(self) -> None:
        self._wake.wait(LOOK_SECONDS)
        if self._jobs.stopping.is_set():
            raise Stopped

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
                transient=True,
            )
        if results.ended(job):
            return job
        pod = results.pod_of(self._client, namespace, name)
        if pod is None:
            return None
        if pod.get("status", {}).get("phase") == "Pending":
            self._said[key] = results.pending(pod)
            return None
        try:
            lines = self._client.logs(namespace, pod["metadata"]["name"], lines=LOG_LINES)
        except Missing:
            return None
        told = [line for line in lines.splitlines() if line.strip()]
        self._said[key] = told[-1].strip() if told else ""
        return None

    def _end(self, request: EnvironmentRequest, name: str, job: dict[str, Any]) -> BuiltImage:
        """What came of a Job that ended, kept in its ConfigMap; a failure is raised."""
        namespace = self._place.namespace
        pod = results.pod_of(self._client, namespace, name)
        told = results.last_words(pod)
        if results.condition(job, "Failed") or "image" not in told:
            raise results.failure(job, pod, self._place)
        log = self._client.logs(namespace, pod["metadata"]["name"], lines=100_000) if pod else ""
        found = _LOCK.search(log)
        if found and hashlib.sha256(found["text"].encode()).hexdigest() == told.get("lock"):
            self._make(buildjob.lock_map(request, self._place, found["text"]))
        kept = ("image", "lock", "python", "bytes")
        data = {key: str(told[key]) for key in kept if key in told}
        data["made"] = str(int(self._clock()))
        current = self._client.get(CONFIG_MAP, namespace, name)
        changed = {**current, "data": {**current.get("data", {}), **data}}
        self._client.replace(changed)
        self._client.delete(JOB, namespace, name, uid=job["metadata"]["uid"])
        built = _built(changed, self._place)
        if built is None:
            raise EnvironmentUnbuildable("The build named no image.", transient=True)
        return built


def _built(known: dict[str, Any], place: BuildSite) -> BuiltImage | None:
    data = known.get("data", {})
    _, _, digest = str(data.get("image", "")).partition("@")
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        return None
    return BuiltImage(f"{place.pull}@{digest}", data.get("lock", ""), data.get("python", ""))
