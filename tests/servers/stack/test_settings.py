from pathlib import Path

import pytest

from stack import settings
from stack.errors import SettingsError
from stack.paths import Layout
from stack.settings import Service


def read(tmp_path: Path) -> settings.Settings:
    layout = Layout(tmp_path / "home")
    layout.home.mkdir(exist_ok=True)
    return settings.read(layout, tmp_path / "cache")


def test_the_defaults_need_no_file(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.wanted_ports() == {
        "mlflow": 5000,
        "airflow": 8080,
        "deployer": 8090,
        "gateway": 8000,
        "gateway_api": 8001,
    }
    assert found.attached() == set()


def test_a_file_and_a_variable_are_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "platform.yaml").write_text(
        "mlflow: {url: 'http://team:5000', username: bob, password_ref: 'env:TEAM_PASSWORD'}\n"
    )
    monkeypatch.setenv("SCHNITZEL_AIRFLOW__PORT", "18081")
    monkeypatch.setenv("TEAM_PASSWORD", "pa:ss")
    found = read(tmp_path)
    assert found.airflow.port == 18081
    assert found.attached() == {"mlflow"}
    assert found.mlflow.authorization() == {"Authorization": "Basic Ym9iOnBhOnNz"}


def test_a_wrong_file_is_refused_in_the_words_of_the_deployer(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "platform.yaml").write_text("mlflow:\n  prt: 1\n")
    with pytest.raises(SettingsError, match=r"mlflow\.prt") as caught:
        read(tmp_path)
    assert not caught.value.message.startswith("error:")
    assert caught.value.hint


def test_a_password_reference_that_leads_nowhere_says_which(tmp_path: Path) -> None:
    for reference in ("env:NO_SUCH_VARIABLE", f"file:{tmp_path}/none"):
        with pytest.raises(SettingsError, match=reference):
            Service(1, "http://x", "bob", reference).authorization()


def test_a_password_in_a_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("word\n")
    assert Service(1, "http://x", "bob", f"file:{tmp_path}/secret").password() == "word"
