"""What a front asks for the model: a worker of its own (pool.py), or a server beside it.

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
"""Exit code: the model cannot be loaded, for good."""


class Unavailable(Exception):  # noqa: N818 - named for what it is
    """What has the model is not there, or went before it answered."""


class Late(TimeoutError):  # noqa: N818 - named for what it is
    """The model did not answer in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the model did not answer within {seconds:g} s")


class Limit:
    """What is inside of it may take so many seconds, or fewer once `shorten` says so.

    Raises Late.
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
            raise Late(self._seconds) from late

    def shorten(self, seconds: float) -> None:
        """Let it take no longer than that, from its beginning; only while something is inside."""
        if seconds < self._seconds:
            self._seconds = seconds
            self._timeout.reschedule(self._began + seconds)


class Loaded(NamedTuple):
    """What is known of a model once it is loaded."""

    signature: Signature
    platform: str
    """What the Open Inference Protocol calls its kind."""
    mlflow: str
    """The version of mlflow that it is asked by; empty: by none."""


Reading = tuple[str, str, "Callable[[], float | Mapping[str, float]]"]
"""A gauge: its name, what it says, and its value now, or one for each state."""


class Own(NamedTuple):
    """A protocol of the backend's own, passed on as it is."""

    begin: bytes
    """The path of the model in it; what belongs to it goes on with / or :."""
    ask: Callable[[str, bytes, bytes, bytes], Awaitable[Answer]]
    """Takes method, target, content type and body. Raises Late or Unavailable."""

    def has(self, path: bytes) -> bool:
        """Whether a path is the model's."""
        rest = path[len(self.begin) :]
        return path.startswith(self.begin) and rest[:1] in (b"", b"/", b":")


class Backend(Protocol):
    """What has the model."""

    ready: bool
    was_ready: bool
    own: Own | None
    """The paths of its own protocol; None: it has none."""

    async def ask(self, kind: int, payload: Payload, seconds: float | None = None) -> Frame:
        """Return the answer to an INVOKE, COLUMNS or INFER frame.

        `seconds` is how long whoever asks waits, if that is less than `timeout_seconds`. Raises
        Late or Unavailable.
        """

    async def run(self) -> int:
        """Keep the model loaded, or watched, until `stop`; return the server's exit code."""

    def stop(self) -> None:
        """Let `run` return."""

    def readings(self) -> Iterable[Reading]:
        """Return what is worth watching of it."""
