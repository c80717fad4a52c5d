"""Ask Prometheus for one value at one time."""

from __future__ import annotations

import math
from typing import Any, Final

import httpx

TIMEOUT_SECONDS: Final = 10.0
"""How long Prometheus may compute; it is told so itself."""

PATIENCE_SECONDS: Final = 12.0
"""How long an answer may take on its way."""

MOST_BYTES: Final = 1 << 20
"""The longest answer that is read: one value is short, and a query may select a million series."""


class Unanswered(Exception):  # noqa: N818 - nobody's mistake, but a state of things
    """There is no single finite value; says why as a clause."""


class Prometheus:
    """The HTTP API of a Prometheus server, or of one that speaks it.

    Args:
        url: Its address.
        auth: User name and password; None for a server without a login.
    """

    def __init__(self, url: str, auth: tuple[str, str] | None = None) -> None:
        self._client = httpx.Client(
            base_url=url, auth=auth, timeout=PATIENCE_SECONDS, trust_env=False
        )

    def ask(self, query: str, at: float) -> float:
        """Return the value of a query at a time, in seconds since the epoch.

        Raises:
            Unanswered: There is no value, more than one, or one that is no finite number.
        """
        form = {"query": query, "time": f"{at:.3f}", "timeout": f"{TIMEOUT_SECONDS:g}s"}
        body = bytearray()
        try:
            with self._client.stream("POST", "/api/v1/query", data=form) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise Unanswered("Prometheus gives many series, and should give one value")
            found = _json(bytes(body), response)
        except httpx.TimeoutException as error:
            raise Unanswered("Prometheus takes longer than 10 s") from error
        except httpx.HTTPError as error:
            raise Unanswered(f"Prometheus does not answer ({type(error).__name__})") from error
        return _value(found)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _json(body: bytes, response: httpx.Response) -> Any:
    status = response.status_code
    try:
        found = httpx.Response(status, content=body).json()
    except ValueError as error:
        if status == httpx.codes.OK:
            raise Unanswered("Prometheus answers with something else than JSON") from error
        raise Unanswered(f"Prometheus answers {status}") from error
    if status != httpx.codes.OK:
        why = found.get("error") if isinstance(found, dict) else None
        raise Unanswered(f"Prometheus answers {status}" + (f": {str(why)[:200]}" if why else ""))
    return found


def _value(found: Any) -> float:
    try:
        kind, result = found["data"]["resultType"], found["data"]["result"]
        if kind == "vector" and len(result) != 1:
            raise Unanswered(f"Prometheus gives {len(result) or 'no'} series, and should give one")
        if kind not in ("vector", "scalar"):
            raise Unanswered(f"the query gives a {kind}, and should give one value")
        sample = result[0]["value"] if kind == "vector" else result
        value = float(sample[1])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Unanswered("Prometheus answers with something else than a value") from error
    if not math.isfinite(value):
        raise Unanswered(f"Prometheus gives {sample[1]}, as a quotient without cases does")
    return value
