"""Remove secrets from text for logs and messages, in time linear in its length."""

from __future__ import annotations

import re
from itertools import pairwise

MESSAGE_CHARACTERS = 2_000
"""How much of a message is examined and shown: a message may repeat the whole request."""
TRACEBACK_CHARACTERS = 64_000
_GONE = "[redacted]"
_CUT = " [cut]"
_VALUE = r"""("[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^\s"',;&)}\]]+)"""
_NAMED = re.compile(
    r"""((?:password|passwd|passphrase|pwd|token|secret|api[_-]?key|access[_-]?key)["']?\s*[=:]\s*|key["']?\s*=\s*)"""
    + _VALUE,
    re.IGNORECASE,
)
_HEADER = re.compile(r"\b(bearer|basic)\s+[a-z0-9+/=._~-]{6,}", re.IGNORECASE)
_LOGIN = re.compile(r"[^\s/@'\"]+@")
_SPACE = re.compile(r"\s+\S*\Z")


def redact(text: str) -> str:
    """Remove values named password, token, secret or key, and logins in URLs, from `text`."""
    text = _without_logins(text)
    text = _HEADER.sub(rf"\1 {_GONE}", text)
    return _NAMED.sub(rf"\1{_GONE}", text)


def shown(text: str, characters: int = MESSAGE_CHARACTERS) -> str:
    """Return the redacted beginning of a text; text after `characters` is not examined.

    The text after the last space is left out, too: redaction would not recognise half a secret.
    """
    if len(text) <= characters:
        return redact(text)
    begin = text[:characters]
    space = _SPACE.search(begin, max(0, characters - MESSAGE_CHARACTERS))
    return redact(begin[: space.start()] if space else "") + _CUT


def shown_end(text: str, characters: int = TRACEBACK_CHARACTERS) -> str:
    """Return the redacted last lines of a text: the end of a traceback matters most."""
    if len(text) > characters:
        _, _, text = text[-characters:].partition("\n")
        text = f"[cut]\n{text}"
    return redact(text)


def _without_logins(text: str) -> str:
    # Split at "://": a pattern that begins with the scheme tries every letter as its start.
    parts = text.split("://")
    cleaned = [parts[0]]
    for before, part in pairwise(parts):
        named = before[-1:].isalnum() or before[-1:] in ("+", ".", "-")
        login = _LOGIN.match(part) if named else None
        cleaned.append(f"{_GONE}@{part[login.end() :]}" if login else part)
    return "://".join(cleaned)
