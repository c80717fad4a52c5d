"""What a front asks for the model: a worker of its own (pool.py), or a server beside it.

Both take the same frames: questions in the two protocols, checked as far as the front can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from serving.protocols.answer import Answer
    from serving.worker.framing import Frame
    from serving.worker.signature import Signature

CANNOT_LOAD = 64
"""Exit code: the model cannot be loaded, for good."""


class Unavailable(Exception):  # noqa: N818 - named for what it is
    """What has the model is not there, or went before it answered."""


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
    """Takes method, target, content type and body. Raises TimeoutError or Unavailable."""

    def has(self, path: bytes) -> bool:
        """Whether a path is the model's."""
        rest = path[len(self.begin) :]
        return path.startswith(self.begin) and rest[:1] in (b"", b"/", b":")


class Backend(Protocol):
    """What has the model."""

    ready: bool
    was_ready: bool
    reads_bodies: bool
    """Whether it takes INFER frames: bodies that the front has not read."""
    own: Own | None
    """The paths of its own protocol; None: it has none."""

    async def ask(self, kind: int, payload: bytes, seconds: float | None = None) -> Frame:
        """Return the answer to an INVOKE, COLUMNS or INFER frame.

        `seconds` is how long whoever asks waits, if that is less than `timeout_seconds`. Raises
        TimeoutError or Unavailable.
        """

    async def run(self) -> int:
        """Keep the model loaded, or watched, until `stop`; return the server's exit code."""

    def stop(self) -> None:
        """Let `run` return."""

    def readings(self) -> Iterable[Reading]:
        """Return what is worth watching of it."""
