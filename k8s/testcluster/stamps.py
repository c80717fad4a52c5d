"""Do a step that leaves something in the cluster once for each content."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from stack.files import keep
from testcluster.layout import Layout


def once(
    layout: Layout,
    name: str,
    content: str,
    step: Callable[[], object],
    folder: Path | None = None,
) -> None:
    """Run a step unless it was already done, in this cluster or folder, with this content."""
    path = (folder or layout.state / "done") / name
    digest = hashlib.sha256(content.encode()).hexdigest()
    if path.exists() and path.read_text() == digest:
        return
    step()
    keep(path, digest)
