"""A other_listener that answers on a component's port is not the component."""

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from support.run.ports import free_port
from support.run.wait import wait_for

from stack import platform
from stack.components import health
from stack.components.health import Address
from stack.ports import is_free
from stack.supervision.listening import other_listener
from stack.supervision.program import Process

CHILD = """
import http.server

class Gateway(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", {port}), Gateway).serve_forever()
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


class Gateway(http.server.BaseHTTPRequestHandler):
    """Answers as Traefik's API does."""

    def do_GET(self) -> None:
        body = b'{"Version": "3.7.0"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def answering() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def other() -> Iterator[int]:
    """A process that listens nowhere."""
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    process.kill()
    process.wait()


def look(port: int, pid: int | None) -> health.Health:
    url = f"http://127.0.0.1:{port}"
    process = Process("gateway", "RUNNING", pid, 1.0, None, "")
    return health.probe(Address("gateway", url, url), {"gateway": process}, {})


def test_a_component_is_healthy_if_its_own_process_answers(answering: int) -> None:
    assert look(answering, os.getpid()) == health.Health(ok=True, detail="", version="3.7.0")


def test_a_stranger_that_answers_in_its_place_is_named(answering: int, other: int) -> None:
    seen = look(answering, other)
    assert not seen.ok
    assert f"its port {answering} is taken by" in seen.detail
    assert f"(pid {os.getpid()})" in seen.detail


def test_a_gateway_needs_both_of_its_ports(answering: int) -> None:
    code = CHILD.format(port=(api := free_port()))
    gateway = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_until_taken(api)
        process = Process("gateway", "RUNNING", gateway.pid, 1.0, None, "")
        address = Address("gateway", f"http://127.0.0.1:{answering}", f"http://127.0.0.1:{api}")
        seen = health.probe(address, {"gateway": process}, {})
        assert f"its port {answering} is taken by" in seen.detail
    finally:
        gateway.kill()
        gateway.wait()


def test_an_attached_component_is_somebody_elses_by_right(answering: int) -> None:
    url = f"http://127.0.0.1:{answering}"
    assert health.probe(Address("gateway", url, url, attached=True), {}, {}).ok


def test_a_child_of_the_process_may_be_the_one_that_listens() -> None:
    code = CHILD.format(port=(port := free_port()))
    parent = subprocess.Popen([sys.executable, "-c", PARENT, code], start_new_session=True)
    try:
        wait_until_taken(port)
        assert other_listener(port, parent.pid) == ""
        assert f"(pid {os.getpid()})" not in other_listener(port, os.getppid())
    finally:
        os.killpg(parent.pid, 9)
        parent.wait()


def test_a_free_port_has_no_stranger() -> None:
    assert other_listener(free_port(), os.getpid()) == ""


def test_up_counts_a_port_as_held_only_if_its_own_program_holds_it(
    answering: int, other: int
) -> None:
    recorded = {"gateway": answering, "gateway_api": answering}
    assert platform._held(recorded, {"gateway": os.getpid()}) == ["gateway", "gateway_api"]
    assert platform._held(recorded, {"gateway": other}) == []


def wait_until_taken(port: int) -> None:
    wait_for(lambda: not is_free(port), f"port {port} to be taken")
