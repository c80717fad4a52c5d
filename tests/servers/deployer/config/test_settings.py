import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
Write = Callable[[str], Path]


@pytest.fixture
def platform_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith("SCHNITZEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCHNITZEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "home"


@pytest.fixture
def write(platform_home: Path) -> Write:
    def write_platform_yaml(text: str) -> Path:
        platform_home.mkdir(exist_ok=True)
        path = platform_home / "platform.yaml"
        path.write_text(text)
        return path

    return write_platform_yaml


def test_the_command_refuses_bad_settings_with_status_2(write: Write) -> None:
    write("mlflow: {prot: 1}")
    done = subprocess.run(
        [sys.executable, "-m", "deployer", "settings", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "\n\nhint: Did you mean 'port'?" in done.stderr
