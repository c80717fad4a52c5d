"""What a server in a pod does for the kubelet and for the gateway."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
from support.run.wait import wait_for


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
