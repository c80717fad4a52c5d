"""Exchange frames with the front: the worker's end of the socket.

Needs the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
from typing import Any

from . import framing

PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent(front: int) -> None:
    """Have the kernel kill this process when the front dies, however busy the model is."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != front:  # the front died before prctl took effect
        os._exit(0)


class Link:
    """The socket to the front: blocking, one thread."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._decoder = framing.FrameDecoder()

    def read(self, *, wait: bool) -> list[framing.Frame]:
        """Return the frames that arrived; with `wait`, block until a read returns data.

        Ends the process if the front is gone.
        """
        frames: list[framing.Frame] = []
        flags = 0 if wait else socket.MSG_DONTWAIT
        while True:
            try:
                data = self._socket.recv(1 << 20, flags)
            except BlockingIOError:
                return frames
            except ConnectionError:
                data = b""
            if not data:
                os._exit(0)
            frames += self._decoder.feed(data)
            flags = socket.MSG_DONTWAIT

    def send(self, data: bytes) -> None:
        """Write whole frames, or end the process if the front is gone."""
        try:
            self._socket.sendall(data)
        except OSError:
            os._exit(0)

    def send_json(self, request_id: int, kind: int, content: dict[str, Any]) -> None:
        """Write a frame with a JSON payload."""
        self.send(framing.pack(request_id, kind, json.dumps(content).encode()))
