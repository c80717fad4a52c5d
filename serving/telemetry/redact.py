"""Text that people will read goes in; the same text without secrets comes out."""

from __future__ import annotations

import re

_GONE = "[redacted]"
_VALUE = r"""("[^"]*"|'[^']*'|[^\s"',;&)}\]]+)"""
_NAMED = re.compile(
    r"""((?:password|passwd|passphrase|pwd|token|secret|api[_-]?key|access[_-]?key)["']?\s*[=:]\s*|key["']?\s*=\s*)"""
    + _VALUE,
    re.IGNORECASE,
)
_IN_URL = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/@'\"]+@", re.IGNORECASE)
_HEADER = re.compile(r"\b(bearer|basic)\s+[a-z0-9+/=._~-]{6,}", re.IGNORECASE)


def redact(text: str) -> str:
    """Return `text` without what follows password, token, secret or key, nor logins in URLs."""
    text = _IN_URL.sub(rf"\1{_GONE}@", text)
    text = _HEADER.sub(rf"\1 {_GONE}", text)
    return _NAMED.sub(rf"\1{_GONE}", text)
