"""Serialize processes by an exclusive lock on a file."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from deployer.background.jobs import Stopped


@contextlib.contextmanager
def file_lock(path: Path, stopping: Callable[[], bool]) -> Iterator[int]:
    """Hold an exclusive lock, and yield its descriptor.

    The lock ends with the last process that has the descriptor: a child that inherits the
    descriptor keeps the lock even when this process is killed.

    Raises:
        Stopped: the process ends while it waits for the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stopping():
                    raise Stopped from None
                time.sleep(0.05)
        yield descriptor
    finally:
        os.close(descriptor)
