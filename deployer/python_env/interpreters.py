"""Find an interpreter of the Python minor that a model was logged with."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from deployer.background import process
from deployer.errors import PythonUnavailable


def find_python(
    version: str, uv: str, environment: Mapping[str, str], stopping: Callable[[], bool]
) -> Path:
    """Find an interpreter of the same patch version, else of another patch of the same minor.

    Virtual environments do not count, and nothing is downloaded.

    Args:
        version: a version such as "3.11.7".
        uv: the uv program.
        environment: uv's environment variables.
        stopping: True ends the search.

    Raises:
        PythonUnavailable: this machine has no interpreter of that minor.
        Stopped: the process ends.
    """
    minor = ".".join(version.split(".")[:2])
    command = [uv, "python", "find", "--system", "--no-project", "--no-python-downloads"]
    for wanted in dict.fromkeys((version, minor)):
        ended = process.run([*command, wanted], environment, stopping, timeout=60)
        lines = ended.output.strip().splitlines()
        if ended.status == 0 and lines and Path(lines[-1]).exists():
            return Path(lines[-1])
    for path in _other_places(version, minor):
        if path.exists():
            return path
    raise PythonUnavailable(
        f"The model was logged with Python {version}, and there is no Python {minor} here.",
        f"Install one (uv python install {minor}), then: schnitzel deploy apply NAME@ENV --retry",
    )


def _other_places(version: str, minor: str) -> Iterator[Path]:
    """List interpreters that uv does not find: pyenv's that no shim selects, and our own."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [path for path in versions.glob(f"{minor}.*") if re.fullmatch(r"[\d.]+", path.name)]
    found.sort(key=lambda path: [int(part) for part in path.name.split(".")], reverse=True)
    yield versions / version / "bin" / "python"
    yield from (path / "bin" / "python" for path in found)
    if minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield Path(getattr(sys, "_base_executable", sys.executable))
