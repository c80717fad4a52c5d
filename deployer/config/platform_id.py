"""In: the file that keeps the platform's id; out: the id, made if there is none."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from deployer.errors import SettingsInvalid


def platform_id(path: Path) -> str:
    """This platform's id, 12 hex digits: made once, however many ask at the same time.

    Args:
        path: the file that keeps it.

    Raises:
        SettingsInvalid: it can neither be read nor made.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".platform-id-") as made:
                made.write(f"{secrets.token_hex(6)}\n")
                made.flush()
                os.fsync(made.fileno())
                Path(made.name).chmod(0o644)
                # Where another process was first, its id is the platform's.
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
