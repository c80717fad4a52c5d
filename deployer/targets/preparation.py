"""In: a predictor. Out: how far what it needs is, since when; a failure, until it is forgotten."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from deployer.artifacts.requirements import EnvironmentRequest
from deployer.errors import VersionFailure
from deployer.state.deployment import Phase, Predictor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where it is, and since when, in seconds since the epoch."""

    phase: Phase
    since: float


P = TypeVar("P", bound=Progress)


class Preparing(ABC, Generic[P]):
    """Remembers, for each predictor, what it asks of its environment and how far that was.

    Args:
        clock: Seconds since the epoch.
        indexes: Package indexes that models' requirements may name.
    """

    def __init__(self, clock: Callable[[], float], indexes: Collection[str] = ()) -> None:
        self._clock = clock
        self._indexes = indexes
        self._requests: dict[str, EnvironmentRequest] = {}
        self._seen: dict[str, P] = {}
        self._lock = threading.Lock()

    def ensure(self, predictor: Predictor) -> P:
        """Begin what is missing and say how far it is; returns at once."""
        prepared = self._look(predictor)
        with self._lock:
            before = self._seen.get(predictor.name)
            if before and before.phase is prepared.phase:
                prepared = replace(prepared, since=before.since)
            self._seen[predictor.name] = prepared
        return prepared

    def seen(self, name: str) -> P | None:
        """How far it was at the last look; None if nobody asked for it yet."""
        return self._seen.get(name)

    def forget(self, predictor: Predictor) -> None:
        """Let failures be tried again."""
        with self._lock:
            before = self._seen.pop(predictor.name, None)
            request = self._requests.pop(predictor.name, None)
        if before and before.phase is Phase.FAILED:
            self._retry(predictor, request)

    def _request(self, predictor: Predictor, folder: Path) -> EnvironmentRequest:
        """What it asks of its environment, read once from a folder with its files.

        Raises:
            VersionFailure: It cannot be built.
        """
        request = self._requests.get(predictor.name)
        if request is None:
            request = EnvironmentRequest.read(folder, self._indexes)
            self._requests[predictor.name] = request
            for note in request.notes:
                log.warning("%s: %s", predictor.name, note)
        return request

    @staticmethod
    def _note(request: EnvironmentRequest, built: str) -> str:
        """What differs from what the model asked for; `built`: the version of the Python."""
        python = ""
        if request.python not in (built, request.minor):
            python = f"Python {built} serves; the model was logged with {request.python}."
        return " ".join(note for note in (python, *request.notes) if note)

    @staticmethod
    def _blamed(error: VersionFailure, request: EnvironmentRequest) -> VersionFailure:
        """A failed build, and what of the requirements was left out: it may be why."""
        if not request.notes:
            return error
        message = " ".join((error.message, *request.notes))
        return type(error)(message, error.hint, transient=error.transient)

    @abstractmethod
    def _look(self, predictor: Predictor) -> P:
        """Begin what is missing and say how far it is, whenever it began."""

    @abstractmethod
    def _retry(self, predictor: Predictor, request: EnvironmentRequest | None) -> None:
        """Have what failed begun anew when it is next asked for."""
