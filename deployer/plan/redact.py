"""Mask the secrets in changed fields.

A value is a secret if its field has the name of a secret (a token, a password, a key), or if it is
an environment variable of such a name; passwords in addresses are masked everywhere. A reference to
a secret (a Secret's name and key) stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from deployer.plan.diff import FieldChange, Path, document
from deployer.redact import GONE, redact_logins

_SECRET_NAME: Final = re.compile(
    r"(?i)token|secret|passw|credential|api_?key|access_?key|private_?key|authorization|\bdsn\b"
)
_NAMES_ONLY: Final = re.compile(
    r"(?i)(secret_?names?|secretkeyref|imagepullsecrets|automountserviceaccounttoken|secret)$"
)


def masked(change: FieldChange, kind: str = "") -> FieldChange:
    """Mask every value of a change that looks like a secret."""
    steps = tuple(re.findall(r"\[[^\]]*\]|[^.\[\]]+", change.path))
    secret = kind == "Secret" and steps[:1] in {("data",), ("stringData",)}
    return replace(
        change, was=_mask(change.was, steps, secret), wanted=_mask(change.wanted, steps, secret)
    )


def _mask(value: Any, steps: Path, secret: bool) -> Any:
    if isinstance(value, Mapping):
        named = value.get("name")
        inner = bool(isinstance(named, str) and "value" in value and _SECRET_NAME.search(named))
        return {
            name: _mask(item, (*steps, str(name)), secret or (inner and name == "value"))
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_mask(item, steps, secret) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if secret or _names_a_secret(steps):
        return GONE
    if not isinstance(value, str):
        return value
    inside = document(value)
    return redact_logins(value) if inside is None else _mask(inside, steps, secret)


def _names_a_secret(steps: Path) -> bool:
    """Return whether a path ends at the value of a secret, and not only at its name."""
    if not steps:
        return False
    leaf = steps[-1].strip("[]")
    if leaf == "value" and len(steps) > 1 and steps[-2].startswith("[name="):
        return bool(_SECRET_NAME.search(steps[-2]))
    above = steps[-2] if len(steps) > 1 else ""
    if _NAMES_ONLY.search(leaf) or _NAMES_ONLY.search(above):
        return False
    return bool(_SECRET_NAME.search(leaf))
