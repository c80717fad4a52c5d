"""Track the preparation of predictors: its phase, since when, and a failure until a retry.

Only the rollout decides when a predictor is tried again. An attempt begins with the first `ensure`
of a predictor, or the first after `forget`: it retries work that failed in an earlier attempt, be
it that of another predictor with the same files or the same Python environment.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from deployer.artifacts.requirements import EnvironmentRequest
from deployer.errors import RuntimeUnavailable, VersionFailure
from deployer.state.predictor import Phase, Predictor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """The phase of a preparation, since when, in seconds since the epoch, and any failure."""

    phase: Phase
    since: float
    error: VersionFailure | None = field(default=None, kw_only=True)


P = TypeVar("P", bound=Progress)


class Preparing(ABC, Generic[P]):
    """The preparations of all predictors: the request for a Python environment, and the progress.

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
        """Begin missing work and return the progress at once."""
        attempt_begins = predictor.name not in self._seen
        prepared = self._advance(predictor)
        failed = prepared.error
        if attempt_begins and failed and not isinstance(failed, RuntimeUnavailable):
            self._retry(predictor, self._requests.get(predictor.name))
            prepared = self._advance(predictor)
        with self._lock:
            before = self._seen.get(predictor.name)
            if before and before.phase is prepared.phase:
                prepared = replace(prepared, since=before.since)
            self._seen[predictor.name] = prepared
        return prepared

    def peek(self, name: str) -> P | None:
        """Return the progress at the last `ensure`; None before the first."""
        return self._seen.get(name)

    def forget(self, predictor: Predictor) -> None:
        """Forget a predictor, so that its next `ensure` is another attempt."""
        with self._lock:
            self._seen.pop(predictor.name, None)
            self._requests.pop(predictor.name, None)

    def _request(self, predictor: Predictor, folder: Path) -> EnvironmentRequest:
        """Read a predictor's request for a Python environment, once, from a folder with its files.

        Raises:
            VersionFailure: The Python environment cannot be built.
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
        """Describe how the Python environment differs from the request.

        Args:
            request: The request of the model.
            built: The version of Python that was built.
        """
        python = ""
        if request.python not in (built, request.python_minor):
            python = f"Python {built} serves; the model was logged with {request.python}."
        return " ".join(note for note in (python, *request.notes) if note)

    @staticmethod
    def _blamed(error: VersionFailure, request: EnvironmentRequest) -> VersionFailure:
        """Add the omitted requirements to a build failure, because they may have caused it."""
        if not request.notes:
            return error
        message = " ".join((error.message, *request.notes))
        return type(error)(message, error.hint, transient=error.transient)

    @abstractmethod
    def _advance(self, predictor: Predictor) -> P:
        """Begin missing work and return the progress, with any `since`."""

    @abstractmethod
    def _retry(self, predictor: Predictor, request: EnvironmentRequest | None) -> None:
        """Drop failed work, so that the next `_advance` begins it anew."""
