"""Real models saved by MLflow, and real servers for them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    script = Path(__file__).with_name("save_models.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@contextmanager
def serving(folder: Path, artifact: Path, **settings: Any) -> Iterator[Server]:
    server = Server(folder, artifact, **settings)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def serve(models: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server for a model by its name, in this test."""
    servers: list[Server] = []

    def start(name: str, **settings: Any) -> Server:
        folder = tmp_path / str(len(servers))
        folder.mkdir()
        servers.append(Server(folder, models / name, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def _shared(name: str) -> Any:
    @pytest.fixture(scope="session", name=name)
    def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        with serving(tmp_path_factory.mktemp(name), models / name) as running:
            yield running.ready()

    return server


iris = _shared("iris")
forest = _shared("forest")
words = _shared("words")
actor = _shared("actor")
describe = _shared("describe")
