"""A real PostgreSQL on loopback, from Debian's package, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.run.ports import free_port

_USER = "postgres" if os.geteuid() == 0 else None


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run one and give the URL of its database; without it the test is skipped, or fails in CI."""
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not bins:
        missing = "no PostgreSQL server; apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    root = Path(tempfile.mkdtemp(prefix="postgres-"))
    data, port = root / "data", free_port()
    if _USER:
        shutil.chown(root, _USER)
    _run(bins[-1] / "initdb", "-D", data, "-A", "trust", "-U", "test", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={root} -F"
    control = bins[-1] / "pg_ctl"
    _run(control, "-D", data, "-l", root / "log", "-w", "-o", options, "start")
    try:
        yield f"postgresql://test@127.0.0.1:{port}/postgres"
    finally:
        _run(control, "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(root)


def _run(*command: object) -> None:
    # Not into a pipe: the server that pg_ctl leaves behind would hold it open.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [str(word) for word in command],
            user=_USER,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            timeout=60,
        )
        output.seek(0)
        assert done.returncode == 0, output.read().decode()
