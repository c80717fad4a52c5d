"""Projects, homes and servers of their own for the tests of dags/."""

import os
import shutil
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

# Airflow reads it when it is first imported, and writes its configuration there.
_AIRFLOW_HOME = tempfile.mkdtemp(prefix="schnitzel-airflow-")
os.environ["AIRFLOW_HOME"] = _AIRFLOW_HOME
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

ROOT = Path(__file__).parents[2]

MINIMAL = """
name: tiny
owner: someone
steps:
  only:
    command: python -c "print('hello')"
"""


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(_AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SCHNITZEL_HOME and SCHNITZEL_CACHE of the test's own."""
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCHNITZEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "home" / "projects").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[..., Path]:
    """Makes a project's folder: its project.yaml's text, and more files by name."""

    def make(text: str = MINIMAL, name: str = "tiny", **files: str) -> Path:
        folder = tmp_path / "projects" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "project.yaml").write_text(textwrap.dedent(text))
        (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1"\n')
        (folder / "requirements.txt").touch()
        for file, content in files.items():
            (folder / file.replace("__", ".")).write_text(textwrap.dedent(content))
        return folder

    return make


@pytest.fixture
def register_project(home: Path) -> Callable[[Path, str], None]:
    """Registers a folder with the platform, as `schnitzel project add` does."""

    def register(folder: Path, name: str) -> None:
        from json import dumps

        registration = {"name": name, "path": str(folder)}
        (home / "projects" / f"{name}.json").write_text(dumps(registration))

    return register
