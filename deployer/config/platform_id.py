"""Read the platform's id from its file, or create it."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from deployer.errors import SettingsInvalid


def platform_id(path: Path) -> str:
    """Return the platform's id, 12 hex digits, created once even if several processes ask.

    Args:
        path: the file that keeps the id.

    Raises:
        SettingsInvalid: the id can neither be read nor created.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".platform-id-") as made:
                made.write(f"{secrets.token_hex(6)}\n")
                made.flush()
                os.fsync(made.fileno())
                Path(made.name).chmod(0o644)
                # If another process was first, its id is the platform's.
                with contextlib.suppress(FileExistsError):
                    path.hardlink_to(made.name)
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(
            f"The platform's id in {path} can neither be read nor made: {error}.",
            "Make the folder writable, or set SCHNITZEL_HOME to one that is.",
        ) from error
    if not text or not text.isalnum():
        raise SettingsInvalid(
            f"The platform's id in {path} is not one.",
            "Put back the id that this platform had (its tags in MLflow carry it).",
        )
    return text
