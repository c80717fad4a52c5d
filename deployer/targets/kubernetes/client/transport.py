"""Send requests to the Kubernetes API, with retries.

A retry is sound for every request here: a write carries a precondition, so that a second try of a
write that took effect is a Conflict, never a second effect. Each try of a write calls the guard.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
import urllib3

from deployer.targets.kubernetes.client.errors import (
    ApiError,
    ApiRequest,
    Unauthenticated,
    Unavailable,
    error_of,
)
from deployer.targets.kubernetes.client.session import Session
from deployer.targets.kubernetes.client.stream import Stream

SECONDS: Final = 10.0
TRIES: Final = 4
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0

_JITTER: Final = random.Random()  # noqa: S311 - no secret

Query = Mapping[str, str]


class Transport:
    """A sender of requests that waits, retries, and raises an error for a refused request.

    Args:
        session: The connections.
        guard: Called before each try of a write; it may raise.
        seconds: How long one try may take.
        tries: The number of tries.
    """

    def __init__(
        self,
        session: Session,
        guard: Callable[[], None] | None = None,
        seconds: float = SECONDS,
        tries: int = TRIES,
    ) -> None:
        self.session = session
        self._guard = guard
        self._seconds = seconds
        self._tries = tries

    @property
    def host(self) -> str:
        """The host and port of the API server."""
        return self.session.host

    def guarded(self, guard: Callable[[], None]) -> Transport:
        """Make a sender over the same connections that calls `guard` before each try of a write."""
        return Transport(self.session, guard)

    def hurried(self, seconds: float) -> Transport:
        """Make a sender over the same connections that tries once, for so many seconds."""
        return Transport(self.session, None, seconds, tries=1)

    def json(
        self,
        asked: ApiRequest,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        content_type: str = "application/json",
        seconds: float | None = None,
    ) -> dict[str, Any]:
        """Send a body as JSON and return the object of the answer.

        Raises:
            ApiError: The server refused the request, or did not answer.
        """
        text = None if body is None else orjson.dumps(body)
        data = self.call(asked, method, path, query, text, content_type, seconds).data
        try:
            answer = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise Unavailable(f"{self.host} did not answer JSON ({asked}).") from error
        if not isinstance(answer, dict):
            raise Unavailable(f"{self.host} did not answer an object ({asked}).")
        return answer

    def call(
        self,
        asked: ApiRequest,
        method: str,
        path: str,
        query: Query | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        seconds: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send bytes and return an answer of a status below 400 as it came.

        Raises:
            ApiError: The server refused the request, or did not answer.
        """
        writes = method != "GET" and not (query and "dryRun" in query)
        renewed = False
        for number in range(self._tries):
            if writes and self._guard:
                self._guard()
            try:
                response = self.session.request(
                    method, path, query, body, content_type, seconds or self._seconds
                )
                if response.status < 400:
                    return response
                raise self._error(asked, response)
            except Unauthenticated:
                if renewed:
                    raise
                renewed = True
                self.session.renew()
            except Unavailable as error:
                pause = _pause(number, error.retry_after)
                if number + 1 == self._tries or pause is None:
                    raise
                time.sleep(pause)
        raise Unavailable(f"{self.host} was asked in vain ({asked}).")

    def stream(self, asked: ApiRequest, path: str, query: Query, seconds: float) -> Stream:
        """Open a streaming answer, which may be silent for at most so many seconds.

        Raises:
            ApiError: The server refused the request, or did not answer.
        """
        response = self.session.request("GET", path, query, seconds=seconds, stream=True)
        if response.status >= 400:
            raise self._error(asked, response)
        return Stream(response, asked, self.session)

    def relayed(
        self, asked: ApiRequest, method: str, path: str, body: bytes | None, seconds: float
    ) -> tuple[int, bytes]:
        """Send a request that the API server relays to a pod, once; return the pod's own answer.

        The guard is not called: such a request writes nothing in the cluster.

        Raises:
            ApiError: The API server refused the request, or does not reach the pod.
        """
        response = self.session.request(method, path, None, body, seconds=seconds)
        data = response.data
        if response.status >= 400 and b'"kind":"Status"' in data and b'"metadata"' in data:
            raise self._error(asked, response)
        return response.status, data

    def _error(self, asked: ApiRequest, response: urllib3.BaseHTTPResponse) -> ApiError:
        return error_of(asked, response.status, response.headers, response.data, self.host)


def _pause(number: int, retry_after: float | None) -> float | None:
    """Choose the jittered seconds before another try; None if that is too long to wait here."""
    if retry_after is not None and retry_after > LONGEST_PAUSE:
        return None
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**number)
    return (retry_after or 0.0) + _JITTER.uniform(longest / 2, longest)
