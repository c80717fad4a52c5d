"""What a server tells about itself, on a listener of its own."""

from __future__ import annotations

import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from support.fixtures.serving import serving
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems.model_server import Server

ROWS = [5.1, 3.5, 1.4, 0.2, 6.4, 3.2, 4.5, 1.5]
TENSOR = {"name": "x", "datatype": "FP64", "shape": [2, 4], "data": ROWS}


class Admin:
    def __init__(self, server: Server) -> None:
        self.url = f"http://127.0.0.1:{server.predictor['admin_port']}"

    def get(self, path, **options):
        return httpx.get(f"{self.url}{path}", trust_env=False, timeout=60, **options)

    def total(self):
        return self.get("/schnitzel/window").json()["total"]

    def answers(self) -> bool:
        with suppress(httpx.TransportError):
            return self.get("/v2/health/live").status_code == 200
        return False


@pytest.fixture
def started(serve):
    def start(name, **settings):
        server = serve(name, admin_port=free_port(), **settings)
        return server, Admin(server)

    return start


@pytest.fixture(scope="module")
def asked(models, model_python, tmp_path_factory):
    """A server of this module's own, whose requests nobody else makes."""
    settings = {"admin_port": free_port(), "batching": {"enabled": False, "max_rows": 1}}
    folder = tmp_path_factory.mktemp("asked")
    with serving(folder, models / "iris", python=model_python, **settings) as server:
        yield server.ready()


def infer(server, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    path = "/v2/models/iris/infer"
    return server.client.post(path, json={"inputs": [TENSOR]}, headers=headers).status_code


def test_a_window_says_how_requests_ended_how_long_they_took_and_what_was_answered(asked):
    admin = Admin(asked)
    assert "counts" not in admin.total()
    assert [infer(asked) for _ in range(5)] == [200] * 5
    assert asked.invoke({"inputs": [["no number"] * 4]}).status_code == 400
    assert infer(asked, host="a-shadow:80") == 200
    assert infer(asked, x_schnitzel_mirrored="true") == 200
    assert asked.client.get("/v2/health/ready").status_code == 200
    shown = admin.get("/schnitzel/window").json()
    assert shown["predictor"] == "iris-test-v3-00000000"
    assert shown["process"]["started"] == round(asked.metric("process_start_time_seconds"), 3)
    total = shown["total"]
    assert total["counts"] == {"ok": 5, "rejected": 1}
    assert total["mirrored_counts"] == {"ok": 2}
    assert sum(total["request_seconds"]["buckets"].values()) == 6
    assert sum(total["mirrored_request_seconds"]["buckets"].values()) == 2
    assert sum(total["model_seconds"]["buckets"].values()) >= 7
    assert total["answers"]["values"] == total["answers"]["counted"] == 14
    assert total["answers"]["labels"] == {"0": 7, "1": 7}
    assert len(admin.get("/schnitzel/window").content) < 4_096


def test_time_is_split_in_what_waits_what_predicts_and_what_encodes(asked):
    def read(stage):
        name = "schnitzel_request_stage_duration_seconds"
        labels = f'{{stage="{stage}"}}'
        return asked.metric(f"{name}_count{labels}"), asked.metric(f"{name}_sum{labels}")

    def whole():
        return asked.metric('schnitzel_request_duration_seconds_sum{route="infer"}')

    stages = ("queue", "predict", "encode")
    before, began = [read(stage) for stage in stages], whole()
    model = asked.metric("schnitzel_model_duration_seconds_sum")
    assert infer(asked) == 200
    took = [after[1] - b[1] for after, b in zip(map(read, stages), before, strict=True)]
    assert [read(stage)[0] - b[0] for stage, b in zip(stages, before, strict=True)] == [1, 1, 1]
    assert all(seconds > 0 for seconds in took)
    assert took[1] == pytest.approx(asked.metric("schnitzel_model_duration_seconds_sum") - model)
    assert sum(took) <= whole() - began


def test_it_answers_about_the_server_and_nothing_else(asked):
    admin = Admin(asked)
    assert admin.get("/v2/health/live").json() == {"live": True}
    assert admin.get("/v2/health/ready").json() == {"ready": True}
    assert (
        'schnitzel_predictor_info{predictor="iris-test-v3-00000000"' in admin.get("/metrics").text
    )
    assert asked.client.get("/schnitzel/window").status_code == 404, "clients are not told"
    for path in ("/", "/invocations", "/v2/models/iris/infer", "/v2/models/iris", "/schnitzel"):
        assert admin.get(path).status_code == 404
    posted = httpx.post(f"{admin.url}/metrics", content=b"{}", trust_env=False)
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET")
    large = httpx.post(f"{admin.url}/metrics", content=b"x" * 10_000, trust_env=False)
    assert large.status_code == 413
    assert admin.get("/metrics", headers={"x": "y" * 20_000}).status_code == 431
    assert admin.get("/schnitzel/window?since=x").status_code == 400


def test_as_many_clients_as_there_is_room_for_do_not_keep_it_from_answering(asked):
    def is_full():
        url = f"http://127.0.0.1:{asked.port}/v2/health/live"
        return httpx.get(url, trust_env=False).status_code == 503

    admin, crowd = Admin(asked), []
    try:
        address = "127.0.0.1", asked.port
        crowd.extend(socket.create_connection(address) for _ in range(1_000))
        wait_for(is_full, "no room")
        assert admin.get("/v2/health/live").status_code == 200
        assert 'rejected_requests_total{reason="front_full"}' in admin.get("/metrics").text
    finally:
        for client in crowd:
            client.close()


def test_errors_of_the_model_and_too_many_requests_are_counted_apart(started, gate):
    server, admin = started("actor", max_body_bytes=20_000)
    server.ready()
    assert server.act("raise").status_code == 500
    pad = "x" * 19_000
    with ThreadPoolExecutor(9) as pool:
        held = [pool.submit(server.act, gate.ask)]
        gate.reached(server)
        held += [pool.submit(server.act, pad) for _ in range(8)]
        wait_for(lambda: admin.total()["counts"].get("overload"), "one that is turned away")
        gate.open()
        statuses = [each.result().status_code for each in held]
    counts = admin.total()["counts"]
    turned_away = statuses.count(503)
    assert counts == {"ok": 9 - turned_away, "model_error": 1, "overload": turned_away}
    found = admin.get("/metrics").text
    reasons = set(re.findall(r'rejected_requests_total\{reason="(\w+)"\}', found))
    assert reasons <= {"queue_full", "front_full"}


def test_it_is_open_before_the_model_is_loaded_and_until_the_process_ends(started, gate):
    server, admin = started("actor", drain_seconds=60)
    wait_for(admin.answers, "it open")
    server.ready()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(server.act, gate.ask)
        gate.reached(server)
        server.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: admin.get("/v2/health/ready").status_code == 503, "it draining")
        gate.open()
        assert busy.result().status_code == 200
    assert server.wait() == 0
    assert not admin.answers()


def test_a_port_that_is_taken_is_said(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = serve("iris", admin_port=taken.getsockname()[1])
        assert server.wait() == 1
    assert "cannot listen on 127.0.0.1" in server.log
