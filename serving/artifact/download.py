"""Download all files of an artifact into a folder, several at a time."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from serving.artifact.store import Unfetchable, unreachable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from serving.artifact.store import Listed, Store

PARALLEL = 8
PART = 32 << 20
"""Bytes of a large file that are fetched at a time, where the store reads ranges."""
PAUSES = (0.5, 2.0, 5.0)
"""Seconds before each new attempt at a part."""
REPORT_EVERY = 5.0
ROOM = "Make room on the node, or give the pod's volume for models more."


def download(store: Store, uri: str, into: Path, only: Collection[str] = ()) -> int:
    """Download all files, or the files in `only`, into `into`; return the number of bytes.

    Raises:
        Unfetchable: the files cannot be fetched.
        OSError: they cannot be kept.
    """
    files = store.files()
    if not any(file.path == "MLmodel" for file in files):
        raise Unfetchable(
            "ArtifactMissing",
            f"There is no model at {uri}: no MLmodel file is there.",
            "Log and register the model again, or promote a version whose files are there.",
        )
    if only:
        if absent := sorted(set(only) - {file.path for file in files}):
            hint = "Log the model again, with code_paths=[...] or mlflow's add_libraries_to_model."
            raise Unfetchable("ArtifactMissing", f"There is no file {absent[0]} at {uri}.", hint)
        files = [file for file in files if file.path in only]
    total = sum(file.size or 0 for file in files)
    if total > (free := shutil.disk_usage(into).free):
        why = f"they have {_mib(total)}, and {_mib(free)} are free in {into.parent}"
        raise unreachable(uri, why, ROOM)
    for file in files:
        place = into / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    progress = _Progress(total)
    parts = [(file, *span) for file in files for span in _spans(file, ranges=store.ranges)]
    with ThreadPoolExecutor(PARALLEL) as pool:
        working = [pool.submit(_copy, store, uri, *part, into, progress) for part in parts]
        try:
            for each in working:
                each.result()
        except BaseException:
            progress.over.set()
            pool.shutdown(cancel_futures=True)
            raise
    return progress.bytes


def _spans(file: Listed, *, ranges: bool) -> Iterator[tuple[int, int | None]]:
    """Yield the beginning and end of each part of a file; None is the end of the file."""
    if file.size == 0:
        return
    if not ranges or file.size is None or file.size <= PART:
        yield 0, None
        return
    for start in range(0, file.size, PART):
        yield start, min(start + PART, file.size)


def _copy(
    store: Store, uri: str, file: Listed, start: int, end: int | None, into: Path,
    progress: _Progress,
) -> None:  # fmt: skip
    """Fetch a part, with new attempts after transient errors."""
    for pause in (*PAUSES, None):
        got = 0
        try:
            with (into / file.path).open("r+b") as place:
                place.seek(start)
                for chunk in store.read(file.path, start, end):
                    count = place.write(chunk)
                    got += count
                    progress.came(count)
                    if progress.over.is_set():
                        return
            _check(uri, file, start + got, end)
        except Unfetchable as error:
            if pause is None or not error.transient or progress.over.wait(pause):
                raise
            progress.came(-got)
            _say(f"{file.path}: {error.message} Trying again.")
        else:
            return


def _check(uri: str, file: Listed, at: int, end: int | None) -> None:
    if at != (file.size if end is None else end) and file.size is not None:
        message = f"{file.path} at {uri} ends after {at} of {file.size} bytes."
        hint = "It is fetched again on retry. If that does not help, log the model again."
        raise Unfetchable("ArtifactCorrupt", message, hint, transient=True)


class _Progress:
    """Logs the progress now and then; `over` stops all threads."""

    def __init__(self, total: int) -> None:
        self.bytes, self.over = 0, threading.Event()
        self._total, self._reported_at, self._lock = total, time.monotonic(), threading.Lock()

    def came(self, count: int) -> None:
        """Count bytes; a negative count takes back the bytes of a failed attempt."""
        with self._lock:
            self.bytes += count
            now = time.monotonic()
            if now - self._reported_at >= REPORT_EVERY:
                self._reported_at = now
                _say(f"{_mib(self.bytes)} of {_mib(self._total)}")


def _mib(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"


def _say(text: str) -> None:
    sys.stderr.write(f"artifact: {text}\n")
    sys.stderr.flush()
