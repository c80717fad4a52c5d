"""Check a request's head, and read the framing of its body.

llhttp parses strictly; this module refuses what llhttp accepts against RFC 9112 and 9110.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from serving.front.listener import Refused

if TYPE_CHECKING:
    from serving.front.listener import Headers

VERSIONS = frozenset({"1.0", "1.1"})
_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
# RFC 3986, 3.2.2 and 3.2.3, without path and userinfo.
_HOST = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]*|\[[\w:.%-]+\])(?::[0-9]*)?", re.ASCII)
_ABSOLUTE = re.compile(rb"https?://([^/?]+)(.*)", re.IGNORECASE | re.DOTALL)


class Framing(NamedTuple):
    """The framing of a body, as its head declares it.

    Attributes:
        length: bytes of the body; 0 if they come in chunks.
        expects: whether the client waits for 100 Continue before it sends the body.
    """

    length: int
    expects: bool


def framing(version: str, headers: Headers) -> Framing:
    """Return the framing that a head declares.

    Raises:
        Refused: the server does not accept the version, Host, Transfer-Encoding or Expect.
    """
    if version not in VERSIONS:
        raise Refused(505, f"HTTP/{version} is not spoken here: use HTTP/1.1")
    found = [header for header in headers if header[0] in _FRAMING]
    values = dict(found)
    hosts = [value for name, value in found if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise Refused(400, "the request must have one Host header")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise Refused(400, "the Host header is not the name of a host, with a port or without")
    if b"transfer-encoding" in values:
        _only_chunked(version, found)
    expects = values.get(b"expect", b"") if version == "1.1" else b""
    if expects and expects.lower() != b"100-continue":
        raise Refused(417, "only 'Expect: 100-continue' is known")
    return Framing(int(values.get(b"content-length", b"0")), expects=bool(expects))


def raise_if_large(target: bytes, headers: Headers, limit: int) -> None:
    """Refuse a head of more than `limit` bytes, not counting what stands between its parts.

    Raises:
        Refused: it is larger.
    """
    if len(target) + sum(len(name) + len(value) for name, value in headers) > limit:
        raise too_large(limit)


def too_large(limit: int) -> Refused:
    """Return the refusal of a head of more than `limit` bytes."""
    return Refused(431, f"the request's head is larger than {limit} bytes")


def _only_chunked(version: str, headers: Headers) -> None:
    if version == "1.0":  # RFC 9112, 6.1: its framing is faulty
        raise Refused(400, "Transfer-Encoding needs HTTP/1.1")
    codings = b",".join(value for name, value in headers if name == b"transfer-encoding")
    if codings.lower().rpartition(b",")[2].strip() != b"chunked":
        raise Refused(400, "the last Transfer-Encoding of a request must be chunked")
    if b"," in codings:
        raise Refused(501, "only 'Transfer-Encoding: chunked' is known")


def origin_form(method: bytes, target: bytes) -> bytes:
    """Return a target, in any of its forms, as path and query.

    Raises:
        Refused: a request of this method has no target of this form (RFC 9112, 3.2).
    """
    if b"#" in target:
        raise Refused(400, "the target of a request has no fragment: leave out what begins with #")
    if target.startswith(b"/"):
        return target
    if target == b"*" and method == b"OPTIONS":
        return b"/"
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None or _HOST.fullmatch(absolute[1]) is None:
        raise Refused(400, "the target of a request must be a path, or an http address")
    rest: bytes = absolute[2]
    return rest if rest.startswith(b"/") else b"/" + rest
