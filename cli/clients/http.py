"""Send requests to an HTTP service, and turn failures into errors with a next step.

On the standard library: importing httpx takes 80 to 120 ms and brings rich along (measured, httpx
0.28), urllib 20. Redirects are not followed, so that credentials never travel to another host, and
loopback is asked directly, whatever proxy the variables name.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from cli.errors import CommandError, LoginRefused, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Refused(CommandError):  # noqa: N818  # named for the service's answer
    """A service answered with an error: HTTP's `status` and, if it has one, its own `code`."""

    def __init__(self, message: str, hint: str, status: int, code: str) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Return no request, so that the redirect's own status comes back as an error."""


@dataclass(frozen=True)
class Reply:
    """A service's answer: status, headers (any case) and body."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", errors="replace")


@dataclass(frozen=True)
class Service:
    """An HTTP service.

    Attributes:
        name: its common name, for errors.
        base: its URL, without a slash at the end.
        headers: sent with each request.
        start: the hint when it does not answer.
        login: the hint when it refuses the credentials.
        timeout: seconds for connecting and for each read.
    """

    name: str
    base: str
    headers: Mapping[str, str] = field(default_factory=dict)
    start: str = "start it with: schnitzel up"
    login: str = "check the credentials"
    timeout: float = 10.0

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request, and return the answer.

        Args:
            method: the HTTP method.
            path: begins with a slash; percent-encoded already.
            params: the query; `None` values are left out, lists repeat their name.
            body: JSON data to send.
            raw: bytes to send instead.
            headers: of this request.

        Raises:
            Unreachable: no answer.
            LoginRefused: 401 or 403.
            Refused: any other status of 300 or more.
        """
        query = urlencode({k: v for k, v in (params or {}).items() if v is not None}, doseq=True)
        url = f"{self.base}{path}?{query}" if query else f"{self.base}{path}"
        if not url.startswith(("http://", "https://")):
            raise CommandError(f"{self.name}: {self.base!r} is not an http:// or https:// URL")
        data = json.dumps(body).encode() if body is not None else raw
        request = urllib.request.Request(url, data=data, method=method)  # noqa: S310  # checked above
        for name, value in {
            "Accept": "application/json",
            "User-Agent": "schnitzel",
            **({"Content-Type": "application/json"} if data is not None else {}),
            **self.headers,
            **(headers or {}),
        }.items():
            request.add_header(name, value)
        try:
            with self._opener().open(request, timeout=self.timeout) as answer:
                return Reply(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error) from None
        except (OSError, HTTPException) as error:
            why = getattr(error, "reason", None) or error
            raise Unreachable(
                f"{self.name} does not answer at {self.base}: {_reason(why)}", self.start
            ) from None

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Send a GET, and parse the answer's JSON."""
        return self.send("GET", path, params=params).json()

    def post(self, path: str, body: Any) -> Any:
        """Send a POST of JSON, and parse the answer's JSON."""
        reply = self.send("POST", path, body=body)
        return reply.json() if reply.body.strip() else None

    def _opener(self) -> urllib.request.OpenerDirector:
        if urlsplit(self.base).hostname in _LOOPBACK:
            return urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
        return urllib.request.build_opener(_NoRedirect)

    def _refusal(self, error: urllib.error.HTTPError) -> CommandError:
        message, hint, code = _explain(error.read())
        if error.code in (401, 403):
            return LoginRefused(
                f"{self.name} refuses this: {message or error.reason}", hint or self.login
            )
        if 300 <= error.code < 400:
            where = error.headers.get("Location", "elsewhere")
            return Refused(
                f"{self.name} at {self.base} redirects to {where}",
                "give the URL that it redirects to",
                error.code,
                code,
            )
        text = message or f"{error.reason} ({error.code})"
        return Refused(f"{self.name}: {text}", hint, error.code, code)


def path_segment(name: str) -> str:
    """Percent-encode a name for one segment of a path."""
    return quote(name, safe="")


def _reason(why: Any) -> str:
    if isinstance(why, TimeoutError):
        return "timed out"
    return (getattr(why, "strerror", None) or str(why) or type(why).__name__).lower()


def _explain(body: bytes) -> tuple[str, str, str]:
    """Read message, hint and code from an error of the Deployer, MLflow or Airflow."""
    try:
        found = json.loads(body)
    except ValueError:
        return "", "", ""
    if not isinstance(found, dict):
        return "", "", ""
    detail = found.get("detail")
    if isinstance(detail, list):
        detail = "; ".join(str(item.get("msg", item)) for item in detail if isinstance(item, dict))
    elif isinstance(detail, dict):
        detail = detail.get("reason") or detail.get("message") or json.dumps(detail)
    text = found.get("error") or found.get("message") or detail or ""
    return str(text), str(found.get("hint") or ""), str(found.get("error_code") or "")
