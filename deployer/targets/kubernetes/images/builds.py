"""Build images with exactly the Python environments that models request, by Jobs.

The ConfigMap of a build holds the request and, after the build, the image's digest. A Deployer
reads it first, so that a Python environment is built once, by whichever Deployer. The name of the
Job derives from the request, so that the API server itself refuses a second Job beside it.
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
from deployer.targets.kubernetes.client.errors import AlreadyExists, Missing
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
    """An image with a Python environment: its name on nodes, by digest; its lock; its Python."""

    image: str
    lock: str
    python: str


@dataclass(frozen=True, slots=True)
class ImageState:
    """The progress of an image.

    Attributes:
        phase: The phase of the image.
        since: Seconds since the epoch.
        built: The image, once it is ready.
        message: The last message of a running build.
        error: The error of a failed build.
    """

    phase: Literal["building", "ready", "failed"]
    since: float
    built: BuiltImage | None = None
    message: str = ""
    error: VersionFailure | None = None


class ImageBuilds:
    """The builds of one cluster, a few at a time, each image once.

    Args:
        client: The cluster.
        place: The build site; None: versions have to name an image.
        parallel: The number of builds at the same time.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        client: Client,
        place: BuildSite | None,
        parallel: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._optional_place = place
        self._clock = clock
        self._asked: dict[str, float] = {}
        self._claimed: set[str] = set()
        self._lock = threading.Lock()
        self._jobs: Jobs[BuiltImage] = Jobs("image-builds", parallel, retry=None)
        self._messages: dict[str, str] = {}
        self._wake = threading.Event()

    @property
    def _place(self) -> BuildSite:
        if self._optional_place is None:
            raise EnvironmentUnbuildable(
                "This cluster has no registry to keep environment images in.",
                "Name an image in serving.yaml, or a registry for the cluster in platform.yaml.",
            )
        return self._optional_place

    def ensure(self, request: EnvironmentRequest, source: str = "") -> ImageState:
        """Begin a missing image and return its progress at once.

        Args:
            request: The requested Python environment.
            source: The artifact URI of the requesting model, for the wheels among its files.

        Raises:
            EnvironmentUnbuildable: This cluster has no build site.
        """
        key = site.image_key(request, self._place)
        with self._lock:
            now = self._asked[key] = self._clock()
            if key in self._claimed:
                message = "an image of it that nothing used is being removed; then it is made anew"
                return ImageState("building", now, message=message)
            job = self._jobs.ensure(key, lambda: self._build(request, key, source))
        if job.result:
            return ImageState("ready", job.since, job.result)
        if job.error:
            return ImageState("failed", job.since, error=job.error)
        return ImageState("building", job.since, message=self._messages.get(key, ""))

    def forget(self, request: EnvironmentRequest) -> None:
        """Forget a failed build, so that the next `ensure` tries again."""
        self._jobs.forget(site.image_key(request, self._place))

    def requested_at(self, key: str) -> float:
        """Return when an image was last requested here, in seconds since the epoch; 0 if never."""
        return self._asked.get(key, 0.0)

    def building(self, key: str) -> bool:
        """Decide whether this Deployer is building an image."""
        job = self._jobs.peek(key)
        return job is not None and job.phase == "running"

    def claim(self, keys: Iterable[str], unasked_since: float) -> set[str]:
        """Claim the images that are neither being built nor requested since that time.

        `ensure` gives out no claimed image until `release`.

        Args:
            keys: The keys of images, as `site.image_key` makes them.
            unasked_since: Seconds since the epoch.
        """
        with self._lock:
            claimed = {
                key
                for key in keys
                if not self.building(key) and self.requested_at(key) <= unasked_since
            }
            self._claimed |= claimed
            return claimed

    def release(self, keys: Iterable[str]) -> None:
        """End a claim, so that the next `ensure` of an image reads the cluster anew."""
        with self._lock:
            for key in keys:
                self._jobs.forget(key)
                self._claimed.discard(key)

    def close(self) -> None:
        """End background work; the next Deployer finds the Jobs that still run."""
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
        self._messages[key] = "it waits for a node"
        try:
            while True:
                ended = self._look(name, key)
                if ended:
                    return self._end(request, name, ended)
                self._pause()
        finally:
            self._messages.pop(key, None)

    def _begin(
        self, request: EnvironmentRequest, known: dict[str, Any] | None, source: str
    ) -> None:
        """Create the objects of a build; delete a failed Job first, for another try."""
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
        elif known.get("data") != asked["data"]:  # the lock or the earlier image is newer by now
            self._client.replace({**known, "data": asked["data"]})
        if job is None:
            self._make(buildjob.job(request, self._place, source))

    def _await_removal(self, removal: str, known: dict[str, Any]) -> None:
        """Wait for a removal by another Deployer, and delete the image's ConfigMap likewise."""
        namespace, meta = self._place.namespace, known["metadata"]
        while (job := self._client.find(JOB, namespace, removal)) and not results.ended(job):
            self._pause()
        self._client.delete(CONFIG_MAP, namespace, meta["name"], uid=meta["uid"])

    def _before(self, request: EnvironmentRequest) -> str:
        """Find an image with the same Python environment, perhaps on another server image."""
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
        except AlreadyExists:
            return  # another Deployer was faster

    def _look(self, name: str, key: str) -> dict[str, Any] | None:
        """Return a Job that ended; of a running Job, keep the message and return None."""
        namespace = self._place.namespace
        job = self._client.find(JOB, namespace, name)
        if job is None:
            raise EnvironmentUnbuildable(
                "The Job that builds the environment was deleted before it ended.",
                "It is started again automatically.",
                transient=True,
            )
        if results.ended(job):
            return job
        pod = results.pod_of(self._client, namespace, name)
        if pod is None:
            return None
        if pod.get("status", {}).get("phase") == "Pending":
            self._messages[key] = results.pending(pod)
            return None
        try:
            lines = self._client.pods.logs(namespace, pod["metadata"]["name"], lines=LOG_LINES)
        except Missing:
            return None
        written = [line for line in lines.splitlines() if line.strip()]
        self._messages[key] = written[-1].strip() if written else ""
        return None

    def _end(self, request: EnvironmentRequest, name: str, job: dict[str, Any]) -> BuiltImage:
        """Keep the result of a Job that ended in its ConfigMap, or raise its failure."""
        namespace = self._place.namespace
        pod = results.pod_of(self._client, namespace, name)
        result = results.termination_message(pod)
        if results.condition(job, "Failed") or "image" not in result:
            raise results.failure(job, pod, self._place)
        log = (
            self._client.pods.logs(namespace, pod["metadata"]["name"], lines=100_000) if pod else ""
        )
        found = _LOCK.search(log)
        if found and hashlib.sha256(found["text"].encode()).hexdigest() == result.get("lock"):
            self._make(buildjob.lock_map(request, self._place, found["text"]))
        kept = ("image", "lock", "python", "bytes")
        data = {key: str(result[key]) for key in kept if key in result}
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
