"""Remember deployments that needed no change, and recognize them by fingerprints.

A note is a fact about inputs and objects, and stays true however old it is: with these inputs and
these very objects, there was nothing to do. So a note may outlive the process: after a restart the
Deployer renders only deployments that changed meanwhile. Correctness does not depend on the notes.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Final

from deployer.targets.kubernetes.cache.objects import LiveObject
from deployer.targets.kubernetes.client.errors import ApiError
from deployer.targets.kubernetes.client.kinds import MODEL_DEPLOYMENT, POD
from deployer.targets.kubernetes.records.deletions import Memory

log = logging.getLogger(__name__)

BATCH: Final = 1000
"""Notes that are written at once, in one transaction."""

WAIT_SECONDS: Final = 5.0
"""How long a note may wait for others."""


class Unchanged:
    """The notes on unchanged deployments, which make a pass over ten thousand deployments quick.

    Args:
        cluster: The cluster's name in platform.yaml.
        memory: Keeps the notes; None: the notes end with the process.
        there: Returns the ids of all deployments with an object; called once, when the notes are
            read, so that notes on deployments that went while no Deployer ran are dropped.
    """

    def __init__(
        self,
        cluster: str = "",
        memory: Memory | None = None,
        there: Callable[[], Collection[str]] | None = None,
    ) -> None:
        self._prefix = f"steady/{cluster}/"
        self._memory = memory
        self._there = there
        self._lock = threading.Lock()
        self._known: dict[str, str] | None = None
        self._pending: dict[str, str | None] = {}
        self._since = 0.0

    def holds(self, deployment: str, inputs: str, live: Iterable[LiveObject]) -> bool:
        """Decide whether neither the inputs nor any object has changed since `note`.

        Args:
            deployment: The deployment's id.
            inputs: A digest of all inputs of the manifests.
            live: Its live objects.
        """
        with self._lock:
            noted = self._all().get(deployment)
            self._flush_if_due()
        return noted == _print(inputs, live)

    def note(self, deployment: str, inputs: str, live: Iterable[LiveObject]) -> None:
        """Note that a deployment needed no write and no deletion."""
        self._set(deployment, _print(inputs, live))

    def forget(self, deployment: str) -> None:
        """Drop the note on a deployment that has gone."""
        if self._known is not None:  # else the first read of the notes drops it
            self._set(deployment, None)

    def close(self) -> None:
        """Write the pending notes."""
        with self._lock:
            self._flush()

    def _set(self, deployment: str, to: str | None) -> None:
        with self._lock:
            known = self._all()
            if known.get(deployment) == to:
                return
            if to is None:
                del known[deployment]
            else:
                known[deployment] = to
            self._enqueue({deployment: to})
            self._flush_if_due()

    def _all(self) -> dict[str, str]:
        if self._known is None:
            try:
                kept = self._memory.get_all(self._prefix) if self._memory else {}
            except Exception:
                log.warning("Every deployment is rendered once, to be compared.", exc_info=True)
                kept = {}
            known = {name.removeprefix(self._prefix): to for name, to in kept.items()}
            gone = self._gone(known)
            self._known = {key: to for key, to in known.items() if key not in gone}
            self._enqueue(dict.fromkeys(gone))
        return self._known

    def _gone(self, known: Collection[str]) -> set[str]:
        if self._there and known:
            with suppress(ApiError):  # a part of the cluster cannot be read now
                return set(known) - set(self._there())
        return set()

    def _enqueue(self, changes: dict[str, str | None]) -> None:
        if self._memory is None:
            return
        if not self._pending:
            self._since = time.monotonic()
        self._pending |= changes

    def _flush_if_due(self) -> None:
        waited = time.monotonic() - self._since
        if len(self._pending) >= BATCH or (self._pending and waited >= WAIT_SECONDS):
            self._flush()

    def _flush(self) -> None:
        changes, self._pending = self._pending, {}
        if self._memory and changes:
            try:
                self._memory.set_all({self._prefix + key: to for key, to in changes.items()})
            except Exception:
                log.warning("%d notes of what is as wanted are lost.", len(changes), exc_info=True)


def _print(inputs: str, live: Iterable[LiveObject]) -> str:
    """Hash inputs and objects, without pods and the ModelDeployment, to 32 stable hex digits."""
    found = hashlib.blake2b(inputs.encode(), digest_size=16)
    for each in sorted(o.fingerprint for o in live if o.kind not in (POD, MODEL_DEPLOYMENT)):
        found.update(b"\0" + each)
    return found.hexdigest()
