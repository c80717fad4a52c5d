"""A queue over TLS, and a server that has nothing but environment variables."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT
from support.run.ports import free_port
from support.run.process import Running
from support.run.wait import wait_for
from support.systems import certificates
from support.systems.rabbitmq import Broker, running_rabbitmq

BODY = b'{"dataframe_split": {"columns": ["act", "number"], "data": [["say", 4.0]]}}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return certificates.make(tmp_path_factory.mktemp("authority"), "DNS:localhost")


@pytest.fixture(scope="module")
def secured(authority: dict[str, Path]) -> Iterator[tuple[Broker, int]]:
    port = free_port()
    config = f"""
listeners.ssl.default = 127.0.0.1:{port}
ssl_options.cacertfile = {authority["ca.crt"]}
ssl_options.certfile = {authority["server.crt"]}
ssl_options.keyfile = {authority["server.key"]}
"""
    with running_rabbitmq(config) as broker:
        yield broker, port


def queues(broker: Broker) -> tuple[str, str, str]:
    name = uuid.uuid4().hex[:8]
    found = f"{name}.in", f"{name}.out", f"{name}.dead"
    broker.declare(*found)
    return found


def test_a_private_authority_is_trusted_where_it_is_named_and_only_there(
    secured, authority, serve, tmp_path
):
    broker, port = secured
    source, results, dead = queues(broker)
    url = tmp_path / "url"
    url.write_text(f"amqps://guest:guest@localhost:{port}/")
    queue = {
        "source": source, "results": [{"routing_key": results}], "dead_letter": dead,
        "url_file": str(url),
    }  # fmt: skip
    server = serve("actor", queue=queue)
    wait_for(lambda: "CERTIFICATE_VERIFY_FAILED" in server.state.get("message", ""), "the refusal")
    assert server.state["reason"] == "QueueUnreachable"
    server.stop()
    server = serve("actor", queue=queue | {"ca_file": str(authority["ca.crt"])}).ready()
    broker.send(source, BODY)
    [result] = broker.read(results)
    assert b"4.0" in result.body


def test_many_messages_of_the_most_bytes_are_bounded_in_memory(secured, serve, tmp_path):
    """1 GiB of messages, with answers as large: the front holds 8 of the largest, and copies."""
    broker, _ = secured
    source, results, dead = queues(broker)
    url, most = tmp_path / "url", 16 * 2**20
    url.write_text(broker.url())
    queue = {
        "source": source, "results": [{"routing_key": results}], "dead_letter": dead,
        "url_file": str(url),
    }  # fmt: skip
    body = BODY.replace(b"say", b"x" * (most - len(BODY) + 3))
    assert len(body) == most
    for _ in range(64):
        broker.send(source, body)
    server = serve("actor", queue=queue, max_body_bytes=most).ready()
    found = 0

    def all_of_them() -> bool:
        nonlocal found
        found += len(broker.take(results))
        return found >= 64

    wait_for(all_of_them, "every result", seconds=600)
    assert broker.depth(dead) == 0
    assert _peak_bytes(server.popen.pid) < 40 * most


def test_a_server_of_environment_variables_alone(secured, models, model_python, tmp_path):
    broker, _ = secured
    source, results, dead = queues(broker)
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SCHNITZEL_MODEL": str(models / "actor"),
        "SCHNITZEL_MODEL_NAME": "actor",
        "SCHNITZEL_MODEL_VERSION": "7",
        "SCHNITZEL_PYTHON": model_python,
        "SCHNITZEL_PORT": str(free_port()),
        "SCHNITZEL_QUEUE_URL": broker.url(),
        "SCHNITZEL_QUEUE_SOURCE": source,
        "SCHNITZEL_QUEUE_RESULTS": results,
        "SCHNITZEL_QUEUE_DEAD_LETTER": dead,
    }
    log = tmp_path / "server.log"
    server = Running([sys.executable, "-m", "serving"], log, variables, cwd=ROOT)
    try:
        broker.send(source, BODY, message_id="one")
        [result] = broker.read(results)
        assert result.headers["x-schnitzel-version"] == "7"
        worker = wait_for(lambda: _worker(server.pid), "the model's process")
        theirs = Path(f"/proc/{worker}/environ").read_bytes()
        assert b"SCHNITZEL_QUEUE_URL" not in theirs
        assert b"guest" not in theirs
    finally:
        assert server.stop() == 0, log.read_text()


def _peak_bytes(pid: int) -> int:
    """Return the most memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _worker(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None
