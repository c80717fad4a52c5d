"""A Deployer that stands by: ready, and its API answered by the one that acts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from support.run.ports import free_port
from support.run.wait import wait_for

from deployer.api.standby import Standby, Waiting, address_of
from deployer.config.services import Api
from deployer.errors import DatabaseUnavailable
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.session import ClusterAccess, Session
from deployer.targets.kubernetes.wiring import Assembled

OWN = "http://10.0.0.9:8090"


class Side:
    """One of two Deployers: what it waits for, and where it believes the other to be."""

    def __init__(self) -> None:
        self.waiting: Waiting | None = None
        self.acting: str | Exception = ""
        self.url = ""

    def address(self) -> str:
        if isinstance(self.acting, Exception):
            raise self.acting
        return self.acting


@contextmanager
def served(side: Side, name: str) -> Iterator[Side]:
    async def whole(request: Request) -> Response:
        if request.url.path == "/away":
            return RedirectResponse("/elsewhere")
        told = {
            "by": name,
            "method": request.method,
            "path": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "host": request.headers["host"],
            "token": request.headers.get("authorization"),
            "body": (await request.body()).decode(),
        }
        return JSONResponse(told, 418, {"x-own": "yes"})

    routes = [Route("/{path:path}", whole, methods=["GET", "POST"])]
    app = Standby(Starlette(routes=routes), lambda: side.waiting, side.address, OWN)
    port = free_port()
    config = uvicorn.Config(app, port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, "the server")
    side.url = f"http://127.0.0.1:{port}"
    yield side
    server.should_exit = True
    thread.join(60)


@pytest.fixture
def pair() -> Iterator[tuple[Side, Side]]:
    with ExitStack() as stack:
        acts, waits = (stack.enter_context(served(Side(), name)) for name in ("one", "two"))
        waits.waiting = Waiting("tests", "one-pod")
        waits.acting = acts.url
        yield acts, waits


def ask(side: Side, path: str, **more: Any) -> httpx.Response:
    with httpx.Client(base_url=side.url, trust_env=False) as client:
        return client.request(more.pop("method", "GET"), path, **more)


def test_what_one_that_stands_by_is_asked_is_answered_by_the_one_that_acts(pair):
    _, waits = pair
    answer = ask(
        waits,
        "/api/v1/deployments/a%2Fb/apply?x=1&y=a%20b",
        method="POST",
        json={"plan": "d"},
        headers={"host": "deployer.example", "authorization": "Bearer t"},
    )
    assert answer.status_code == 418
    assert answer.headers["x-own"] == "yes"
    assert answer.json() == {
        "by": "one",
        "method": "POST",
        "path": "/api/v1/deployments/a%2Fb/apply",
        "query": "x=1&y=a%20b",
        "host": "deployer.example",
        "token": "Bearer t",
        "body": '{"plan":"d"}',
    }
    assert ask(waits, "/away").headers["location"] == "/elsewhere"


def test_asked_at_its_own_address_it_asks_the_other_at_that_ones(pair):
    acts, waits = pair
    told = ask(waits, "/metrics.json", headers={"host": "10.0.0.9:8090"}).json()
    assert f"http://{told['host']}" == acts.url


def test_each_says_for_itself_how_it_is(pair):
    _, waits = pair
    for path in ("/healthz", "/metrics"):
        assert ask(waits, path).json()["by"] == "two"
    ready = ask(waits, "/readyz")
    assert ready.status_code == 200
    assert "one-pod acts" in ready.json()["message"]
    waits.waiting = Waiting("tests", "")
    assert ask(waits, "/readyz").status_code == 503
    waits.waiting = None
    assert ask(waits, "/api/v1/deployments").json()["by"] == "two"


def test_with_nobody_to_ask_it_says_so_and_what_to_do(pair):
    _, waits = pair
    for acting in (
        f"http://127.0.0.1:{free_port()}",
        "",
        DatabaseUnavailable("PostgreSQL is away.", "look at it"),
    ):
        waits.acting = acting
        answer = ask(waits, "/api/v1/deployments")
        assert answer.status_code == 503
        assert answer.json()["hint"]
        assert answer.headers["retry-after"]


def test_two_that_stand_by_do_not_ask_each_other_for_ever(pair):
    one, two = pair
    one.waiting, one.acting = Waiting("tests", "two-pod"), two.url
    answer = ask(one, "/api/v1/deployments")
    assert answer.status_code == 503
    assert "Neither" in answer.json()["error"]


def test_one_that_takes_over_answers_once_it_has_looked(pair):
    """It would say that nothing is deployed, by an answer that looks like any other."""
    _, waits = pair
    waits.waiting = Waiting("tests", "two-pod", takes_over=True)
    answer = ask(waits, "/api/v1/deployments")
    assert answer.status_code == 503
    assert "takes over" in answer.json()["error"]
    assert answer.headers["retry-after"]
    ready = ask(waits, "/readyz")
    assert ready.status_code == 503
    assert "taking over" in ready.json()["message"]
    assert ask(waits, "/healthz").json()["by"] == "two"


@pytest.mark.parametrize(
    ("host", "pod", "address"),
    [
        ("127.0.0.1", "10.0.0.7", "http://127.0.0.1:8090"),
        ("0.0.0.0", "10.0.0.7", "http://10.0.0.7:8090"),  # noqa: S104 - only named
        ("::", "fd00::7", "http://[fd00::7]:8090"),
    ],
)
def test_it_is_reached_at_its_pods_own_address(monkeypatch, host, pod, address):
    monkeypatch.setenv("POD_IP", pod)
    assert address_of(Api(host=host)) == address


def test_a_listing_that_nobody_answers_is_left_as_soon_as_it_is_to_end(tmp_path: Path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"
        f"clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{free_port()}'}}}}]\n"
    )
    client = Client(Session(ClusterAccess(kubeconfig)))
    cache = Cache(client, "p1", ["prod"])
    nothing: Any = None
    assembled = Assembled(nothing, nothing, cache, nothing)
    stop = threading.Event()
    listing = threading.Thread(target=assembled.start, args=(600, stop), daemon=True)
    listing.start()
    wait_for(lambda: any(i.problem for i in cache._informers.values()), "it to be asked in vain")
    assert listing.is_alive()
    stop.set()
    wait_for(lambda: not listing.is_alive(), "the end")
    cache.close(0)
    client.close()
