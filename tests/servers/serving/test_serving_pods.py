"""What a server in a pod does for the kubelet and for the gateway."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from support.run.wait import wait_for

from serving.front.deadline import MOST_HELD

LONGER_THAN_THE_TEST = "/v2/health/ready?wait=99"
"""An answer that is held for so long fails the test: its client gives up before."""


def test_it_goes_on_answering_after_sigterm_however_quiet_it_is(serve):
    server = serve("actor", drain_seconds=600, drain_whole=True).ready()
    server.popen.send_signal(signal.SIGTERM)
    wait_for(lambda: server.client.get("/v2/health/ready").status_code == 503, "not ready")
    assert server.client.get("/v2/health/ready").json() == {
        "ready": False,
        "reason": "Stopping",
        "message": "the server was asked to stop",
    }
    assert [answers_anew(server) for _ in range(20)] == [True] * 20


def answers_anew(server):
    """Ask by a new connection, as a gateway makes that has not heard yet."""
    try:
        return httpx.get(f"{server.client.base_url}/v2/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_what_is_in_flight_when_the_door_closes_is_finished(serve, gate):
    server = serve("actor", timeout_seconds=600, drain_seconds=0.2, drain_whole=True).ready()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.act, gate.ask)
        gate.reached(server)
        server.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: not answers_anew(server), "a closed door")
        gate.open()
        assert slow.result().status_code == 200
    assert server.wait() == 0


def test_a_server_that_never_was_ready_has_nothing_to_wait_for(serve):
    server = serve("hungry", drain_seconds=3600, drain_whole=True)
    wait_for(lambda: server.state.get("worker_pid"), "a worker")
    server.popen.send_signal(signal.SIGTERM)
    assert server.wait() == 0


def test_sigterm_is_heard_before_anything_is_served(serve):
    server = serve("iris")
    server.popen.send_signal(signal.SIGTERM)
    assert server.wait() in (0, -signal.SIGTERM)


def test_why_it_is_not_ready_can_be_asked(serve):
    server = serve("iris")

    def said():
        try:
            return server.client.get("/v2/health/ready")
        except httpx.TransportError:
            return None

    answer = wait_for(said, "an answer")
    if answer.status_code == 503:
        expected = {"ready": False, "reason": "Loading", "message": "the model is being loaded"}
        assert answer.json() == expected
    server.ready()
    os.kill(server.state["worker_pid"], signal.SIGKILL)
    answer = wait_for(lambda: (a := said()) and a.status_code == 503 and a, "unready", every=0.01)
    assert answer.json()["reason"] == "OutOfMemory"
    assert "killed from outside (SIGKILL)" in answer.json()["message"]


def test_the_reason_of_a_final_failure_is_left_for_the_kubelet(serve, tmp_path):
    log = tmp_path / "termination-log"
    log.touch()
    inode = log.stat().st_ino
    server = serve("broken", termination_file=str(log))
    assert server.wait() == 64
    said = json.loads(log.read_text())
    assert said == {key: server.state[key] for key in ("reason", "message")}
    assert said["reason"] == "LoadError"
    assert "hunter2" not in log.read_text()
    assert log.stat().st_ino == inode  # it is mounted: written in place


def test_a_good_end_leaves_no_reason(serve, tmp_path):
    log = tmp_path / "termination-log"
    log.touch()
    server = serve("iris", termination_file=str(log)).ready()
    server.popen.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert log.read_text() == ""


# -- a probe that offers to wait


@pytest.fixture
def may_load(tmp_path):
    """The file without which no model of `starting` is loaded."""
    return tmp_path / "may-load"


@pytest.fixture
def starting(serve, may_load, model_python, tmp_path):
    """Start a server, whose model's interpreter waits for `may_load` as long as the front lives."""
    python = tmp_path / "python"
    waits = f'while [ ! -e {may_load} ] && kill -0 "$4"; do sleep 0.01; done'
    python.write_text(f'#!/bin/sh\n{waits}\nexec {model_python} "$@"\n')
    python.chmod(0o755)
    server = serve("iris", python=str(python))
    wait_for(lambda: answers_anew(server), "an answer")
    return server


def held(server, count=1):
    """Ask in so many threads for answers that are held; return them once they are under way."""
    pool = ThreadPoolExecutor(count)
    url = f"{server.client.base_url}{LONGER_THAN_THE_TEST}"
    answers = [pool.submit(httpx.get, url, timeout=60, trust_env=False) for _ in range(count)]
    wait_for(lambda: server.metric("schnitzel_connections") == 1 + count, "the connections")
    pool.shutdown(wait=False)
    return answers


def test_an_answer_on_readiness_is_held_until_the_model_is_loaded(starting, may_load):
    [probe] = held(starting)
    assert starting.client.get("/v2/health/live").status_code == 200
    assert not probe.done()
    may_load.touch()
    assert (probe.result().status_code, probe.result().json()) == (200, {"ready": True})
    assert starting.client.get(LONGER_THAN_THE_TEST).json() == {"ready": True}


def test_an_answer_that_was_held_for_as_long_as_was_offered_says_what_is_so(starting):
    answer = starting.client.get("/v2/health/ready?wait=0.05")
    assert (answer.status_code, answer.json()["reason"]) == (503, "Loading")


def test_a_server_that_is_asked_to_stop_holds_no_answer(starting):
    [probe] = held(starting)
    starting.popen.send_signal(signal.SIGTERM)
    assert (probe.result().status_code, probe.result().json()["reason"]) == (503, "Stopping")
    assert starting.wait() == 0


def test_an_answer_is_not_held_for_a_server_that_drains(serve):
    server = serve("iris", drain_seconds=600, drain_whole=True).ready()
    server.popen.send_signal(signal.SIGTERM)
    wait_for(lambda: server.client.get("/v2/health/ready").status_code == 503, "draining")
    assert server.client.get(LONGER_THAN_THE_TEST).json()["reason"] == "Stopping"


def test_an_answer_is_not_held_for_a_model_that_was_lost(starting, may_load):
    may_load.touch()
    starting.ready()
    may_load.unlink()  # the next worker does not load it
    os.kill(starting.state["worker_pid"], signal.SIGKILL)
    wait_for(lambda: starting.state["phase"] == "unready", "unready")
    assert starting.client.get(LONGER_THAN_THE_TEST).status_code == 503


def test_no_more_answers_are_held_than_a_kubelet_asks_for(starting):
    probes = held(starting, MOST_HELD)
    assert starting.client.get(LONGER_THAN_THE_TEST).json()["reason"] == "Loading"
    assert not any(probe.done() for probe in probes)
    starting.popen.send_signal(signal.SIGTERM)
    assert {probe.result().status_code for probe in probes} == {503}


@pytest.mark.parametrize("wait", ["soon", "-1", "100", "1e3", ""])
def test_a_wait_that_is_none_is_refused(iris, wait):
    answer = iris.client.get("/v2/health/ready", params={"wait": wait})
    assert answer.status_code == 400
    assert "expected seconds below 100" in answer.json()["error"]
