"""up and down on the quickest component: what goes wrong with the platform as a whole."""

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.run.ports import free_port
from support.run.process import lives
from support.run.wait import wait_for

from stack import platform
from stack.errors import ComponentError, SettingsError, StackError
from stack.paths import Layout
from stack.platform import Progress
from stack.settings import Service, Settings
from stack.supervision.supervisor import Program, Supervisor


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    made = Layout(tmp_path / "home")
    yield made
    platform.down(layout=made)


@pytest.fixture
def settings() -> Settings:
    return Settings(gateway_port=free_port(), gateway_api_port=free_port())


def up(layout: Layout, settings: Settings, **arguments: Any) -> platform.Up:
    return platform.up(layout=layout, only={"gateway"}, settings=settings, **arguments)


def gateway_of(layout: Layout) -> platform.Status:
    return next(each for each in platform.status(layout) if each.name == "gateway")


def test_a_second_up_changes_nothing(layout: Layout, settings: Settings) -> None:
    assert up(layout, settings).started == ["gateway"]
    before = gateway_of(layout).pid
    again = up(layout, settings)
    assert again.started == []
    assert gateway_of(layout).pid == before


def test_progress_is_told_on_the_way(layout: Layout, settings: Settings) -> None:
    told: list[Progress] = []
    up(layout, settings, progress=told.append)
    assert told[-1].state == "healthy"
    assert told[-1].component == "gateway"
    assert all(each.elapsed >= 0 for each in told)


def test_a_taken_port_is_replaced_said_and_kept(layout: Layout, settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.gateway_port))
        other.listen()
        result = up(layout, settings)
        assert f"Port {settings.gateway_port} is taken" in result.notices[0]
        url = gateway_of(layout).url
        assert httpx.get(url).status_code == 404
    assert up(layout, settings).started == []
    assert gateway_of(layout).url == url


def test_a_killed_supervisord_is_mended_by_up_and_leaves_no_stray(
    layout: Layout, settings: Settings
) -> None:
    up(layout, settings)
    stray = gateway_of(layout).pid or 0
    pid = int((layout.run / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not lives(pid))
    assert gateway_of(layout).health != "healthy"
    url = gateway_of(layout).url
    assert up(layout, settings).notices == []
    assert not lives(stray)
    assert gateway_of(layout).url == url


def test_a_killed_gateway_comes_back_by_itself(layout: Layout, settings: Settings) -> None:
    up(layout, settings)
    pid = gateway_of(layout).pid
    os.kill(pid or 0, signal.SIGKILL)
    wait_for(lambda: gateway_of(layout).pid not in (None, pid))
    wait_for(lambda: gateway_of(layout).health == "healthy")


def test_a_component_that_fails_is_named_with_its_log_and_stopped(
    layout: Layout, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "traefik"
    broken.write_text("#!/bin/sh\necho no such option; exit 1\n")
    broken.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr("stack.components.traefik.binary", lambda: broken)
        with pytest.raises(ComponentError, match="no such option") as caught:
            up(layout, settings)
    assert "gateway" in caught.value.message
    assert str(layout.logs / "gateway.log") in caught.value.message
    assert platform.platform_supervisor(layout).processes() == {}
    assert up(layout, settings).started == ["gateway"]


def test_two_at_once_make_one_platform(layout: Layout, settings: Settings) -> None:
    told: list[Progress] = []
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: up(layout, settings, progress=told.append), range(2)))
    assert sorted(result.started for result in results) == [[], ["gateway"]]
    assert any(each.state == "waiting" and each.component == "platform" for each in told)


def test_down_ends_model_servers_too_and_keeps_data(layout: Layout, settings: Settings) -> None:
    up(layout, settings)
    serving = Supervisor(layout.serving, "schnitzel-serving")
    serving.ensure()
    serving.put(Program("m", ("sleep", "600"), {}, layout.home, layout.logs / "m.log"))
    pids = [serving.processes()["m"].pid, gateway_of(layout).pid]
    token = layout.token.read_text()
    assert platform.down(layout=layout) == ["gateway", "m"]
    assert not any(lives(pid or 0) for pid in pids)
    assert {each.health for each in platform.status(layout)} == {"stopped"}
    assert platform.down(layout=layout) == []
    up(layout, settings)
    assert layout.token.read_text() == token


def test_down_with_its_data_deleted_keeps_what_a_person_wrote(
    layout: Layout, settings: Settings
) -> None:
    up(layout, settings)
    layout.platform_yaml.write_text("{}\n")
    platform.down(layout=layout, delete_data=True)
    assert [path.name for path in layout.home.iterdir()] == ["platform.yaml"]


def test_down_where_nothing_ever_was_is_no_error(tmp_path: Path) -> None:
    assert platform.down(layout=Layout(tmp_path / "nowhere")) == []
    assert not (tmp_path / "nowhere").exists()


def test_stale_files_of_before_a_reboot_are_no_obstacle(layout: Layout, settings: Settings) -> None:
    up(layout, settings)
    pids = [int((layout.run / "supervisord.pid").read_text()), gateway_of(layout).pid or 0]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(lives(pid) for pid in pids))
    assert (layout.run / "supervisord.sock").exists()
    assert up(layout, settings).started == ["gateway"]


def test_an_attached_mlflow_that_does_not_answer_is_said_with_a_next_step(
    layout: Layout,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stack.components.components.ATTACHED_SECONDS", 0.5)
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ComponentError, match="attached") as caught:
        platform.up(
            layout=layout, only={"mlflow"}, settings=Settings(mlflow=Service(5000, url=url))
        )
    assert "platform.yaml" in caught.value.hint


def test_a_home_that_cannot_be_made_is_said_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="cannot be made") as caught:
        platform.up(layout=Layout(tmp_path / "file" / "home"))
    assert "SCHNITZEL_HOME" in caught.value.hint


def test_wrong_settings_stop_up_before_anything_is_started(layout: Layout) -> None:
    layout.home.mkdir()
    layout.platform_yaml.write_text("gateway: {prt: 1}\n")
    with pytest.raises(SettingsError, match="prt"):
        platform.up(layout=layout)
    assert not (layout.run / "supervisord.pid").exists()


def test_status_of_a_home_that_was_never_started(tmp_path: Path) -> None:
    seen = platform.status(Layout(tmp_path / "nowhere"))
    assert [each.name for each in seen] == ["mlflow", "gateway", "airflow", "deployer"]
    assert {each.health for each in seen} == {"stopped"}
