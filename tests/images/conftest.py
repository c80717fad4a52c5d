"""The images of this checkout, and the environment builder run as a Job would run it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cluster import Cluster
from cluster import cluster as the_cluster
from environment_builder import Builder
from packageindex import PackageIndex

from images import as_pushed, built

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return the_cluster()


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> dict[str, str]:
    """What serves and builds, by digest, as this machine reaches it."""
    wanted = built(cluster, "model-server", "environment-builder")
    return {name: as_pushed(cluster, image) for name, image in wanted.items()}


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    served = PackageIndex()
    yield served
    served.close()


@pytest.fixture
def builder(cluster: Cluster, images: dict[str, str], tmp_path: Path) -> Builder:
    return Builder(cluster, images, tmp_path)


@pytest.fixture
def crane(cluster: Cluster) -> Callable[..., Any]:
    def run(*arguments: str) -> Any:
        command = [cluster.program("crane"), *arguments, "--insecure"]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    return run


@contextmanager
def beside(folder: Path) -> Iterator[None]:
    """Let what is in a folder be imported, as it is where a program there is run by its path."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"images_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    with beside(path.parent):
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def part() -> Callable[[str], ModuleType]:
    """A module of the images by its path: "environment-builder/layer"."""
    return lambda name: _module(ROOT / f"images/{name}.py")
