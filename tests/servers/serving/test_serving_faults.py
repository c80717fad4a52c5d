"""Clients that leave, models that hang or die, memory that ends, and the end of the server."""

import json
import os
import signal
import socket
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import httpx
import pytest
from support.run.ports import free_port
from support.run.process import lives
from support.run.wait import wait_for

from serving.worker.oip.infer import LARGE

IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROW = [5.1, 3.5, 1.4, 0.2]


def infer_of(*rows):
    data = [value for row in rows for value in row]
    tensor = {"name": "x", "datatype": "FP64", "shape": [len(rows), 4], "data": data}
    return {"inputs": [tensor]}


def abort(port, path, body, *, after=None):
    """Send a request and reset the connection, before or after all of it was sent."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    whole = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(whole[:after])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# -- before it is ready


def test_it_listens_at_once_and_says_that_it_is_not_ready(serve):
    server = serve("iris")

    def live():
        try:
            return server.client.get("/v2/health/live").status_code == 200
        except httpx.TransportError:
            return False

    wait_for(live, "live", every=0.02)
    assert server.state["phase"] == "starting"
    for answer in (
        server.client.get("/v2/health/ready"),
        server.client.get("/v2/models/iris"),
        server.client.get("/ping"),
        server.infer(),
        server.invoke({}),
    ):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
    server.ready()
    assert server.state["phase"] == "ready"


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        (
            "broken",
            "LoadError",
            "no table at https://[redacted]@db.example/x with token=[redacted]",
        ),
        ("starved", "OutOfMemory", "MemoryError"),
        ("crashing", "LoadError", "ended with signal SIGSEGV while it loaded"),
        ("missing", "LoadError", "missing"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_server_with_the_reason(serve, name, reason, said):
    server = serve(name)
    assert server.wait() == 64
    state = server.state
    assert (state["phase"], state["reason"]) == ("failed", reason)
    assert said in state["message"]
    assert "hunter2" not in server.log
    if name == "broken":
        assert state["message"].startswith("RuntimeError: no table")
        assert f"error {state['traceback_id']}" in server.log
        assert 'raise RuntimeError("no table at' in server.log


def test_an_interpreter_that_is_not_there_is_a_load_error(serve):
    server = serve("iris", python="/nowhere/bin/python")
    assert server.wait() == 64
    assert server.state["reason"] == "LoadError"
    assert "the model's Python cannot be run" in server.state["message"]


def test_a_model_over_its_memory_limit_at_load_is_out_of_memory(serve):
    server = serve("hungry", memory_bytes=600 * 2**20)
    assert server.wait() == 64
    state = server.state
    assert (state["phase"], state["reason"]) == ("failed", "OutOfMemory")
    assert "more than its limit of 600 MiB" in state["message"]


def test_a_worker_killed_while_it_loads_is_out_of_memory(serve):
    server = serve("hungry")
    pid = wait_for(lambda: server.state.get("worker_pid"), "a worker")
    os.kill(pid, signal.SIGKILL)
    assert server.wait() == 64
    assert server.state["reason"] == "OutOfMemory"
    assert "killed from outside (SIGKILL)" in server.state["message"]


def test_a_taken_port_is_said(serve):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = serve("iris", port=taken.getsockname()[1])
        assert server.wait() == 1
    assert "error: cannot listen on" in server.log
    assert "hint:" in server.log


def test_a_predictor_file_that_is_wrong_is_said(tmp_path):
    import subprocess

    for arguments in ([], [str(tmp_path / "none.json")]):
        done = subprocess.run(
            [sys.executable, "-m", "serving", *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert "\n\nhint: " in done.stderr


# -- clients


def test_clients_that_leave_harm_nobody(iris):
    path = "/v2/models/iris/infer"
    body = json.dumps(infer_of(ROW)).encode()
    worker = iris.state["worker_pid"]
    with ThreadPoolExecutor(8) as pool:
        for number in range(200):
            after = None if number % 2 else 60 + number % 100
            pool.submit(abort, iris.port, path, body, after=after)
        answers = [pool.submit(iris.infer, *infer_of(ROW)["inputs"]) for _ in range(100)]
        assert {answer.result().status_code for answer in answers} == {200}
    assert iris.state["worker_pid"] == worker
    assert iris.state["restarts"] == 0


def test_clients_that_leave_a_busy_model_harm_nobody(serve):
    server = serve("actor").ready()
    split = {"columns": ["act", "number"], "data": [["sleep", 0.3]]}
    body = json.dumps({"dataframe_split": split}).encode()
    for _ in range(5):
        abort(server.port, "/invocations", body)
    assert server.act("fine").status_code == 200
    assert server.state["restarts"] == 0


def test_what_clients_that_left_had_asked_never_reaches_the_model(serve, gate):
    server = serve("actor", timeout_seconds=600).ready()
    split = {"columns": ["act", "number"], "data": [["print", 1.0]]}
    body = json.dumps({"dataframe_split": split}).encode()
    head = "POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    whole = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    def in_flight(count):
        wait_for(lambda: server.metric("schnitzel_requests_in_flight") == count, f"{count} asked")

    with ThreadPoolExecutor(1) as pool, ExitStack() as left:
        first = pool.submit(server.act, gate.ask)
        gate.reached(server)
        clients = [
            left.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for _ in range(10)
        ]
        for client in clients:
            client.sendall(whole)
        in_flight(11)
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        in_flight(1)
        gate.open()
        assert first.result().status_code == 200
    assert server.act("fine").status_code == 200
    assert "the model says hello" not in server.log
    assert server.metric("schnitzel_queue_requests") == 0


# -- batching


def test_batched_answers_are_those_of_an_unbatched_server(serve, gate):
    batched = serve("actor", timeout_seconds=600).ready()
    unbatched = {"enabled": False, "max_rows": 256}
    single = serve("actor", timeout_seconds=600, batching=unbatched).ready()
    contents = [
        {
            "dataframe_split": {
                "columns": ["act", "number"],
                "data": [[f"row {n}", n / 3]] * (n % 3 + 1),
            }
        }
        for n in range(40)
    ]
    contents[7]["dataframe_split"]["data"] = [["raise", 7.0]]
    contents[9]["dataframe_split"]["data"] = [[None, 1.0]]
    contents[11]["params"] = {"factor": 5.0}
    contents[13]["dataframe_split"]["columns"] = ["number"]

    def ask(server, contents=contents, times=1):
        # The first keeps the model busy until the others queue.
        with ThreadPoolExecutor(41) as pool:
            pool.submit(server.act, gate.ask)
            gate.reached(server, times)
            asked = [pool.submit(server.invoke, content) for content in contents]
            wait_for(
                lambda: server.metric("schnitzel_requests_in_flight") > len(contents), "a queue"
            )
            gate.open()
            answers = [each.result() for each in asked]
        gate.close()
        return [(a.status_code, a.json().get("predictions", a.status_code)) for a in answers]

    tried, alone = ask(batched), ask(single)
    assert tried == alone
    assert [status for status, _ in tried].count(200) == 38
    calls = batched.metric("schnitzel_batch_requests_count")
    assert calls >= 39
    wait_for(lambda: batched.state["batching"] == "on", "a model trusted with batches")
    assert batched.metric("schnitzel_batching_rows_compared") >= 32
    # Without the one that raises, for which all that share its call are asked once more.
    assert ask(batched, contents[:7] + contents[8:], times=2) == alone[:7] + alone[8:]
    assert batched.metric("schnitzel_batch_requests_count") < calls + 20
    assert single.state["batching"] == "off"
    assert single.metric("schnitzel_batch_requests_count") >= 39


def test_a_model_without_a_row_for_each_row_is_answered_singly(serve):
    server = serve("total").ready()

    def ask(number):
        return server.invoke({"dataframe_split": {"columns": ["number"], "data": [[number]]}})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, map(float, range(40))))
    assert [a.json()["predictions"] for a in answers] == [[float(n)] * 3 for n in range(40)]
    wait_for(lambda: "batching is off for this model" in server.log, "a word in the log")
    wait_for(lambda: server.state["batching"] == "off", "the same in its state")
    assert server.metric('schnitzel_batching_state{state="off"}') == 1
    assert server.metric('schnitzel_batching_state{state="on"}') == 0


@pytest.mark.parametrize(("name", "shown"), [("halves", "on"), ("ranked", "off")])
def test_rows_that_a_model_was_logged_with_show_whether_it_takes_batches(serve, name, shown):
    server = serve(name).ready()
    wait_for(lambda: server.state["batching"] == shown, "what its own rows show")
    counted = server.client.get("/metrics").text
    assert "schnitzel_batch_requests_count" not in counted, "nobody has asked"
    content = {"dataframe_split": {"columns": ["number"], "data": [[4.0]]}}
    [answer] = server.invoke(content).json()["predictions"]
    assert answer == {"number": 2.0 if name == "halves" else 1.0}
    os.kill(server.state["worker_pid"], signal.SIGKILL)
    wait_for(lambda: server.state["restarts"] == 1 and server.state["phase"] == "ready", "another")
    assert server.invoke(content).status_code == 200
    assert server.state["batching"] == "trial", "the next one does not die of them, too"


# -- slow, dying and hungry models


def test_a_slow_answer_is_a_504_and_those_behind_it_are_forgotten(serve, gate):
    server = serve("actor", timeout_seconds=0.5).ready()

    def ask(*_):
        answer = server.act(gate.ask)
        return answer.status_code, answer.json()["message"]

    slow = wait_for(lambda: (answer := ask()) and "the model waits" in server.log and answer)
    assert slow[0] == 504
    assert "did not answer within 0.5 s" in slow[1]
    with ThreadPoolExecutor(3) as pool:
        assert {status for status, _ in pool.map(ask, range(3))} == {504}
    gate.open()
    wait_for(lambda: server.act("fine").status_code == 200, "an answer")
    assert server.log.count("the model waits") == 1


def test_a_client_that_says_how_long_it_waits_waits_no_longer(serve, gate):
    server = serve("actor", timeout_seconds=600).ready()
    row = {"dataframe_split": {"columns": ["act", "number"], "data": [["fine", 1.0]]}}
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(server.act, gate.ask)
        gate.reached(server)
        late = server.client.post("/invocations", json=row, headers={"x-request-timeout-ms": "50"})
        assert late.status_code == 504
        assert "did not answer within 0.05 s" in late.json()["message"]
        inputs = [
            {"name": "act", "datatype": "BYTES", "shape": [1], "data": ["fine"]},
            {"name": "number", "datatype": "FP64", "shape": [1], "data": [1.0]},
        ]
        late = server.infer(*inputs, parameters={"timeout": 50_000})
        assert (late.status_code, late.json()["error"]) == (
            504,
            "the model did not answer within 0.05 s",
        )
        gate.open()
        assert busy.result().status_code == 200
        rows = 40_000
        inputs = [
            {"name": "act", "datatype": "BYTES", "shape": [rows], "data": ["fine"] * rows},
            {"name": "number", "datatype": "FP64", "shape": [rows], "data": [1.0] * rows},
        ]
        late = server.infer(*inputs, parameters={"timeout": 1})  # so large that the worker reads it
        assert len(late.request.content) > LARGE
        assert (late.status_code, late.json()["error"]) == (
            504,
            "the model did not answer within 1e-06 s",
        )
    wrong = server.client.post("/invocations", json=row, headers={"x-request-timeout-ms": "soon"})
    assert wrong.status_code == 400
    assert "expected milliseconds" in wrong.json()["message"]


def test_a_worker_that_dies_is_replaced_and_the_front_answers_meanwhile(serve, gate):
    server = serve("actor", timeout_seconds=600).ready()
    first = server.state["worker_pid"]
    with ThreadPoolExecutor(2) as pool:
        killed = pool.submit(server.act, gate.ask)
        gate.reached(server)
        os.kill(first, signal.SIGSEGV)
        state = wait_for(lambda: (s := server.state)["phase"] == "unready" and s, "unready")
        assert state["reason"] == "WorkerDied"
        assert "signal SIGSEGV while it served" in state["message"]
        answer = server.act("fine")
        assert (answer.status_code, answer.headers.get("retry-after")) in [(503, "1"), (200, None)]
        assert server.client.get("/v2/health/live").status_code == 200
        gate.reached(server, times=2)  # asked again, of the next worker
        gate.open()
        assert killed.result().status_code == 200
    state = server.state
    assert state["worker_pid"] != first
    assert (state["phase"], state["reason"], state["restarts"]) == ("ready", "", 1)
    assert server.metric("schnitzel_worker_restarts_total") == 1
    os.kill(server.state["worker_pid"], signal.SIGKILL)
    state = wait_for(lambda: (s := server.state)["phase"] == "unready" and s, "unready")
    assert state["reason"] == "OutOfMemory"
    assert "SIGKILL" in state["message"]
    server.ready()
    assert server.act("fine").status_code == 200


def test_a_request_that_kills_the_model_costs_nobody_else_an_answer(serve, gate):
    server = serve("actor", timeout_seconds=600).ready()
    with ThreadPoolExecutor(40) as pool:
        pool.submit(server.act, gate.ask)
        gate.reached(server)
        innocent = [pool.submit(server.act, "fine", n) for n in range(20)]
        guilty = pool.submit(server.act, "die")
        innocent += [pool.submit(server.act, "fine", n) for n in range(20, 38)]
        wait_for(lambda: server.metric("schnitzel_requests_in_flight") == 40, "a queue")
        gate.open()
        assert [one.result().status_code for one in innocent] == [200] * 38
        answer = guilty.result()
    assert answer.status_code == 500
    assert "ended each time that it worked on this request" in answer.json()["message"]
    assert server.metric("schnitzel_worker_restarts_total") == 2
    server.ready()
    again = server.act("die")
    assert (again.status_code, again.json()) == (500, answer.json())
    assert server.metric("schnitzel_worker_restarts_total") == 2
    assert server.act("fine").status_code == 200


def test_a_model_that_hangs_is_ended_with_its_stacks_in_the_log_and_replaced(serve, gate):
    server = serve("actor", timeout_seconds=0.5, admin_port=free_port()).ready()
    first = server.state["worker_pid"]
    slow = wait_for(lambda: (a := server.act(gate.ask)) and "the model waits" in server.log and a)
    assert slow.status_code == 504
    state = wait_for(lambda: (s := server.state)["phase"] == "unready" and s, "unready", 120)
    assert state["reason"] == "Hung"
    assert "a call of the model had not returned after" in state["message"]
    assert 'actor.py", line' in server.log
    wait_for(lambda: server.state["phase"] == "ready", "another worker", 120)
    assert server.state["worker_pid"] != first
    assert not lives(first)
    assert server.metric("schnitzel_worker_hangs_total") == 1
    admin = f"http://127.0.0.1:{server.predictor['admin_port']}"
    counts = httpx.get(f"{admin}/schnitzel/window", trust_env=False).json()["total"]["counts"]
    assert counts["hung"] == 1
    assert counts["timeout"] >= 1
    wait_for(lambda: server.act("fine").status_code == 200, "an answer")


def test_an_exception_that_ends_programs_is_an_answer_and_the_worker_is_replaced(serve):
    server = serve("actor").ready()
    first = server.state["worker_pid"]
    answer = server.act("interrupt")
    assert answer.status_code == 500
    assert "the model raised KeyboardInterrupt" in answer.json()["message"]
    wait_for(lambda: server.state["worker_pid"] not in (first, None), "another worker")
    assert not lives(first)
    server.ready()
    assert server.act("fine").status_code == 200


def test_too_many_waiting_requests_are_turned_away_at_once_and_the_others_are_answered(serve, gate):
    server = serve("actor", timeout_seconds=600, max_body_bytes=100_000).ready()
    large = "x" * 90_000
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(server.act, gate.ask)
        gate.reached(server)
        asked = [pool.submit(server.act, large) for _ in range(8)]
        wait_for(lambda: any(one.done() for one in asked), "one turned away")
        turned_away = [one.result() for one in asked if one.done()]
        assert {answer.status_code for answer in turned_away} == {503}
        assert turned_away[0].headers["retry-after"] == "1"
        assert server.client.get("/v2/health/live").status_code == 200
        gate.open()
        assert first.result().status_code == 200
        assert {one.result().status_code for one in asked} == {200, 503}
    wait_for(lambda: server.metric("schnitzel_held_bytes") == 0, "nothing held")
    assert server.metric("schnitzel_queue_bytes") == 0


def test_a_worker_over_its_memory_limit_is_replaced(serve):
    server = serve("actor", memory_bytes=700 * 2**20).ready()
    assert server.act("hold", 600 * 2**20).status_code in (200, 500)
    state = wait_for(lambda: (s := server.state)["phase"] == "unready" and s, "unready")
    assert state["reason"] == "OutOfMemory"
    assert "more than its limit of 700 MiB" in state["message"]
    server.ready()
    assert server.act("fine").status_code == 200


def test_a_worker_that_keeps_dying_is_a_crash_loop_and_is_still_tried(serve):
    server = serve("actor").ready()
    for count in range(1, 6):
        wait_for(lambda: server.state["phase"] == "ready", "a worker", 120)
        os.kill(server.state["worker_pid"], signal.SIGSEGV)
        wait_for(lambda: server.state["phase"] != "ready", f"death {count}")
    state = server.state
    assert (state["phase"], state["reason"]) == ("failed", "CrashLoop")
    assert "died 5 times within 60 s" in state["message"]
    answer = server.client.get("/v2/health/ready")
    assert (answer.status_code, answer.json()["reason"]) == (503, "CrashLoop")
    assert server.popen.poll() is None


# -- the end


def test_sigterm_under_load_fails_no_request(serve):
    server = serve("iris").ready()
    worker = server.state["worker_pid"]
    told, failed, answered = threading.Event(), [], []

    def ask_until_told_to_go():
        with httpx.Client(base_url=server.client.base_url, trust_env=False) as client:
            while True:
                answer = client.post("/v2/models/iris/infer", json=infer_of(ROW))
                (answered if answer.status_code == 200 else failed).append(answer)
                if told.is_set() and answer.headers.get("connection") == "close":
                    return

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(ask_until_told_to_go) for _ in range(8)]
        wait_for(lambda: len(answered) > 200, "some load")
        told.set()
        server.popen.send_signal(signal.SIGTERM)
        for client in clients:
            client.result(60)
    assert failed == []
    assert server.wait() == 0
    assert not lives(worker)
    assert server.state["reason"] == "Stopping"


def test_after_sigterm_it_is_not_ready_but_answers_until_what_is_in_flight_is_done(serve, gate):
    server = serve("actor", timeout_seconds=600, drain_seconds=600).ready()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(server.act, gate.ask)
        gate.reached(server)
        server.popen.send_signal(signal.SIGTERM)
        wait_for(
            lambda: server.client.get("/v2/health/ready").status_code == 503,
            "not ready",
            every=0.01,
        )
        assert server.client.get("/v2/health/live").status_code == 200
        late = pool.submit(server.act, "late")
        wait_for(lambda: server.metric("schnitzel_requests_in_flight") > 1, "one that comes late")
        gate.open()
        assert [slow.result().status_code, late.result().status_code] == [200, 200]
    assert server.wait() == 0


def test_draining_ends_after_its_time(serve):
    server = serve("actor", drain_seconds=0.5).ready()
    worker = server.state["worker_pid"]
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.act, "sleep", 3600)
        wait_for(lambda: server.metric("schnitzel_requests_in_flight") == 1, "a busy model")
        server.popen.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert not lives(worker)
        # Cut off, or told: but not left without an end.
        with suppress(httpx.TransportError):
            assert slow.result().status_code >= 500


def test_sigterm_while_the_model_loads_ends_it(serve):
    server = serve("hungry")
    worker = wait_for(lambda: server.state.get("worker_pid"), "a worker")
    server.popen.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not lives(worker)


def test_the_worker_dies_with_a_front_that_was_killed_even_while_busy(serve):
    server = serve("actor").ready()
    worker = server.state["worker_pid"]
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.act, "sleep", 3600)
        wait_for(lambda: server.metric("schnitzel_requests_in_flight") >= 1, "a busy model")
        server.popen.kill()
        server.wait()
        wait_for(lambda: not lives(worker), "the worker gone")
        with pytest.raises(httpx.TransportError):
            slow.result()


def test_two_servers_of_one_model_do_not_know_each_other(serve):
    first, second = serve("iris"), serve("iris")
    first.ready()
    second.ready()
    first.stop()
    assert second.infer(*infer_of(ROW)["inputs"]).status_code == 200
