import socket
from pathlib import Path

import pytest
from support.run.ports import free_port

from stack import doctor as doctors
from stack.components.health import Address
from stack.components.status import save_addresses
from stack.doctor import Check, doctor
from stack.paths import Layout


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    # Loading MLflow and Airflow takes seconds; one test below does it.
    monkeypatch.setattr(doctors, "IMPORTS", ("json",))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "home")
    made.run.mkdir(parents=True)
    return made


def look(layout: Layout) -> dict[str, Check]:
    return {check.name: check for check in doctor(layout)}


def test_a_sound_machine_is_told_to_start_the_platform(layout: Layout) -> None:
    found = look(layout)
    assert {name for name, check in found.items() if check.level == "fail"} == set()
    assert found["python"].level == found["packages"].level == found["traefik"].level == "ok"
    assert (found["mlflow"].level, found["mlflow"].fix) == ("warn", "schnitzel up")


def test_whatever_is_wrong_comes_with_what_mends_it(layout: Layout) -> None:
    assert all(check.fix for check in doctor(layout) if check.level != "ok")
    assert all(check.message.endswith(".") for check in doctor(layout))


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = look(Layout(tmp_path / "file" / "home"))
    assert found["home"].level == "fail"
    assert str(tmp_path / "file") in found["home"].message
    assert "SCHNITZEL_HOME" in found["home"].fix


def test_a_taken_port_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("SCHNITZEL_MLFLOW__PORT", str(port))
        check = look(layout)["port-mlflow"]
    assert check.level == "warn"
    assert str(port) in check.message


def test_a_wrong_platform_yaml_is_told_by_field(layout: Layout) -> None:
    layout.platform_yaml.write_text("mlflow:\n  prt: 1\n")
    found = look(layout)
    assert found["settings"].level == "fail"
    assert "mlflow.prt" in found["settings"].message


def test_a_missing_tool_is_told(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctors, "base_environment", lambda: {"PATH": str(tmp_path)})
    found = look(layout)
    assert found["uv"].level == found["git"].level == "fail"


def test_rabbitmq_is_looked_for_only_if_it_is_asked_for(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.components.rabbitmq.PACKAGED", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not [name for name in look(layout) if "rabbitmq" in name]
    layout.platform_yaml.write_text("components: [rabbitmq]\n")
    found = look(layout)
    assert found["rabbitmq-server"].level == "fail"
    assert "apt-get install rabbitmq-server" in found["rabbitmq-server"].fix
    assert (found["rabbitmq"].level, found["rabbitmq"].fix) == ("warn", "schnitzel up")
    assert found["port-rabbitmq"].level in ("ok", "warn")


def test_another_version_than_the_pinned_one_is_told(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctors, "_pins", lambda: {"mlflow": "1.0", "no-such-package": "2.0"})
    check = look(layout)["packages"]
    assert check.level == "fail"
    assert "1.0 is needed" in check.message
    assert "no-such-package is missing" in check.message


def test_the_pins_are_those_of_the_distribution() -> None:
    assert {"mlflow", "apache-airflow"} <= set(doctors._pins())


def test_an_import_that_breaks_is_told_in_its_own_words(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctors, "IMPORTS", ("no_such_module",))
    check = look(layout)["packages"]
    assert check.level == "fail"
    assert "no_such_module" in check.message


def test_an_attached_mlflow_that_does_not_answer_is_told(layout: Layout) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    save_addresses(layout, [Address("mlflow", url, url, attached=True)])
    check = look(layout)["mlflow"]
    assert check.level == "fail"
    assert url in check.message
    assert "platform.yaml" in check.fix


def test_the_installed_packages_can_be_loaded(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    assert look(layout)["packages"] == Check(
        "packages", "ok", "MLflow, Airflow and what they need can be loaded."
    )
