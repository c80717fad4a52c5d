"""In: nothing. Out: the charts, values to render them with, and the helm program itself."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.targets.kubernetes.render import Charts

HERE = Path(__file__).parent
CASES = [(path.parent.name, path.stem) for path in sorted((HERE / "values").glob("*/*.yaml"))]
RELEASE, NAMESPACE = "release", "somewhere"
SMALLEST = {
    "model-server": "default",
    "tfserving": "default",
    "seldon": "server",
    "schnitzel": "small",
}

Manifest = dict[str, Any]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `chart` and `case` runs for each."""
    if {"chart", "case"} <= set(metafunc.fixturenames):
        metafunc.parametrize(("chart", "case"), CASES)


def merged(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Values with others put over them, as Helm does."""
    result = dict(values)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merged(result[name], value) if both else value
    return result


@pytest.fixture(scope="session")
def folder() -> Path:
    """Where the charts are."""
    return HERE.parents[1] / "helm"


@pytest.fixture(scope="session")
def charts(folder: Path) -> Charts:
    return Charts(folder)


@pytest.fixture(scope="session")
def values_of() -> Callable[..., dict[str, Any]]:
    """The values of a case of a chart, and some put over them."""

    def read(chart: str, case: str = "", **over: Any) -> dict[str, Any]:
        path = HERE / "values" / chart / f"{case or SMALLEST[chart]}.yaml"
        return merged(yaml.safe_load(path.read_text()), over)

    return read


@pytest.fixture(scope="session")
def render(charts: Charts, values_of: Any) -> Callable[..., list[Manifest]]:
    """Render a chart as a case says, with some values put over it."""

    def rendered(chart: str, case: str = "", **over: Any) -> list[Manifest]:
        return charts.render(chart, RELEASE, NAMESPACE, values_of(chart, case, **over))

    return rendered


@pytest.fixture(scope="session")
def one() -> Callable[..., Manifest]:
    """The only manifest of a kind, or of those whose name ends so."""

    def find(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
        named = [m for m in manifests if m["metadata"]["name"].endswith(name)]
        found = [m for m in named if m["kind"] == kind]
        assert len(found) == 1, [(m["kind"], m["metadata"]["name"]) for m in manifests]
        return found[0]

    return find


@pytest.fixture(scope="session")
def helm() -> Path:
    """The helm program (version 4) that the test cluster's build makes."""
    cache = Path(os.environ.get("SCHNITZEL_CACHE") or "~/.cache/schnitzel").expanduser()
    built = cache / "testcluster" / "bin" / "helm"
    found = built if built.is_file() else shutil.which("helm")
    if not found:
        message = "there is no helm: `make cluster` builds one"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return Path(found)


@pytest.fixture(scope="session")
def release() -> tuple[str, str]:
    """Name and namespace of what is rendered here."""
    return RELEASE, NAMESPACE
