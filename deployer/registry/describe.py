"""Read the artifact location and serving.yaml of the winning version, once for each version.

Jobs in the background read, because MLflow or the store of artifacts may be slow or hang. A pass
starts the reading and goes on without the description; the end of the reading wakes the deployment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from deployer.background.jobs import Jobs
from deployer.desired import promotions
from deployer.errors import NotFound, SchnitzelError, SpecInvalid, VersionFailure, reason_of
from deployer.registry.snapshot import Registry
from deployer.spec.resolve import parse_serving_file
from deployer.state.record import Description, Failure, Promotion, Record
from deployer.state.registry import ModelVersion, RegistrySnapshot

PARALLEL: Final = 8
HANG_SECONDS: Final = 30.0
RETRY_SECONDS: Final = (1.0, 15.0)
"""Before the first retry, and the most before a later one: a retry is two small requests."""

ReadFile = Callable[[str, str, Callable[[], bool]], bytes | None]
"""Reads one small file of an artifact, given its source, its name, and whether to stop."""


class Descriptions:
    """A reader of artifact locations and serving.yaml files.

    Args:
        registry: Resolves a version to the location of its files.
        read_file: Reads one small file of an artifact.
        changed: Called with the id of a deployment when the reading for it has ended.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        registry: Registry,
        read_file: ReadFile,
        changed: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._registry = registry
        self._read_file = read_file
        self._changed = changed
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[str, str] = {}
        self._again: set[str] = set()
        self._jobs: Jobs[Description] = Jobs(
            "descriptions",
            PARALLEL,
            clock,
            ended=self._ended,
            retry=RETRY_SECONDS,
            patience=HANG_SECONDS,
        )

    def read(
        self, record: Record, snapshot: RegistrySnapshot, now: float, wait: float = 0.0
    ) -> tuple[Record, Failure | None]:
        """Add the winner's description to the record and drop descriptions no longer needed.

        The first call starts the reading, and later calls find its result, which is kept until it
        is in a record on disk.

        Args:
            record: The record with the promotions.
            snapshot: The registry as last read.
            now: Seconds since the epoch.
            wait: Seconds to wait for the reading; 0 in a pass.

        Returns:
            The record, and the failure if the description could not be read; it is retried.
        """
        promotion = promotions.winner(record.promotions)
        keep = {m.version.key for m in record.promotions}
        known = {k: d for k, d in record.descriptions.items() if k in keep}
        record = replace(record, descriptions=known)
        there = known.get(promotion.version.key) if promotion else None
        if promotion is None or (there and record.id not in self._again):
            self._ask(record.id, "")
            return record, None
        version = _find(snapshot, promotion)
        if version is None:
            return record, None
        key = f"{record.id} {version.id.key}"
        self._ask(record.id, key)
        job = self._jobs.ensure(key, partial(self._describe, version))
        if wait and job.phase == "running":
            self._jobs.wait(key, wait)
            job = self._jobs.peek(key) or job
        if job.result is None:
            failed = None if there else job.failed
            return record, _failure(failed, job.retry_at or now, now) if failed else None
        if job.result == there:  # read again for an operator, and on disk
            self._ask(record.id, "")
        return replace(record, descriptions={**known, promotion.version.key: job.result}), None

    def forget(self, deployment: str) -> None:
        """Read the description of a deployment again, for an operator; the known one holds on."""
        with self._lock:
            self._again.add(deployment)
            self._jobs.forget(self._asked.get(deployment, ""))

    def close(self) -> None:
        """Stop reading."""
        self._jobs.close()

    def _ask(self, deployment: str, key: str) -> None:
        """Note the one reading that a deployment needs, "" for none, and drop any other."""
        with self._lock:
            before = self._asked.get(deployment, "")
            if not key:
                self._again.discard(deployment)
                self._asked.pop(deployment, None)
            else:
                self._asked[deployment] = key
            if before != key:
                self._jobs.forget(before)

    def _ended(self, key: str) -> None:
        deployment = key.partition(" ")[0]
        with self._lock:
            if self._asked.get(deployment) != key:
                self._jobs.forget(key)
                return
        self._changed(deployment)

    def _describe(self, version: ModelVersion) -> Description:
        try:
            return self._registry.describe(version, self._serving_file)
        except SpecInvalid as error:
            return Description(version.source, None, error.message, error.hint)
        except SchnitzelError as error:  # whatever it is: its cause may go away
            raise VersionFailure(error.message, error.hint, transient=True) from error

    def _serving_file(self, source: str) -> Mapping[str, Any] | None:
        text = self._read_file(source, "serving.yaml", self._jobs.stopping.is_set)
        return parse_serving_file(text) if text is not None else None


def _failure(error: VersionFailure, retry_at: float, now: float) -> Failure | None:
    """Return the failure to show; None for a version that was deleted, as a poll will show."""
    cause = error.__cause__
    if isinstance(cause, NotFound):
        return None
    reason = reason_of(cause if isinstance(cause, SchnitzelError) else error)
    return Failure(reason, error.message, error.hint, now, retry_at=retry_at)


def _find(snapshot: RegistrySnapshot, promotion: Promotion) -> ModelVersion | None:
    model = snapshot.models.get(promotion.version.model)
    return next((v for v in model.versions if v.id == promotion.version), None) if model else None
