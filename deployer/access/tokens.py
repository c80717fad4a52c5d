"""Find the subject of a token."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from deployer.errors import Unauthorised


def subject(known: Mapping[str, Any], authorization: str | None) -> str:
    """Find the subject of an Authorization header.

    Args:
        known: The subjects by the SHA-256 of their tokens, in hex.
        authorization: The header; None if there is none.

    Raises:
        Unauthorised: The header has no token, or an unknown token.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorised(
            "A change needs a token that names who asks.",
            "Send `Authorization: Bearer TOKEN`; `schnitzel up` wrote one into the home.",
        )
    digest = hashlib.sha256(token.strip().encode()).hexdigest()
    found = ""
    for hashed, name in known.items():  # all of them, so that the time taken reveals nothing
        if hmac.compare_digest(hashed.encode(), digest.encode()) and isinstance(name, str):
            found = name
    if not found:
        raise Unauthorised("This token is not known.", "schnitzel up makes a new one.")
    return found
