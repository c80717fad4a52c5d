"""Keep a store in step with the API server, for one kind in one namespace: list, then watch.

Each informer has a thread. It resumes a watch that ended or broke off from its last resource
version, and one that is too old by a new listing; after an error, with jittered backoff. The server
ends each watch after less than a minute, with a bookmark, so that silence never goes unnoticed for
long.
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
from deployer.targets.kubernetes.client.client import Client, Object, ends_list
from deployer.targets.kubernetes.client.errors import (
    ApiError,
    ClusterRestored,
    Gone,
    Invalid,
    Unavailable,
)
from deployer.targets.kubernetes.client.kinds import Kind
from deployer.targets.kubernetes.client.stream import Stream

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = (30, 45)
BACKOFF: Final = (0.5, 30.0)
STALE_SECONDS: Final = 120.0
"""Silence after which reads are refused; a watch reports at least every 45 s."""

_JITTER: Final = random.Random()  # noqa: S311 - no secret


class Informer:
    """A watch of one kind, in one namespace (empty: all), with these labels.

    Args:
        client: Lists and watches.
        store: Keeps the objects.
        kind: The kind to watch.
        namespace: The namespace.
        labels: A label selector.
        turn: Entered for each listing, so that not all informers list at once.

    Attributes:
        problem: The error of the last listing or watch; None after a success.
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
        self._resource_version = ""
        self._failures = 0
        self._heard: float | None = None
        self._listed = threading.Event()
        self._closed = threading.Event()
        self._stream: Stream | None = None
        self._thread = threading.Thread(
            target=self._run, name=f"watch-{kind.plural}-{namespace}", daemon=True
        )

    def raise_if_blind(self) -> None:
        """Refuse a read of objects that are not listed yet, or of a cluster that fell silent.

        Raises:
            Unavailable: Callers must conclude nothing; an ApiError of the watch says why.
        """
        age = None if self._heard is None else time.monotonic() - self._heard
        if self._listed.is_set() and age is not None and age < STALE_SECONDS:
            return
        if self.problem:
            raise self.problem
        what, host = f"{self.kind.plural} in {self.namespace or 'the cluster'}", self._client.host
        if age is None:
            raise Unavailable(f"The {what} of {host} are still being listed.")
        raise Unavailable(f"The cluster at {host} has said nothing of {what} for {age:.0f} s.")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the first complete listing."""
        return self._listed.wait(seconds)

    def close(self) -> None:
        """End the watch; the thread ends soon after."""
        self._closed.set()
        if self._stream:
            self._stream.close()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end after `close`."""
        self._thread.join(seconds)

    def record_write(self, obj: Object) -> None:
        """Take in an object as the server answered our own write."""
        self._put(obj)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                if not self._resource_version:
                    self._resource_version = self._list()
                self._watch()
            except Gone as error:
                self._resource_version = ""
                if isinstance(error, ClusterRestored):
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
                pause = min(longest, first * 2**self._failures)
                self._closed.wait(_JITTER.uniform(pause / 2, pause))
                self._failures = min(self._failures + 1, 10)
            except Exception:
                log.exception("Watching %s begins anew", self._what)
                self.problem = Unavailable("The cluster sent an object that could not be parsed.")
                self._resource_version = ""
                self._closed.wait(BACKOFF[1])

    def _list(self) -> str:
        with self._turn:
            try:
                version, seen = self._list_streamed()
            except (Invalid, Unavailable) as error:
                # An API server with an old etcd, or with the feature WatchList off.
                log.debug("Listing %s page by page: %s", self._what, error)
                version, seen = self._list_pages()
        if self._closed.is_set():
            return version
        self._store.replace(self.kind, self.namespace, seen, version)
        self._mark_alive()
        self._listed.set()
        return version

    def _list_streamed(self) -> tuple[str, set[Key]]:
        """Take in what the server sends from its memory, one object at a time."""
        seen: set[Key] = set()
        self._stream = self._client.stream_list(self.kind, self.namespace, labels=self._labels)
        try:
            for event, obj in self._stream.events():
                if event != "BOOKMARK":
                    self._take_in(obj, seen)
                elif ends_list(obj):
                    return obj["metadata"]["resourceVersion"], seen
        finally:
            self._stream.close()
        raise Unavailable(f"The cluster ended the list of {self._what} before its end.")

    def _list_pages(self) -> tuple[str, set[Key]]:
        seen: set[Key] = set()
        version = ""
        for page in self._client.pages(self.kind, self.namespace, labels=self._labels):
            version = page.resource_version
            while page.items:
                self._take_in(page.items.pop(), seen)
            if self._closed.is_set():
                break
        return version, seen

    def _take_in(self, obj: Object, seen: set[Key]) -> None:
        packed = self._packer.pack(obj)
        seen.add(packed.key)
        self._store.put(packed)

    def _watch(self) -> None:
        """Follow the changes until the server ends the watch."""
        self._stream = self._client.watch(
            self.kind,
            self.namespace,
            self._resource_version,
            labels=self._labels,
            seconds=_JITTER.randint(*WATCH_SECONDS),
        )
        if self._closed.is_set():
            self._stream.close()
        self._mark_alive()
        for event, obj in self._stream.events():
            self._mark_alive()
            if event == "DELETED":
                packed = self._packer.pack(obj)
                self._store.remove(packed.key, packed.uid, packed.resource_version)
            elif event != "BOOKMARK":
                self._put(obj)
            self._resource_version = obj["metadata"]["resourceVersion"]

    def _put(self, obj: Object) -> None:
        """Keep an object, unless the store has it: our own writes are answered and reported."""
        meta = obj["metadata"]
        known = self._store.get(Key(self.kind.name, meta.get("namespace", ""), meta["name"]))
        if known is None or known.resource_version != meta["resourceVersion"]:
            self._store.put(self._packer.pack(obj))

    def _mark_alive(self) -> None:
        self._heard = time.monotonic()
        self._failures = 0
        self.problem = None
