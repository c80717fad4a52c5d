"""Redact secrets in texts for operators and researchers.

The module uses the standard library only, because images copy this file. `serving.telemetry.redact`
does the same for the output of a model server; one list of cases tests both.
"""

import re
from typing import Final

GONE: Final = "[redacted]"

_LOGIN: Final = re.compile(r"(?<=[\w+.-]://)(?:[^/@\s:'\"]*:(?!\d*(?:/|$))[^\s'\"]*|[^/\s'\"]+)@")
"""A login with its @, even with a bare @ or / in the password, which no address may have."""
_HEADER: Final = re.compile(r"\b(bearer|basic)\s+[a-z0-9+/=._~-]{6,}", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"((?:password|passwd|passphrase|pwd|token|secret|api[_-]?key|access[_-]?key)[\"']?\s*[=:]\s*"
    r"|key[\"']?\s*=\s*)(?!\[redacted\])"
    r"(\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z)|[^\s\"',;&)}\]]+)",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Redact logins in addresses, and values that follow password, token, secret or key."""
    text = redact_logins(text)
    text = _HEADER.sub(rf"\1 {GONE}", text)
    return _NAMED.sub(rf"\1{GONE}", text)


def redact_logins(text: str) -> str:
    """Redact user names and passwords in addresses."""
    return _LOGIN.sub(f"{GONE}@", text)
