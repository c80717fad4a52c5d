"""RabbitMQ as `up` starts it."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiormq
import pytest
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic
from support.run.listeners import listeners
from support.run.ports import free_port
from support.systems.rabbitmq import need_rabbitmq

from stack import platform
from stack.paths import Layout
from stack.settings import Settings
from stack.supervision.processes import table, with_descendants


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    need_rabbitmq()
    made = Layout(tmp_path / "home")
    yield made
    platform.down(layout=made)


def up(layout: Layout, settings: Settings) -> platform.Up:
    return platform.up(layout=layout, only={"rabbitmq"}, settings=settings)


def status(layout: Layout) -> dict[str, platform.Status]:
    return {each.name: each for each in platform.status(layout)}


def on_a_channel(url: str, work: Callable[[AbstractChannel], Awaitable[bytes]]) -> bytes:
    async def connected() -> bytes:
        connection = await aiormq.connect(url)
        try:
            return await work(await connection.channel())
        finally:
            await connection.close()

    return asyncio.run(connected())


async def send(channel: AbstractChannel) -> bytes:
    await channel.queue_declare("texts", durable=True)
    kept = Basic.Properties(delivery_mode=2)
    await channel.basic_publish(b"kept", routing_key="texts", properties=kept, mandatory=True)
    return b""


async def take(channel: AbstractChannel) -> bytes:
    return (await channel.basic_get("texts", no_ack=True)).body


def test_its_messages_outlast_down_and_only_its_own_user_is_let_in(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(components=("rabbitmq",), rabbitmq_port=free_port())
    monkeypatch.setenv("RABBITMQ_NODE_PORT", "1")  # what a shell happens to hold
    monkeypatch.setenv("ERL_FLAGS", "-no-such-flag")
    started = up(layout, settings)
    assert started.started == ["rabbitmq"]
    [login] = started.logins
    assert Path(login.password_file).read_text().strip() in layout.rabbitmq_url.read_text()

    seen = status(layout)["rabbitmq"]
    assert (seen.health, seen.url) == ("healthy", f"amqp://127.0.0.1:{settings.rabbitmq_port}")
    assert seen.version
    pids = with_descendants({seen.pid or 0}, table())
    assert listeners(pids) == {("0100007F", settings.rabbitmq_port)}
    assert not [pid for pid in table() if made_epmd(pid, layout)]

    first = layout.rabbitmq_url.read_text().strip()
    on_a_channel(first, send)
    guest = f"amqp://guest:guest@127.0.0.1:{settings.rabbitmq_port}/"
    with pytest.raises(aiormq.exceptions.AMQPError, match="ACCESS_REFUSED"):
        on_a_channel(guest, take)

    assert platform.down(layout=layout) == ["rabbitmq"]
    assert listeners(pids) == set()
    layout.rabbitmq_password.unlink()
    assert up(layout, settings).started == ["rabbitmq"]
    with pytest.raises(aiormq.exceptions.AMQPError, match="ACCESS_REFUSED"):
        on_a_channel(first, take)
    assert on_a_channel(layout.rabbitmq_url.read_text().strip(), take) == b"kept"
    assert up(layout, settings).started == []

    up(layout, Settings())  # platform.yaml names it no longer
    assert "rabbitmq" not in status(layout)
    assert platform.platform_supervisor(layout).processes() == {}
    assert (layout.rabbitmq / "data").is_dir()


def made_epmd(pid: int, layout: Layout) -> bool:
    """Whether a process is a port mapper that a server of this home started."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return name == "epmd" and os.fsencode(layout.home) in environment
