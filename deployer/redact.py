"""Take secrets out of texts that people read."""

import re
from typing import Final

_LOGIN: Final = re.compile(r"://(?:[^/@\s:]*:(?!\d*(?:/|$))\S*|[^/\s]+)@")
"""A login with its @, also one with a bare @ or / in the password, which no address may have."""


def redact(text: str) -> str:
    """Take user names and passwords out of addresses."""
    return _LOGIN.sub("://***@", text)
