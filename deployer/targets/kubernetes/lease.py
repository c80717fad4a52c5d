"""Elect the one Deployer that may write to a cluster, by a Lease.

One of several Deployers holds the Lease; the others wait for it. As in client-go, a Deployer trusts
no clock of another machine: a Lease counts as abandoned when *this* Deployer has seen it unchanged
for the duration of the Lease. And the holder counts the Lease as held only by its own clock, from
before it sent the last renewal: a process that was stopped for a while finds at the next check that
it does not hold the Lease, whatever its threads have done since.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from datetime import UTC, datetime
from typing import Any, Final

from deployer.targets.kubernetes.client.client import Client, Object
from deployer.targets.kubernetes.client.errors import AlreadyExists, ApiError, Unavailable
from deployer.targets.kubernetes.client.kinds import LEASE

log = logging.getLogger(__name__)

LASTS: Final = 10.0
"""Seconds after which other Deployers may take a Lease that is not renewed."""

RENEW_WITHIN: Final = 7.0
"""Seconds after which the holder counts the Lease as lost, well before others may take it."""

EVERY: Final = 2.0
"""Seconds between two renewals, or two reads of another's Lease; a takeover takes at most
LASTS + 1.2 EVERY."""

TIMEOUT: Final = 2.5
"""Seconds for one request; two fit into RENEW_WITHIN."""

_JITTER: Final = random.Random()  # noqa: S311 - no secret
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LeaseNotHeld(Unavailable):
    """Another Deployer holds the Lease, or may; nothing was written."""

    reason = "LeaseNotHeld"


class LeaseNotRenewed(LeaseNotHeld):
    """The cluster does not answer, so that this Deployer cannot renew its Lease."""

    reason = Unavailable.reason


class Lease:
    """One Lease; `start` begins to acquire it.

    Args:
        client: The cluster; not guarded by this Lease.
        namespace: The Lease's namespace.
        name: The Lease's name.
        identity: The identity of this process; no two processes have the same.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
    ) -> None:
        self._client = client.with_timeout(TIMEOUT)
        self._namespace, self._name, self.identity = namespace, name, identity
        self._renewed_at: float | None = None
        self._seen: tuple[str, float] = ("", 0.0)
        self._logged_held = self._renewal_seen = False
        self._holder = ""
        self._problem: ApiError | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lease-{name}", daemon=True)

    @property
    def holder(self) -> str:
        """The identity of the holder, as last seen; empty without a holder."""
        return self._holder

    @property
    def held_by_other(self) -> bool:
        """Whether another, live Deployer holds the Lease: one that was seen to take or renew it."""
        other = self._holder not in ("", self.identity)
        return other and self._renewal_seen and not self.held()

    def held(self) -> bool:
        """Decide whether this Deployer may write now."""
        renewed_at = self._renewed_at
        return renewed_at is not None and clock() - renewed_at < RENEW_WITHIN

    def raise_if_not_held(self) -> None:
        """Refuse a write without the Lease; call it before each write.

        Raises:
            LeaseNotHeld: Another Deployer holds the Lease, or may.
            LeaseNotRenewed: The cluster does not answer.
        """
        if self.held():
            return
        name, problem = f"{self._namespace}/{self._name}", self._problem
        hint = f"kubectl -n {self._namespace} get lease {self._name}"
        if self._holder not in ("", self.identity):
            message = f"This Deployer does not hold the Lease {name}: {self._holder} does."
            raise LeaseNotHeld(message, hint)
        if isinstance(problem, Unavailable):
            message = f"This Deployer cannot renew its Lease {name}: {problem.message}"
            raise LeaseNotRenewed(message, problem.hint or hint)
        raise LeaseNotHeld(f"This Deployer does not hold the Lease {name}.", hint)

    def start(self) -> None:
        """Begin to acquire and renew the Lease."""
        self._thread.start()

    def close(self, seconds: float = 3.0) -> None:
        """Release the Lease, so that another Deployer takes over at once."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._log_change()  # a long stop lost the Lease, even if it is ours again in a moment
            try:
                self._try()
                self._problem = None
            except ApiError as error:
                self._problem = error
                log.debug("The Lease %s: %s", self._name, error)
            except Exception:
                log.exception("The Lease %s", self._name)
            self._log_change()
            self._closed.wait(EVERY * _JITTER.uniform(0.8, 1.2))
        try:
            self._release()
        except ApiError as error:
            log.info("The Lease %s was not given back: %s", self._name, error)
        self._log_change()

    def _try(self) -> None:
        """Renew the Lease, take it, or note its other holder."""
        began = clock()
        found = self._client.find(LEASE, self._namespace, self._name)
        if found is None:
            self._make(began)
            return
        spec = found.get("spec") or {}
        self._holder = spec.get("holderIdentity") or ""
        version = found["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._renewal_seen = bool(self._seen[0])  # at first sight the holder may be long gone
            self._seen = (version, began)
        ours = self._holder == self.identity
        lasts = float(spec.get("leaseDurationSeconds") or LASTS)
        if self._holder and not ours and began - self._seen[1] < lasts:
            self._renewed_at = None
            return
        transitions = int(spec.get("leaseTransitions") or 0)
        spec |= self._spec(transitions if ours else transitions + 1)
        spec |= {} if ours else {"acquireTime": _now()}
        # The replace requires the Lease as it was read: of two Deployers that try, one succeeds.
        self._note(self._client.replace(found | {"spec": spec}), began)

    def _make(self, began: float) -> None:
        meta = {"namespace": self._namespace, "name": self._name}
        made = {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": meta}
        spec = self._spec(0) | {"acquireTime": _now()}
        try:
            answer = self._client.create(made | {"spec": spec})
        except AlreadyExists:
            return  # another Deployer was quicker: the next round sees its Lease
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

    def _log_change(self) -> None:
        held = self.held()
        if held != self._logged_held:
            self._logged_held = held
            log.info("The Lease %s is %s.", self._name, "ours" if held else "not ours")

    def _spec(self, transitions: int) -> dict[str, Any]:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(LASTS),
            "leaseTransitions": transitions,
            "renewTime": _now(),
        }


def clock() -> float:
    """Return seconds that never go back, and that count while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


def _now() -> str:
    """Return the time for operators to read; the Deployer concludes nothing from it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
