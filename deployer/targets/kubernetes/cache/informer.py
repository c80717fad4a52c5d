"""In: one kind in one namespace. Out: a store kept as the API server has it: list, then watch.

A thread for each. A watch that ends, breaks off or is too old is taken up again: from where it
was, or by a new listing; with jittered backoff after trouble. Each watch is ended by the server
after less than a minute, with a bookmark, so that silence never goes unnoticed for long.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import AbstractContextManager
from typing import Final

from deployer.targets.kubernetes.cache.objects import Key, Packer
from deployer.targets.kubernetes.cache.store import Store
from deployer.targets.kubernetes.client.client import Client, Object
from deployer.targets.kubernetes.client.errors import ApiError, Gone, Restored, Unavailable
from deployer.targets.kubernetes.client.kinds import Kind
from deployer.targets.kubernetes.client.stream import Stream

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = (30, 45)
BACKOFF: Final = (0.5, 30.0)
_JITTER: Final = random.Random()  # noqa: S311 - no secret


class Informer:
    """Keeps all objects of one kind, in one namespace (empty: all), with these labels.

    Args:
        client: reads.
        store: keeps.
        kind: what to watch.
        namespace: where.
        labels: a label selector.
        turn: entered for each listing, so that not all are made at once.

    Attributes:
        problem: why it could not list or watch the last time it tried; None while it can.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        kind: Kind,
        namespace: str,
        labels: str,
        turn: AbstractContextManager[object],
    ) -> None:
        self._turn = turn
        self.kind = kind
        self.namespace = namespace
        self.problem: ApiError | None = None
        self._what = f"{kind.plural} in {namespace or 'every namespace'}"
        self._client = client
        self._store = store
        self._labels = labels
        self._packer = Packer(kind)
        self._moment = ""
        self._troubles = 0
        self._heard: float | None = None
        self._listed = threading.Event()
        self._closed = threading.Event()
        self._stream: Stream | None = None
        self._thread = threading.Thread(
            target=self._run, name=f"watch-{kind.plural}-{namespace}", daemon=True
        )

    @property
    def complete(self) -> bool:
        """Whether a listing has been read to its end; before that nothing can be concluded."""
        return self._listed.is_set()

    @property
    def age(self) -> float | None:
        """Seconds since the server last said anything; None before the first listing."""
        return None if self._heard is None else time.monotonic() - self._heard

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the first complete listing."""
        return self._listed.wait(seconds)

    def close(self) -> None:
        """End it; the thread is gone soon after."""
        self._closed.set()
        if self._stream:
            self._stream.close()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end after `close`."""
        self._thread.join(seconds)

    def absorb(self, obj: Object) -> None:
        """An object as the server answered our own write."""
        self._store.put(self._packer.pack(obj))

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                if not self._moment:
                    self._moment = self._list()
                self._watch()
            except Gone as error:
                self._moment = ""
                if isinstance(error, Restored):
                    log.warning("%s", error)
                    self._listed.clear()
                    self._store.forget(self.kind, self.namespace)
                self._closed.wait(_JITTER.uniform(0, BACKOFF[0]))
            except ApiError as error:
                if self._closed.is_set():
                    return
                if self.problem is None or type(self.problem) is not type(error):
                    log.warning("Cannot watch %s: %s", self._what, error)
                self.problem = error
                first, longest = BACKOFF
                pause = min(longest, first * 2**self._troubles)
                self._closed.wait(_JITTER.uniform(pause / 2, pause))
                self._troubles = min(self._troubles + 1, 10)
            except Exception:
                log.exception("Watching %s begins anew", self._what)
                self.problem = Unavailable("What the cluster told could not be understood.")
                self._moment = ""
                self._closed.wait(BACKOFF[1])

    def _list(self) -> str:
        seen: set[Key] = set()
        moment = ""
        with self._turn:
            for page in self._client.pages(self.kind, self.namespace, labels=self._labels):
                moment = page.resource_version
                while page.items:
                    obj = self._packer.pack(page.items.pop())
                    seen.add(obj.key)
                    self._store.put(obj)
                if self._closed.is_set():
                    return moment
        self._store.replace(self.kind, self.namespace, seen, moment)
        self._hear()
        self._listed.set()
        return moment

    def _watch(self) -> None:
        """Follow the changes until the server ends the watch."""
        self._stream = self._client.watch(
            self.kind,
            self.namespace,
            self._moment,
            labels=self._labels,
            seconds=_JITTER.randint(*WATCH_SECONDS),
        )
        if self._closed.is_set():
            self._stream.close()
        self._hear()
        for event, obj in self._stream.events():
            self._hear()
            if event == "DELETED":
                packed = self._packer.pack(obj)
                self._store.remove(packed.key, packed.uid, packed.resource_version)
            elif event != "BOOKMARK":
                self._put(obj)
            self._moment = obj["metadata"]["resourceVersion"]

    def _put(self, obj: Object) -> None:
        """Keep it, unless it is our own write, whose answer was kept before the watch told."""
        meta = obj["metadata"]
        known = self._store.get(Key(self.kind.name, meta.get("namespace", ""), meta["name"]))
        if known is None or known.resource_version != meta["resourceVersion"]:
            self._store.put(self._packer.pack(obj))

    def _hear(self) -> None:
        self._heard = time.monotonic()
        self._troubles = 0
        self.problem = None
