from pathlib import Path

import pytest

from stack import paths
from stack.paths import Layout


def test_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCHNITZEL_HOME", "~/here")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCHNITZEL_CACHE", "")
    assert paths.home() == tmp_path / "here"
    assert paths.cache() == tmp_path / ".cache" / "schnitzel"


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHNITZEL_HOME", "here")
    assert paths.home() == tmp_path / "here"


def test_data_is_all_but_what_a_person_wrote(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    data = layout.data()
    assert layout.platform_yaml not in data
    assert {layout.secrets, layout.token, layout.mlflow, layout.serving} <= set(data)
    assert all(path.parent == tmp_path for path in data)
