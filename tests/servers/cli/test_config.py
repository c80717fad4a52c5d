"""Settings: which layer wins, and what each says of its origin."""

from pathlib import Path

import pytest

from cli.config import KEYS


def test_config_show_names_each_origin(schnitzel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHNITZEL_OUTPUT", "json")
    shown = schnitzel("config", "show")
    assert shown.code == 0
    rows = {row["setting"]: row for row in shown.json["settings"]}
    assert set(KEYS) <= set(rows)
    assert rows["output"] == {"setting": "output", "value": "json", "origin": "SCHNITZEL_OUTPUT"}
    assert rows["gateway.port"]["origin"] == "default"


def test_the_home_flag_wins(schnitzel, tmp_path: Path) -> None:
    shown = schnitzel("--home", tmp_path / "other", "config", "show", "-o", "json")
    home = next(row for row in shown.json["settings"] if row["setting"] == "home")
    assert home["value"] == str(tmp_path / "other")
    assert home["origin"] == "--home"


def test_resolved_platform_settings_are_kept_until_something_changes(
    schnitzel, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli import settings

    (home / "platform.yaml").write_text("mlflow: {port: 5055}\n")
    assert settings.platform_settings(home)["mlflow"]["port"] == 5055
    asked: list[int] = []
    real = settings._resolve
    monkeypatch.setattr(settings, "_resolve", lambda: asked.append(1) or real())
    settings.platform_settings(home)
    assert not asked
    (home / "platform.yaml").write_text("mlflow: {port: 5056}\n")
    assert settings.platform_settings(home)["mlflow"]["port"] == 5056
    assert asked


def test_a_wrong_platform_yaml_is_reported_in_the_deployer_s_words(schnitzel, home: Path) -> None:
    (home / "platform.yaml").write_text("mlflow: {prot: 5055}\n")
    shown = schnitzel("env", "list")
    assert shown.code == 1
    assert "prot" in shown.err
    assert "hint: " in shown.err
