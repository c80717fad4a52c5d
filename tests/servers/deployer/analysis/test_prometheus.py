"""One value of a real Prometheus; and what a server in its place may do instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems import prometheus as real
from support.systems.prometheus import running_prometheus

from deployer.analysis import prometheus
from deployer.analysis.prometheus import Prometheus, Unanswered


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real.Prometheus]:
    gone = f"127.0.0.1:{free_port()}"
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), gone, "localhost:1") as found:
        wait_for(lambda: len(found.query("up")) == 2, "both targets to be scraped")
        yield found


@pytest.fixture
def client(server: real.Prometheus) -> Iterator[Prometheus]:
    made = Prometheus(server.url)
    yield made
    made.close()


def test_a_vector_of_one_and_a_scalar_are_values_at_the_time_that_is_asked_about(
    client: Prometheus,
) -> None:
    now = time.time()
    assert client.ask("vector(3)", now) == 3
    assert client.ask("sum(up)", now) == 0
    assert client.ask("1 / 4", now) == 0.25
    assert client.ask("time()", now - 60) == pytest.approx(now - 60, abs=0.01)
    assert client.ask("vector(2) # " + "x" * 3000, now) == 2


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("nothing_like_it", "gives no series, and should give one"),
        ("up", "gives 2 series, and should give one"),
        ("0 / 0", "gives NaN, as a quotient without cases does"),
        ("1 / 0", r"gives \+Inf"),
        ("up[1m]", "the query gives a matrix"),
        ("'text'", "the query gives a string"),
        ("sum(", "Prometheus answers 400: .*parse error"),
    ],
)
def test_what_is_no_value_is_said_with_what_is(client: Prometheus, query: str, said: str) -> None:
    with pytest.raises(Unanswered, match=said):
        client.ask(query, time.time())


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def page(status: int, body: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang(handler: BaseHTTPRequestHandler) -> None:
    handler.rfile.read(1 << 20)  # until the other side gives up


def pour(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b" " * 65536)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (page(200, b"<html>login</html>"), "something else than JSON"),
        (page(503, b"<html>away</html>"), "answers 503"),
        (page(401, b'{"error": "no login"}'), "answers 401: no login"),
        (page(200, b'{"data": {"resultType": "vector", "result": [{}]}}'), "else than a value"),
        (page(200, b'{"data": {"resultType": "vector", "result": 7}}'), "else than a value"),
        (page(200, b"[]"), "else than a value"),
        (page(200, b""), "something else than JSON"),
        (pour, "many series"),
        (hang, "takes longer than"),
    ],
    ids=["html", "away", "login", "no value", "no list", "list", "empty", "endless", "hangs"],
)
def test_a_server_that_is_no_prometheus_or_ill_is_no_data(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, said: str
) -> None:
    monkeypatch.setattr(prometheus, "PATIENCE_SECONDS", 0.5)
    with answering(answer) as url:
        client = Prometheus(url)
        with pytest.raises(Unanswered, match=said):
            client.ask("up", time.time())
        client.close()


def test_a_server_that_is_gone_is_no_data() -> None:
    client = Prometheus(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unanswered, match="does not answer"):
        client.ask("up", time.time())
    client.close()
