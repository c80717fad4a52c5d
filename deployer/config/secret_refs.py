"""Resolve references to secrets ("env:NAME", "file:/path"), each for a single use."""

import os
from collections.abc import Mapping
from pathlib import Path

from deployer.config.services import Service
from deployer.errors import SettingsInvalid


def resolve_secret(reference: str, environ: Mapping[str, str] = os.environ) -> str:
    """Read a secret, which the caller must keep out of logs, files and command lines.

    Args:
        reference: "env:NAME" or "file:/path"; one line break at the file's end does not count.
        environ: the variables in which names are looked up.

    Raises:
        SettingsInvalid: no secret can be read there; names the place, never the content.
    """
    kind, _, where = reference.partition(":")
    if kind == "env":
        if not environ.get(where):
            raise SettingsInvalid(
                f"The secret is to be in the environment variable {where}, which is not set.",
                f"Set {where} before starting the platform, or name another place.",
            )
        return environ[where]
    if kind == "file":
        try:
            return Path(where).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SettingsInvalid(
                f"The secret in the file {where} cannot be read: {why}.",
                f"Put the secret into {where}, readable by you alone (chmod 600).",
            ) from error
    raise SettingsInvalid(
        "A secret is named by 'env:NAME' or 'file:/path', and this is neither.",
        "Write where the secret is, not the secret itself.",
    )


def credentials(
    service: Service, environ: Mapping[str, str] = os.environ
) -> tuple[str, str] | None:
    """Return the user name and password for a server, or None if it needs no login.

    Raises:
        SettingsInvalid: the reference leads nowhere, or there is a reference and no user name.
    """
    if service.password_ref is None:
        return None
    if not service.username:
        raise SettingsInvalid(
            "There is a password_ref, but no username.", "Set username beside it in platform.yaml."
        )
    return service.username, resolve_secret(service.password_ref, environ)
