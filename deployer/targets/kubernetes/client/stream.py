"""Read a streaming answer of the API server, event by event or line by line.

Another thread may call `close`: the reading thread then sees the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from deployer.targets.kubernetes.client.errors import ApiRequest, Unavailable, error_of
from deployer.targets.kubernetes.client.session import Session

CHUNK = 65536


class Stream:
    """A watch, or a followed log."""

    def __init__(
        self, response: urllib3.BaseHTTPResponse, asked: ApiRequest, session: Session
    ) -> None:
        self._response = response
        self._asked = asked
        self._session = session
        self._closed = False

    def lines(self) -> Iterator[bytes]:
        """Yield each line as it comes, without its end.

        Raises:
            Unavailable: The answer broke off.
        """
        rest = b""
        try:
            for chunk in self._response.stream(CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
        except (HTTPError, OSError) as error:
            if not self._closed:
                raise self._session.lost(error) from error
        finally:
            self._response.close()

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each event: ADDED, MODIFIED, DELETED or BOOKMARK, and the object.

        Raises:
            Gone: The server forgot the resource version: list again.
            ApiError: Any other error.
        """
        for line in self.lines():
            try:
                event = orjson.loads(line)
                kind, obj = event["type"], event["object"]
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise Unavailable(f"{self._session.host} broke off ({self._asked}).") from error
            if kind == "ERROR":
                status = int(obj.get("code") or 500)
                body = orjson.dumps(obj)
                raise error_of(self._asked, status, {}, body, self._session.host)
            yield kind, obj

    def close(self) -> None:
        """End the stream, from any thread."""
        self._closed = True
        with suppress(HTTPError, OSError, AttributeError, ValueError):
            self._response.shutdown()
