"""RabbitMQ as a component: what is written for it, and its health."""

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack import credentials
from stack.components import components, health, rabbitmq
from stack.components.components import Component
from stack.errors import StackError
from stack.paths import Layout
from stack.settings import Settings

PORTS = {"mlflow": 1, "airflow": 2, "deployer": 3, "gateway": 4, "gateway_api": 5, "rabbitmq": 5673}
# As 3.10.8 greeted, shortened to one property before the version.
TABLE = b"\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8"
START = (
    b"\0\x0a\0\x0a\0\x09"
    + len(TABLE).to_bytes(4, "big")
    + TABLE
    + b"\0\0\0\x05PLAIN\0\0\0\x05en_US"
)
GREETING = b"\x01\0\0" + len(START).to_bytes(4, "big") + START + b"\xce"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "100% home")
    made.home.mkdir()
    return made


@pytest.fixture(autouse=True)
def _packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(rabbitmq, "PACKAGED", tmp_path / "packaged")


def install(folder: Path, name: str = "rabbitmq-server") -> Path:
    folder.mkdir(parents=True)
    (folder / "rabbitmq-env").write_text("")
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return folder / name


def build(layout: Layout, *, port: int = 5673, on: bool = True) -> Component | None:
    if on and not (layout.home.parent / "packaged").exists():
        install(layout.home.parent / "packaged/rabbitmq_server-3.10.8/sbin")
    settings = Settings(components=("rabbitmq",) if on else ())
    made = credentials.ensure(layout)
    ports = PORTS | {"rabbitmq": port}
    built = components.build(layout, layout.home / "cache", settings, ports, made)
    return next((each for each in built if each.address.name == "rabbitmq"), None)


def built(layout: Layout, port: int = 5673) -> Component:
    found = build(layout, port=port)
    assert found
    return found


def test_it_is_off_unless_it_is_asked_for_and_then_nothing_is_made_for_it(layout: Layout) -> None:
    assert build(layout, on=False) is None
    assert not layout.rabbitmq.exists()
    assert not [path for path in layout.secrets.iterdir() if "rabbitmq" in path.name]
    assert "rabbitmq" not in Settings().wanted_ports()


def test_it_listens_on_loopback_for_amqp_alone(layout: Layout) -> None:
    [program] = built(layout).programs
    config = (layout.rabbitmq / "rabbitmq.conf").read_text()
    assert "listeners.tcp.1 = 127.0.0.1:5673\n" in config
    erlang = program.environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    assert f"-sname {program.environment['RABBITMQ_NODENAME']} " in erlang
    assert "-start_epmd false" in erlang
    assert "-dist_listen false" in erlang


@pytest.mark.parametrize("port", [1, 5672, 45535, 45536, 65535])
def test_the_port_of_the_distribution_is_one(port: int, tmp_path: Path) -> None:
    erlang = rabbitmq.environment(tmp_path, port)["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    distribution = int(erlang.split("-erl_epmd_port ")[1].split()[0])
    assert 0 < distribution < 65536
    assert distribution != port


def test_the_password_is_in_private_files_of_the_secrets_and_nowhere_else(layout: Layout) -> None:
    component = built(layout)
    password = layout.rabbitmq_password.read_text().strip()
    assert layout.rabbitmq_url.read_text() == f"amqp://schnitzel:{password}@127.0.0.1:5673/\n"
    assert password not in repr(component)
    files = [path for path in layout.home.rglob("*") if path.is_file()]
    holding = {path for path in files if password in path.read_text()}
    assert holding == {layout.rabbitmq_password, layout.rabbitmq_url}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)


def test_the_only_user_has_the_hash_of_the_password(layout: Layout) -> None:
    built(layout)
    found = json.loads((layout.rabbitmq / "definitions.json").read_text())
    [user] = found["users"]
    assert user["name"] == "schnitzel"
    hashed = base64.b64decode(user["password_hash"])
    password = layout.rabbitmq_password.read_bytes().strip()
    assert hashed[4:] == hashlib.sha256(hashed[:4] + password).digest()


def test_it_starts_anew_for_another_port_or_password_and_for_nothing_else(layout: Layout) -> None:
    before = built(layout).programs
    assert built(layout).programs == before
    assert built(layout, port=5674).programs != before
    assert ":5674/" in layout.rabbitmq_url.read_text()
    layout.rabbitmq_password.unlink()
    assert built(layout).programs != before


def test_it_that_is_not_installed_is_said_with_the_package(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "packaged").mkdir()
    with pytest.raises(StackError, match="is not installed") as caught:
        build(layout)
    assert "apt-get install rabbitmq-server" in caught.value.hint


def test_the_newest_of_the_packages_runs(tmp_path: Path) -> None:
    for version in ("3.9.13", "3.10.8", "3.10.8-rc.1"):
        install(tmp_path / f"packaged/rabbitmq_server-{version}/sbin")
    assert "3.10.8" in str(rabbitmq.server())


def test_what_is_on_the_path_wins_unless_it_is_the_packages_wrapper(tmp_path: Path) -> None:
    packaged = install(tmp_path / "packaged/rabbitmq_server-3.10.8/sbin")
    wrapper = install(tmp_path / "lib/bin", "rabbitmq-script-wrapper")
    (tmp_path / "bin").mkdir()
    on_path = tmp_path / "bin/rabbitmq-server"
    on_path.symlink_to(wrapper)
    assert rabbitmq.server() == packaged
    on_path.unlink()
    on_path.symlink_to(own := install(tmp_path / "own/sbin"))
    assert rabbitmq.server() == own


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes one connection, answers it and closes it; its URL and what it read."""
    heard: list[bytes] = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(100))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"amqp://127.0.0.1:{server.getsockname()[1]}", heard
        thread.join(10)


def test_a_broker_that_greets_is_healthy_and_its_version_is_known() -> None:
    with answering(GREETING) as (url, heard):
        assert health.rabbitmq(url) == health.Health(ok=True, detail="", version="3.10.8")
    assert heard == [b"AMQP\0\0\x09\x01"]


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x01\0\0", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\0\0\x09\x01", GREETING[:7]],
)
def test_another_answer_is_no_broker(answer: bytes) -> None:
    with answering(answer) as (url, _):
        seen = health.rabbitmq(url)
    assert (seen.ok, seen.detail) == (False, "it does not speak AMQP 0-9-1")


def test_no_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"amqp://127.0.0.1:{silent.getsockname()[1]}"
        assert "does not answer" in health.rabbitmq(url).detail
        silent.listen()
        assert "does not answer" in health.rabbitmq(url).detail
