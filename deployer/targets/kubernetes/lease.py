"""In: a Lease object's name and who we are. Out: whether we may write now.

One of several Deployers holds the Lease; the others wait for it. As in client-go, no clock of
another machine is trusted: a Lease counts as abandoned when *we* have seen it unchanged for as
long as it lasts. And we hold it only for as long as our own clock says, counted from before our
last renewal was sent: a process that was stopped for a while finds on its next look that it does
not hold it, whatever its threads have got round to.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from datetime import UTC, datetime
from typing import Any, Final

from deployer.targets.kubernetes.client.client import Client, Object
from deployer.targets.kubernetes.client.errors import ApiError, Exists, Unavailable
from deployer.targets.kubernetes.client.kinds import LEASE

log = logging.getLogger(__name__)

LASTS: Final = 10.0
"""Seconds after which others may take a Lease that is not renewed."""

RENEW_WITHIN: Final = 7.0
"""Seconds after which we count it as lost; so long before others may take it."""

EVERY: Final = 2.0
"""Seconds between renewals, or looks at another's; it is taken over within LASTS + 1.2 EVERY."""


TIMEOUT: Final = 2.5
"""Seconds for one request; two fit into RENEW_WITHIN."""

_JITTER: Final = random.Random()  # noqa: S311 - no secret
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LeaseNotHeld(Unavailable):
    """Another Deployer acts now, or may; nothing was written."""

    reason = "LeaseNotHeld"


class Lease:
    """One Lease; `start` begins to try for it.

    Args:
        client: not guarded by this Lease itself.
        namespace: where the Lease is.
        name: the Lease's name.
        identity: who we are; no two processes have the same.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
    ) -> None:
        self._client = client.hurried(TIMEOUT)
        self._namespace, self._name, self.identity = namespace, name, identity
        self._renewed_at: float | None = None
        self._seen: tuple[str, float] = ("", 0.0)
        self._told = self._moved = False
        self._holder = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease-{name}", daemon=True)

    @property
    def holder(self) -> str:
        """Who holds it, as last seen; empty if nobody does."""
        return self._holder

    @property
    def taken(self) -> bool:
        """Whether another Deployer holds it, and was seen to take or renew it: it is alive."""
        return self._holder not in ("", self.identity) and self._moved and not self.held()

    def held(self) -> bool:
        """Whether we may write now."""
        renewed_at = self._renewed_at
        return renewed_at is not None and clock() - renewed_at < RENEW_WITHIN

    def guard(self) -> None:
        """To be called before each write. Raises: LeaseNotHeld."""
        if not self.held():
            other = f": {self._holder} does" if self._holder not in ("", self.identity) else ""
            raise LeaseNotHeld(
                f"This Deployer does not hold the Lease {self._namespace}/{self._name}{other}.",
                f"kubectl -n {self._namespace} get lease {self._name}",
            )

    def start(self) -> None:
        """Begin to try for it, and to keep it."""
        self._thread.start()

    def close(self, seconds: float = 3.0) -> None:
        """Give it back, so that another takes over at once."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._tell()  # after a long stop it was lost, even if it is ours again in a moment
            try:
                self._try()
            except ApiError as error:
                log.debug("The Lease %s: %s", self._name, error)
            except Exception:
                log.exception("The Lease %s", self._name)
            self._tell()
            self._closed.wait(EVERY * _JITTER.uniform(0.8, 1.2))
        try:
            self._release()
        except ApiError as error:
            log.info("The Lease %s was not given back: %s", self._name, error)
        self._tell()

    def _try(self) -> None:
        """Renew it, take it, or see that somebody else has it."""
        began = clock()
        found = self._client.find(LEASE, self._namespace, self._name)
        if found is None:
            self._make(began)
            return
        spec = found.get("spec") or {}
        self._holder = spec.get("holderIdentity") or ""
        version = found["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._moved = bool(self._seen[0])  # at first sight its holder may be long gone
            self._seen = (version, began)
        ours = self._holder == self.identity
        lasts = float(spec.get("leaseDurationSeconds") or LASTS)
        if self._holder and not ours and began - self._seen[1] < lasts:
            self._renewed_at = None
            return
        turns = int(spec.get("leaseTransitions") or 0)
        spec |= self._spec(turns if ours else turns + 1)
        spec |= {} if ours else {"acquireTime": _now()}
        # Replaced on condition that it is as it was read: of two that try, one succeeds.
        self._note(self._client.replace(found | {"spec": spec}), began)

    def _make(self, began: float) -> None:
        meta = {"namespace": self._namespace, "name": self._name}
        made = {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": meta}
        spec = self._spec(0) | {"acquireTime": _now()}
        try:
            answer = self._client.create(made | {"spec": spec})
        except Exists:
            return  # another was quicker: seen at the next look
        self._note(answer, began)

    def _note(self, answer: Object, began: float) -> None:
        self._seen = (answer["metadata"]["resourceVersion"], began)
        self._holder = self.identity
        self._renewed_at = began

    def _release(self) -> None:
        if not self.held():
            return
        self._renewed_at = None
        found = self._client.find(LEASE, self._namespace, self._name)
        spec = (found or {}).get("spec") or {}
        if found and spec.get("holderIdentity") == self.identity:
            spec |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
            self._client.replace(found | {"spec": spec})

    def _tell(self) -> None:
        held = self.held()
        if held != self._told:
            self._told = held
            log.info("The Lease %s is %s.", self._name, "ours" if held else "not ours")

    def _spec(self, turns: int) -> dict[str, Any]:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(LASTS),
            "leaseTransitions": turns,
            "renewTime": _now(),
        }


def clock() -> float:
    """Seconds that never go back, and go on while the machine sleeps or the process is stopped."""
    return time.clock_gettime(_CLOCK)


def _now() -> str:
    """The time for people to read; nothing is concluded from it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
