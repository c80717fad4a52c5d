"""Write the settled status of a version to MLflow tags, so that MLflow's own pages show it.

The tags are a copy only: written when the text changes, and never read back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from deployer.errors import NotFound, SchnitzelError
from deployer.registry.client import RegistryClient
from deployer.state.registry import VersionId
from deployer.store.records import Records

log = logging.getLogger(__name__)

MOST_CHARACTERS = 1000
RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class VersionTags:
    """The desired tags of one version for one environment; an empty `url` deletes the URL tag."""

    version: VersionId
    environment: str
    status: str
    url: str


class TagWriter:
    """A writer of tags in a thread of its own, so that a slow MLflow delays no pass.

    Args:
        rest: MLflow's REST API.
        records: Store of the tags as last written.
        written: Called after tags were written.
    """

    def __init__(self, rest: RegistryClient, records: Records, written: Callable[[], None]) -> None:
        self._rest = rest
        self._records = records
        self._written = written
        self._pending: dict[tuple[VersionId, str], VersionTags] = {}
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="tags", daemon=True)
        self._thread.start()

    def schedule(self, tags: VersionTags) -> None:
        """Schedule the tags of a version to be written soon."""
        key = (tags.version, tags.environment)
        with self._wake:
            if self._records.get(_memory_name(tags)) == _memory_value(tags):
                self._pending.pop(key, None)
                return
            self._pending[key] = tags
            self._wake.notify()

    def close(self) -> None:
        """Stop the thread; tags not yet written are written after the next start."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._wake:
                if pause:
                    self._wake.wait_for(lambda: self._closed, timeout=pause)
                else:
                    self._wake.wait_for(lambda: self._closed or bool(self._pending))
                if self._closed:
                    return
                batch = list(self._pending.values())
            written = [self._succeeds(partial(self._update, tags)) for tags in batch]
            pause = 0.0 if all(written) else RETRY_SECONDS
            if batch and all(written):
                self._succeeds(self._written)  # if this fails, the next change raises it again

    def _succeeds(self, step: Callable[[], None]) -> bool:
        """Run a step; returns whether it succeeded."""
        try:
            step()
        except SchnitzelError:
            return False
        except Exception:  # the end of this thread would go unnoticed
            if not self._closed:
                log.exception("tags could not be written")
            return False
        return True

    def _update(self, tags: VersionTags) -> None:
        with suppress(NotFound):  # the version is gone and needs no tags
            self._write(tags)
        self._done(tags)

    def _write(self, tags: VersionTags) -> None:
        name = {"name": tags.version.model, "version": str(tags.version.number)}
        prefix = f"schnitzel.{tags.environment}"
        status = {"key": f"{prefix}.status", "value": tags.status[:MOST_CHARACTERS]}
        self._rest.post("model-versions/set-tag", name | status)
        if tags.url:
            url = {"key": f"{prefix}.url", "value": tags.url}
            self._rest.post("model-versions/set-tag", name | url)
        elif self._had_url(tags):
            self._rest.delete("model-versions/delete-tag", name | {"key": f"{prefix}.url"})

    def _had_url(self, tags: VersionTags) -> bool:
        before = self._records.get(_memory_name(tags)) or ""
        return not before.startswith("\n")

    def _done(self, tags: VersionTags) -> None:
        self._records.set(_memory_name(tags), _memory_value(tags))
        key = (tags.version, tags.environment)
        with self._wake:
            if self._pending.get(key) == tags:
                del self._pending[key]


def _memory_name(tags: VersionTags) -> str:
    version = tags.version
    return f"mirror {tags.environment} {version.key} {version.model}"


def _memory_value(tags: VersionTags) -> str:
    return f"{tags.url}\n{tags.status}"
