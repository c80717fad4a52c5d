"""What the admin port of a local model server answers."""

from __future__ import annotations

from support.fixtures.cli import api  # noqa: F401 - a fixture: a loopback server
from support.run.ports import free_port

from deployer.analysis import windows
from deployer.targets import queue_servers
from deployer.targets.local import counts


def test_a_page_of_the_admin_port_is_read_and_what_does_not_answer_is_empty(api):  # noqa: F811
    api.answer("GET", windows.PATH, "windows")
    api.answer("GET", queue_servers.PATH, "queue")
    server = {"admin_port": int(api.url.rpartition(":")[2])}
    assert counts.read("127.0.0.1", server, windows.PATH) == b"windows"
    assert counts.read("127.0.0.1", server, queue_servers.PATH) == b"queue"
    assert counts.read("127.0.0.1", server, "/nothing") == b""
    assert counts.read("127.0.0.1", {"admin_port": free_port()}, queue_servers.PATH) == b""
    assert counts.read("127.0.0.1", {}, queue_servers.PATH) == b""
