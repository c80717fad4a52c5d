"""In: a path and a text. Out: a file of that text, replaced at once, for its owner only."""

import os
import threading
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace the file; a reader sees the old text or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    # No link is followed: a folder may be shared with a container that holds less than ours.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(temporary, flags, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def keep(path: Path, text: str) -> None:
    """The same, with its folder, and only if the text differs: readers watch the time of change."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, text)
