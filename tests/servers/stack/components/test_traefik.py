"""Traefik as `up` starts it: routes from files, switched under load."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from support.load import Load
from support.run.ports import free_port
from support.run.wait import wait_for

from stack import platform
from stack.paths import Layout
from stack.settings import Settings


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers a POST with its server's name; keeps connections alive for a second only."""

    protocol_version = "HTTP/1.1"
    timeout = 5  # as uvicorn

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = self.server.name.encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def backends() -> Iterator[dict[str, int]]:
    servers = {}
    for name in ("blue", "green"):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
        server.daemon_threads = True
        server.name = name  # type: ignore[attr-defined]
        servers[name] = server
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {name: server.server_port for name, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[Layout, str, str]]:
    layout = Layout(tmp_path / "home")
    settings = Settings(gateway_port=free_port(), gateway_api_port=free_port())
    try:
        up = platform.up(layout=layout, only={"gateway"}, settings=settings)
        assert up.started == ["gateway"]
        api_url = f"http://127.0.0.1:{settings.gateway_api_port}"
        yield layout, f"http://127.0.0.1:{settings.gateway_port}", api_url
    finally:
        platform.down(layout=layout)


def route(layout: Layout, port: int) -> None:
    dynamic = {
        "http": {
            "routers": {"angler": {"rule": "PathPrefix(`/prod/angler`)", "service": "angler"}},
            "services": {
                "angler": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port}"}]}}
            },
        }
    }
    path = layout.gateway_dynamic / "angler.yaml"
    path.with_suffix(".new").write_text(yaml.safe_dump(dynamic))
    path.with_suffix(".new").replace(path)


def test_a_route_appears_and_is_switched_under_load_without_a_lost_request(
    gateway: tuple[Layout, str, str], backends: dict[str, int]
) -> None:
    layout, url, _ = gateway
    target = f"{url}/prod/angler/invocations"
    assert httpx.get(target).status_code == 404
    route(layout, backends["blue"])
    wait_for(lambda: httpx.post(target, content=b"{}").text == "blue")

    with Load(f"{url}/prod/angler/", rate=200) as load:
        for name in ("green", "blue", "green", "blue"):
            route(layout, backends[name])
            seen = len(load.answers)
            wait_for(lambda name=name, seen=seen: said(load, seen).count(name) > 10, name)
    assert not load.failed
    assert set(said(load)) == {"blue", "green"}


def said(load: Load, since: int = 0) -> list[str]:
    return [answer.body for answer in load.answers[since:]]


def test_a_broken_route_file_leaves_the_others_serving(
    gateway: tuple[Layout, str, str], backends: dict[str, int]
) -> None:
    layout, url, _ = gateway
    target = f"{url}/prod/angler/invocations"
    route(layout, backends["blue"])
    wait_for(lambda: httpx.post(target, content=b"{}").text == "blue")
    (layout.gateway_dynamic / "broken.yaml").write_text("http: [")
    log = layout.logs / "gateway.log"
    wait_for(lambda: "broken.yaml" in log.read_text())
    assert httpx.post(target, content=b"{}").text == "blue"


def test_it_tells_routes_and_version_on_loopback_and_calls_nobody(
    gateway: tuple[Layout, str, str],
) -> None:
    layout, _, api_url = gateway
    assert isinstance(httpx.get(f"{api_url}/api/http/routers").json(), list)
    seen = next(each for each in platform.status(layout) if each.name == "gateway")
    assert seen.health == "healthy"
    assert seen.version
    assert "version" not in yaml.safe_load(layout.gateway_config.read_text())["global"]
