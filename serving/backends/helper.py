"""Read and write large bodies in a helper process, so that the front's event loop goes on.

Threads would not do: Python's JSON parser holds the interpreter lock to its end.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from serving.backends.base import Unavailable
from serving.worker.link import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

Given = TypeVarTuple("Given")
Result = TypeVar("Result")


class HelperProcess:
    """A helper process, started at its first use, and replaced if it ends."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, work: Callable[[*Given], Result], *given: *Given) -> Result:
        """Run a module's function in the helper process; return its result or raise its error.

        Raises:
            Unavailable: the process ended meanwhile.
        """
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            front = (os.getpid(),)
            self._pool = ProcessPoolExecutor(1, spawn, die_with_parent, front)
        pool = self._pool
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work, *given)
        except BrokenProcessPool as error:
            if self._pool is pool:
                self._pool = None
            raise Unavailable("the process that reads what is large ended: try again") from error

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
