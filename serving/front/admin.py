"""Answer the platform's questions about the server: health, metrics, windows, its queue.

A listener of its own, to which no gateway routes: it answers from the process's start to its end,
whatever load and credentials the other listener deals with.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import orjson

from serving.front.listener import Limits
from serving.protocols.answer import Answer
from serving.queue.share import parsed

if TYPE_CHECKING:
    from serving.front.app import App
    from serving.front.listener import Request
    from serving.predictor import Predictor
    from serving.queue.door import Door
    from serving.telemetry.instruments import Instruments

LIMITS = Limits(body=1_024, held=16_384, head=16_384, connections=100)
WINDOW, QUEUE = b"/schnitzel/window", b"/schnitzel/queue"
_OF_THE_APP = {b"/v2/health/live": "live", b"/v2/health/ready": "ready", b"/metrics": "metrics"}


class Admin:
    """The answers about one server."""

    def __init__(self, app: App, instruments: Instruments, predictor: Predictor) -> None:
        self._app, self._windows = app, instruments.windows
        self._token_digest = predictor.admin_token_digest
        self._about = {
            "predictor": predictor.predictor,
            "model": predictor.model,
            "model_version": predictor.model_version,
            "environment": predictor.environment,
        }

    def answer(self, request: Request) -> Answer:
        """Answer at once: no answer here waits for the model."""
        where = _OF_THE_APP.get(request.path)
        door = self._app.door
        own = {WINDOW} if door is None else {WINDOW, QUEUE}
        if where is None and request.path not in own:
            there = ", ".join(path.decode() for path in (*_OF_THE_APP, *sorted(own)))
            return _failed(404, f"there is nothing here but {there}")
        if door is not None and request.path == QUEUE and request.method == b"PUT":
            return self._put_share(door, request)
        if request.method not in (b"GET", b"HEAD"):
            return _failed(405, "use GET")._replace(headers=((b"allow", b"GET"),))
        if door is not None and request.path == QUEUE:
            return Answer(200, orjson.dumps(self._about | door.describe()))
        return self._window(request.query) if where is None else self._app.look(where)

    def refuse(self, path: bytes, status: int, message: str) -> Answer:  # noqa: ARG002 - a listener's
        """Answer for a request that the server refuses."""
        return _failed(status, message)

    def _put_share(self, door: Door, request: Request) -> Answer:
        """Change the server's share of its queue, for who has the token."""
        token = request.header(b"authorization").removeprefix(b"Bearer ")
        given = hashlib.sha256(token).hexdigest()
        if not self._token_digest or not hmac.compare_digest(given, self._token_digest):
            return _failed(401, "a change needs the token of this server")
        share = None
        with suppress(ValueError, KeyError, TypeError):
            share = parsed(orjson.loads(request.body)["share"])
        if share is None:
            return _failed(400, "'share' must be two numbers, as 0 <= first <= second <= 1")
        try:
            door.set_share(share)
        except OSError as error:
            return _failed(503, f"the share cannot be kept: {error.strerror or error}")
        return Answer(200, orjson.dumps(self._about | door.describe()))

    def _window(self, query: bytes) -> Answer:
        since = dict(parse_qsl(query.decode("latin-1"))).get("since", "0")
        if not (since.isascii() and since.isdecimal() and len(since) < 16):
            return _failed(400, "'since' must be a window's number")
        return Answer(200, orjson.dumps(self._about | self._windows.to_json(int(since))))


def _failed(status: int, message: str) -> Answer:
    return Answer(status, orjson.dumps({"error": message}))
