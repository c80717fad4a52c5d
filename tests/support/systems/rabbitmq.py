"""A real RabbitMQ on loopback, from Debian's package, in a folder of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import aiormq
import pytest
from pamqp.commands import Basic

from support.run.ports import free_port
from support.run.process import Running
from support.run.wait import wait_for

MISSING = "no RabbitMQ; apt-get install rabbitmq-server"
Value = TypeVar("Value")


class Received(NamedTuple):
    """A message that was read from a queue."""

    body: bytes
    properties: Basic.Properties

    @property
    def headers(self) -> dict[str, Any]:
        return dict(self.properties.headers or {})


class Broker:
    """A node, and a client of it for tests.

    Its Erlang node listens on a port of its own, so that no epmd is needed, which would stay.
    `host` is the address of this machine at which clients reach it.
    """

    def __init__(self, folder: Path, config: str = "", host: str = "127.0.0.1") -> None:
        self.folder, self.port, self.host = folder, free_port(), host
        self._node, self._distribution = f"test-{self.port}@localhost", free_port()
        (folder / "rabbitmq.conf").write_text(f"loopback_users = none\n{config}")
        self._running: Running | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connection: Any = None
        self._starts = 0

    # -- the server

    def url(self, user: str = "guest", password: str = "guest") -> str:
        return f"amqp://{user}:{password}@{self.host}:{self.port}/"

    def start(self) -> Broker:
        """Start it, with what an earlier start left, and wait until it takes clients."""
        self._starts += 1
        log = self.folder / f"out-{self._starts}.log"
        self._running = Running([str(_programs() / "rabbitmq-server")], log, self._environment())
        wait_for(lambda: "Starting broker... completed" in log.read_text(), f"RabbitMQ ({log})")
        return self

    def kill(self) -> None:
        assert self._running is not None
        self._running.signal(signal.SIGKILL)
        self._running.process.wait(10)
        self._connection = None

    def close(self) -> None:
        with suppress(Exception):
            self._do(self._connection.close())
        with suppress(ProcessLookupError):
            self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.run_until_complete(self._end_tasks())
        self._loop.close()

    async def _end_tasks(self) -> None:
        """End what the client library leaves behind for a broker that was killed."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ctl(self, *words: str) -> str:
        """Run rabbitmqctl."""
        done = subprocess.run(
            [str(_programs() / "rabbitmqctl"), "-q", "-n", self._node, *words],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def _environment(self) -> dict[str, str]:
        # With a name, RabbitMQ's script starts no epmd of its own, which would outlast the node.
        no_epmd = f"-start_epmd false -erl_epmd_port {self._distribution}"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": self.host,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"-sname {self._node} {no_epmd} -kernel inet_dist_use_interface {{127,0,0,1}}"
            ),
            "RABBITMQ_CTL_ERL_ARGS": f"{no_epmd} -dist_listen false",
        }

    # -- its queues

    def declare(self, *queues: str, **arguments: Any) -> None:
        """Make durable queues."""
        for queue in queues:
            self._call("queue_declare", queue, durable=True, arguments=arguments or None)

    def delete(self, queue: str) -> None:
        self._call("queue_delete", queue)

    def exchange(self, name: str, kind: str, **bindings: str) -> None:
        """Make an exchange; `bindings` are queues, with their routing keys."""
        self._call("exchange_declare", name, exchange_type=kind, durable=True)
        for queue, key in bindings.items():
            self._call("queue_bind", queue, name, routing_key=key)

    def depth(self, queue: str) -> int:
        """The messages that are ready."""
        return int(self._call("queue_declare", queue, passive=True).message_count)

    def consumers(self, queue: str) -> int:
        return int(self._call("queue_declare", queue, passive=True).consumer_count)

    def send(self, queue: str, *bodies: bytes, **properties: Any) -> None:
        """Publish bodies with the same properties, each confirmed before the next."""
        own = [Basic.Properties(delivery_mode=2, **properties) for _ in bodies]
        self.send_all(queue, list(zip(bodies, own, strict=True)), at_once=1)

    def send_all(
        self, queue: str, messages: list[tuple[bytes, Basic.Properties]], at_once: int = 200
    ) -> None:
        """Publish messages with their own properties, some at a time, confirmed."""

        async def all_of_them() -> None:
            channel = await self._channel()
            for begin in range(0, len(messages), at_once):
                await asyncio.gather(
                    *(
                        channel.basic_publish(
                            body, routing_key=queue, properties=own, mandatory=True
                        )
                        for body, own in messages[begin : begin + at_once]
                    )
                )
            await channel.close()

        self._do(all_of_them())

    def give_back(self, queue: str, times: int) -> None:
        """Take the first message of a queue so many times, and put it into the queue again."""

        async def all_of_them() -> None:
            channel = await self._channel()
            for _ in range(times):
                one = await channel.basic_get(queue)
                await channel.basic_nack(one.delivery.delivery_tag, requeue=True)
            await channel.close()

        self._do(all_of_them())

    def read(self, queue: str, count: int = 1, seconds: float = 60) -> list[Received]:
        """Take so many messages off a queue, waiting for them."""
        found: list[Received] = []

        def enough() -> bool:
            found.extend(self.take(queue))
            return len(found) >= count

        wait_for(enough, f"{count} messages in {queue}", seconds)
        return found

    def take(self, queue: str) -> list[Received]:
        """Take off a queue what is ready."""

        async def all_of_them() -> list[Received]:
            channel, found = await self._channel(), []
            while isinstance(
                (one := await channel.basic_get(queue, no_ack=True)).delivery, Basic.GetOk
            ):
                found.append(Received(one.body, one.header.properties))
            await channel.close()
            return found

        return self._do(all_of_them())

    def _call(self, method: str, *words: Any, **more: Any) -> Any:
        async def call() -> Any:
            channel = await self._channel()
            answer = await getattr(channel, method)(*words, **more)
            await channel.close()
            return answer

        return self._do(call())

    async def _channel(self) -> Any:
        if self._connection is None or self._connection.is_closed:
            self._connection = await aiormq.connect(self.url())
        return await self._connection.channel()

    def _do(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


@contextmanager
def running_rabbitmq(config: str = "", host: str = "127.0.0.1") -> Iterator[Broker]:
    """Run one; without the package the test is skipped, or fails in CI."""
    _programs()
    folder = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
    broker = Broker(folder, config, host)
    try:
        yield broker.start()
    finally:
        broker.close()
        shutil.rmtree(folder, ignore_errors=True)


def need_rabbitmq() -> None:
    """Skip the test without the package, or fail in CI."""
    _programs()


def _programs() -> Path:
    """Find the programs themselves: Debian's wrappers insist on a user of its own."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))
    if found:
        return found[-1]
    if os.environ.get("CI") == "true":
        pytest.fail(MISSING)
    pytest.skip(MISSING)
