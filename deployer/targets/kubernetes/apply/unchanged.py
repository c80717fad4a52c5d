"""In: a deployment that was found as wanted. Out: whether it still is, by a look at fingerprints.

What is noted is a fact about inputs and objects, and stays true however old it is: made of these
inputs, compared with these very objects, nothing was to be done. So it may outlive the process:
after a restart nothing is rendered but what changed meanwhile. Nothing depends on its being kept.
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
"""Notes that are kept at once, in one transaction."""

WAIT_SECONDS: Final = 5.0
"""How long a note may wait for others."""


class Unchanged:
    """Remembers what was found as wanted, so that a look at ten thousand deployments is quick.

    Args:
        cluster: the cluster's name, in platform.yaml.
        memory: where it is kept; None: it is forgotten with the process.
        there: the ids of all deployments of which anything is there; asked once, when what was
            kept is read, so that what went while no Deployer ran is not kept for ever.
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
        self._unkept: dict[str, str | None] = {}
        self._since = 0.0

    def holds(self, deployment: str, inputs: str, live: Iterable[LiveObject]) -> bool:
        """Whether neither what is wanted nor any object has changed since `note`.

        Args:
            deployment: its id.
            inputs: a digest of all that the manifests are made from.
            live: its objects now.
        """
        with self._lock:
            noted = self._all().get(deployment)
            self._keep_if_due()
        return noted == _print(inputs, live)

    def note(self, deployment: str, inputs: str, live: Iterable[LiveObject]) -> None:
        """Everything was found as wanted: nothing was to be written or deleted."""
        self._set(deployment, _print(inputs, live))

    def forget(self, deployment: str) -> None:
        """It has gone."""
        if self._known is not None:  # else it is not among those there when they are read
            self._set(deployment, None)

    def close(self) -> None:
        """Keep what waits to be kept."""
        with self._lock:
            self._keep()

    def _set(self, deployment: str, to: str | None) -> None:
        with self._lock:
            known = self._all()
            if known.get(deployment) == to:
                return
            if to is None:
                del known[deployment]
            else:
                known[deployment] = to
            self._wait_to_keep({deployment: to})
            self._keep_if_due()

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
            self._wait_to_keep(dict.fromkeys(gone))
        return self._known

    def _gone(self, known: Collection[str]) -> set[str]:
        if self._there and known:
            with suppress(ApiError):  # a part of the cluster cannot be seen now
                return set(known) - set(self._there())
        return set()

    def _wait_to_keep(self, changes: dict[str, str | None]) -> None:
        if self._memory is None:
            return
        if not self._unkept:
            self._since = time.monotonic()
        self._unkept |= changes

    def _keep_if_due(self) -> None:
        waited = time.monotonic() - self._since
        if len(self._unkept) >= BATCH or (self._unkept and waited >= WAIT_SECONDS):
            self._keep()

    def _keep(self) -> None:
        changes, self._unkept = self._unkept, {}
        if self._memory and changes:
            try:
                self._memory.set_all({self._prefix + key: to for key, to in changes.items()})
            except Exception:
                log.warning("%d notes of what is as wanted are lost.", len(changes), exc_info=True)


def _print(inputs: str, live: Iterable[LiveObject]) -> str:
    """32 hex digits, the same in every process; pods and our own record do not count."""
    found = hashlib.blake2b(inputs.encode(), digest_size=16)
    for each in sorted(o.fingerprint for o in live if o.kind not in (POD, MODEL_DEPLOYMENT)):
        found.update(b"\0" + each)
    return found.hexdigest()
