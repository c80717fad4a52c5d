"""In: a predictor. Out: the image that its pods run, begun and observed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from deployer.background import Job
from deployer.errors import VersionFailure
from deployer.requirements import EnvironmentRequest
from deployer.state import Phase, Predictor
from deployer.targets.kubernetes.imagebuilds import ImageBuilds
from deployer.targets.kubernetes.smallfiles import SmallFiles


@dataclass(frozen=True, slots=True)
class Prepared:
    """How far a predictor is before its pods can be made. READY: `image` names what they run."""

    phase: Phase
    since: float
    image: str = ""
    note: str = ""
    message: str = ""
    error: VersionFailure | None = None


class Preparation:
    """Finds out what predictors need and has it built, each once, in the background.

    Args:
        files: Reads what a version says of its packages.
        builds: Builds environments as images.
        clock: Seconds since the epoch.
    """

    def __init__(self, files: SmallFiles, builds: ImageBuilds, clock: Callable[[], float]) -> None:
        self._files = files
        self._builds = builds
        self._clock = clock
        self._requests: dict[str, EnvironmentRequest] = {}
        self._seen: dict[str, Prepared] = {}
        self._lock = threading.Lock()

    def ensure(self, predictor: Predictor) -> Prepared:
        """Begin what is missing and say how far it is; returns at once."""
        prepared = self._look(predictor)
        with self._lock:
            before = self._seen.get(predictor.name)
            if before and before.phase is prepared.phase:
                prepared = replace(prepared, since=before.since)
            self._seen[predictor.name] = prepared
        return prepared

    def files(self, predictor: Predictor) -> Job[Path]:
        """The folder with a predictor's small files, its example among them, begun and observed."""
        return self._files.ensure(predictor)

    def seen(self, name: str) -> Prepared | None:
        """How far it was at the last look; None if nobody asked for it yet."""
        return self._seen.get(name)

    def forget(self, predictor: Predictor) -> None:
        """Let failures be tried again."""
        with self._lock:
            before = self._seen.pop(predictor.name, None)
            request = self._requests.pop(predictor.name, None)
        if before and before.phase is Phase.FAILED:
            self._files.forget(predictor)
            if request:
                self._builds.forget(request)

    def close(self) -> None:
        """End what is under way here; what a cluster builds goes on."""
        self._builds.close()
        self._files.close()

    def _look(self, predictor: Predictor) -> Prepared:
        now = self._clock()
        if predictor.spec.get("image"):
            return Prepared(Phase.READY, now, str(predictor.spec["image"]))
        fetched = self._files.ensure(predictor)
        if fetched.error:
            return Prepared(Phase.FAILED, now, error=fetched.error)
        if fetched.result is None:
            return Prepared(Phase.BUILDING, now, message="its requirements are read")
        try:
            request = self._requests.get(predictor.name)
            if request is None:
                request = EnvironmentRequest.read(fetched.result)
                self._requests[predictor.name] = request
            image = self._builds.ensure(request)
        except VersionFailure as error:
            return Prepared(Phase.FAILED, now, error=error)
        if image.error:
            return Prepared(Phase.FAILED, now, error=image.error)
        if image.built is None:
            return Prepared(Phase.BUILDING, now, message=image.message)
        note = ""
        if request.python not in (image.built.python, request.minor):
            note = (
                f"Python {image.built.python} serves; the model was logged with {request.python}."
            )
        return Prepared(Phase.READY, now, image.built.image, note)
