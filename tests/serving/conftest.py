"""Real models saved by MLflow, and real servers for them."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tfserving_standin
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


@pytest.fixture(scope="session")
def model_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make an environment that has what ours has, but nothing of ours; return its interpreter."""
    folder = tmp_path_factory.mktemp("environment") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # A folder named in a .pth file is searched, but the .pth files in it are not read: ours would
    # be found by one of them.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return str(folder / "bin" / "python")


@contextmanager
def serving(folder: Path, artifact: Path, **settings: Any) -> Iterator[Server]:
    server = Server(folder, artifact, **settings)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def serve(models: Path, model_python: str, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server for a model by its name, in this test."""
    servers: list[Server] = []

    def start(name: str, **settings: Any) -> Server:
        folder = tmp_path / str(len(servers))
        folder.mkdir()
        servers.append(Server(folder, models / name, **{"python": model_python, **settings}))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def _shared(name: str) -> Any:
    @pytest.fixture(scope="session", name=name)
    def server(
        models: Path, model_python: str, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Server]:
        with serving(tmp_path_factory.mktemp(name), models / name, python=model_python) as running:
            yield running.ready()

    return server


iris = _shared("iris")
forest = _shared("forest")
words = _shared("words")
actor = _shared("actor")
describe = _shared("describe")


# -- TensorFlow's


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("saved-models")
    tfserving_standin.run(Path(__file__).with_name("save_saved_models.py"), folder)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="session")
def tensorflow_serving(
    saved_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tfserving_standin.ModelServer]:
    """A stand-in that has every model that can be loaded."""
    loadable = {name: path for name, path in saved_models.items() if name != "empty"}
    standin = tfserving_standin.ModelServer(tmp_path_factory.mktemp("tfserving"), loadable)
    try:
        yield standin.ready()
    finally:
        standin.stop()


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a front for a model that a TensorFlow Serving has."""
    servers: list[Server] = []

    def start(name: str, url: str, **settings: Any) -> Server:
        folder = tmp_path / f"front-{len(servers)}"
        folder.mkdir()
        backend = {"kind": "tfserving", "url": url, "model": name}
        servers.append(Server(folder, folder / name, python="", backend=backend, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
