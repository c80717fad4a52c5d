"""Define what the front asks for the model: its worker (pool.py), or a server in the same pod.

Both take the same frames: questions in the two protocols, checked as far as the front can.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from serving.protocols.answer import Answer
    from serving.worker.framing import Frame, Payload
    from serving.worker.oip.signature import Signature

CANNOT_LOAD = 64
"""Exit code: the model can never be loaded."""


class Unavailable(Exception):  # noqa: N818 - named for what it is
    """The backend is absent, or ended before it answered."""


class DeadlineExceeded(TimeoutError):  # noqa: N818 - named for what it is
    """The model did not answer in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the model did not answer within {seconds:g} s")


class Deadline:
    """A time limit for the body of an `async with`, which `shorten` can reduce.

    Raises:
        DeadlineExceeded: the time was up.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = asyncio.get_running_loop().time()
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise DeadlineExceeded(self._seconds) from late

    def shorten(self, seconds: float) -> None:
        """Reduce the limit, counted from its beginning; only inside the `async with`."""
        if seconds < self._seconds:
            self._seconds = seconds
            self._timeout.reschedule(self._began + seconds)


class Loaded(NamedTuple):
    """The description of a loaded model."""

    signature: Signature
    platform: str
    """The Open Inference Protocol's name for the kind of model."""
    mlflow: str
    """The version of mlflow that calls the model; empty: none does."""


Reading = tuple[str, str, "Callable[[], float | Mapping[str, float]]"]
"""A gauge: its name, its help text, and its value now, or a value for each state."""


class NativeProtocol(NamedTuple):
    """A protocol of the backend's own, passed on unchanged."""

    begin: bytes
    """The path of the model in that protocol; longer paths of the model continue with / or :."""
    ask: Callable[[str, bytes, bytes, bytes], Awaitable[Answer]]
    """Takes method, target, content type and body. Raises DeadlineExceeded or Unavailable."""

    def matches(self, path: bytes) -> bool:
        """Return whether a path is the model's."""
        rest = path[len(self.begin) :]
        return path.startswith(self.begin) and rest[:1] in (b"", b"/", b":")


class Backend(Protocol):
    """Runs the model, or knows the server that does."""

    ready: bool
    was_ready: bool
    native: NativeProtocol | None
    """The paths of the backend's own protocol; None: it has none."""

    async def ask(
        self, kind: int, payload: Payload, seconds: float | None = None, *, alone: bool = False
    ) -> Frame:
        """Return the answer to an INVOKE, COLUMNS or INFER frame.

        Args:
            kind: the kind of frame.
            payload: its content.
            seconds: how long the client waits, if that is less than `timeout_seconds`.
            alone: whether the model must not be asked anything else with it.

        Raises:
            DeadlineExceeded: the model did not answer in time.
            Unavailable: the backend is absent, or ended before it answered.
        """

    async def run(self) -> int:
        """Keep the model loaded, or watched, until `stop`; return the server's exit code."""

    def stop(self) -> None:
        """Let `run` return."""

    def readings(self) -> Iterable[Reading]:
        """Return the backend's gauges."""
