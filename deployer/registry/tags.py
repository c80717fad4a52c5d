"""Write the settled status of a version to MLflow tags, so that MLflow's own pages show it.

The tags are a mirror only: written when the text changes, and never read back.
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
class Reflection:
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
        self._pending: dict[tuple[VersionId, str], Reflection] = {}
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._thread.start()

    def show(self, reflection: Reflection) -> None:
        """Schedule the tags of a version to be written soon."""
        key = (reflection.version, reflection.environment)
        with self._wake:
            if self._records.get(_memory_name(reflection)) == _memory_value(reflection):
                self._pending.pop(key, None)
                return
            self._pending[key] = reflection
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
            written = [self._succeeds(partial(self._reflect, reflection)) for reflection in batch]
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

    def _reflect(self, reflection: Reflection) -> None:
        with suppress(NotFound):  # the version is gone and needs no tags
            self._write(reflection)
        self._done(reflection)

    def _write(self, reflection: Reflection) -> None:
        name = {"name": reflection.version.model, "version": str(reflection.version.number)}
        prefix = f"schnitzel.{reflection.environment}"
        status = {"key": f"{prefix}.status", "value": reflection.status[:MOST_CHARACTERS]}
        self._rest.post("model-versions/set-tag", name | status)
        if reflection.url:
            url = {"key": f"{prefix}.url", "value": reflection.url}
            self._rest.post("model-versions/set-tag", name | url)
        elif self._had_url(reflection):
            self._rest.delete("model-versions/delete-tag", name | {"key": f"{prefix}.url"})

    def _had_url(self, reflection: Reflection) -> bool:
        before = self._records.get(_memory_name(reflection)) or ""
        return not before.startswith("\n")

    def _done(self, reflection: Reflection) -> None:
        self._records.set(_memory_name(reflection), _memory_value(reflection))
        key = (reflection.version, reflection.environment)
        with self._wake:
            if self._pending.get(key) == reflection:
                del self._pending[key]


def _memory_name(reflection: Reflection) -> str:
    version = reflection.version
    return f"mirror {reflection.environment} {version.key} {version.model}"


def _memory_value(reflection: Reflection) -> str:
    return f"{reflection.url}\n{reflection.status}"
