"""Windows as real model servers count them: read, added up over replicas, and paired."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployer.analysis.windows import PredictorWindows, Replica, WindowsUnreadable, paired, parse
from deployer.state.evidence import Arm
from serving.telemetry.window import Windows

BEGIN = 1_000  # the number of the first window


class Server:
    """The counters of one process, and its clock."""

    def __init__(self, at: int = BEGIN) -> None:
        self._now = 10.0 * at
        self.counts = Windows(lambda: self._now)

    def answers(self, window: int, requests: int, errors: int = 0, seconds: float = 0.01) -> None:
        self._now = max(self._now, 10.0 * window + 1)
        for number in range(requests):
            self.counts.record_answer("model_error" if number < errors else "ok", seconds)

    def read(self, at: int) -> Replica:
        self._now = max(self._now, 10.0 * at + 1)
        return parse(json.dumps(self.counts.to_json()).encode())


def requests(found: PredictorWindows, *numbers: int) -> list[int | None]:
    arms = [found.get(number) for number in numbers]
    return [None if arm is None else arm.answered for arm in arms]


def test_a_server_says_what_ended_and_how() -> None:
    server = Server()
    for outcome in ("ok", "ok", "rejected", "timeout", "model_error", "left", "hung", "overload"):
        server.counts.record_answer(outcome, 0.01)
    server.counts.record_answer("model_error", 0.01, mirrored=True)
    server.counts.record_summary(
        {"values": 9, "counted": 4, "missing": 1, "labels": {"a": 2}, "bins": {"-3": 1}}
    )
    replica = server.read(BEGIN + 1)
    assert (replica.started, replica.open) == (BEGIN, BEGIN + 1)
    arm = replica.windows[BEGIN]
    assert (arm.answered, arm.errors, arm.rejected) == (6, 3, 1)
    assert (arm.values, arm.missing, arm.labels, arm.bins) == (4, 1, {"a": 2}, {-3: 1})
    assert sum(arm.seconds.values()) == 8


def test_replicas_add_up_and_a_window_waits_for_the_last_of_them() -> None:
    one, other = Server(), Server()
    one.answers(BEGIN + 1, 5)
    other.answers(BEGIN + 1, 7, errors=2)
    found = PredictorWindows()
    found.take({"a": one.read(BEGIN + 2), "b": other.read(BEGIN + 1)}, BEGIN + 2)
    assert found.get(BEGIN + 1) is None
    found.take({"a": one.read(BEGIN + 2), "b": other.read(BEGIN + 2)}, BEGIN + 2)
    assert found.get(BEGIN + 1) == Arm(12, 2, seconds={142: 12})


def test_a_replica_that_cannot_be_read_is_waited_for_and_never_counts_as_zero() -> None:
    one, other = Server(), Server()
    found = PredictorWindows()
    found.take({"a": one.read(BEGIN + 1), "b": other.read(BEGIN + 1)}, BEGIN + 1)
    one.answers(BEGIN + 1, 5)
    other.answers(BEGIN + 1, 5, errors=5)
    found.take({"a": one.read(BEGIN + 3), "b": None}, BEGIN + 3)
    assert (requests(found, BEGIN + 1), found.until) == ([None], BEGIN + 1)
    found.take({"a": one.read(BEGIN + 4), "b": other.read(BEGIN + 4)}, BEGIN + 4)
    assert found.get(BEGIN + 1) == Arm(10, 5, seconds={142: 10})


def test_a_window_in_which_a_process_started_is_dropped() -> None:
    server = Server()
    server.answers(BEGIN, 5)
    server.answers(BEGIN + 1, 3)
    found = PredictorWindows()
    found.take({"a": server.read(BEGIN + 2)}, BEGIN + 2)
    assert requests(found, BEGIN, BEGIN + 1) == [None, 3]


def test_a_restart_loses_what_nobody_read_and_no_more() -> None:
    before = Server()
    before.answers(BEGIN + 1, 4)
    found = PredictorWindows()
    found.take({"a": before.read(BEGIN + 2)}, BEGIN + 2)
    after = Server(BEGIN + 4)
    after.answers(BEGIN + 4, 9)
    after.answers(BEGIN + 5, 6)
    found.take({"a": after.read(BEGIN + 6)}, BEGIN + 6)
    numbers = range(BEGIN + 1, BEGIN + 6)
    assert requests(found, *numbers) == [4, None, None, None, 6]


def test_a_replica_that_went_takes_its_unread_windows_with_it() -> None:
    one, other = Server(), Server()
    for server in (one, other):
        server.answers(BEGIN + 1, 2)
    found = PredictorWindows()
    found.take({"a": one.read(BEGIN + 2), "b": other.read(BEGIN + 2)}, BEGIN + 2)
    one.answers(BEGIN + 4, 3)
    found.take({"a": one.read(BEGIN + 3)}, BEGIN + 3)
    found.take({"a": one.read(BEGIN + 5)}, BEGIN + 5)
    assert requests(found, *range(BEGIN + 1, BEGIN + 5)) == [4, None, None, 3]


def test_a_replica_that_came_counts_from_its_first_whole_window() -> None:
    one, other = Server(), Server(BEGIN + 2)
    found = PredictorWindows()
    found.take({"a": one.read(BEGIN + 2)}, BEGIN + 2)
    for server in (one, other):
        server.answers(BEGIN + 2, 1)
        server.answers(BEGIN + 3, 5)
    found.take({"a": one.read(BEGIN + 4), "b": other.read(BEGIN + 4)}, BEGIN + 4)
    assert requests(found, BEGIN + 1, BEGIN + 2, BEGIN + 3) == [0, None, 10]


def test_windows_that_a_server_dropped_before_they_were_read_are_lost() -> None:
    server = Server()
    found = PredictorWindows()
    found.take({"a": server.read(BEGIN + 1)}, BEGIN + 1)
    for number in range(1, 51):
        server.answers(BEGIN + number, 1)
    found.take({"a": server.read(BEGIN + 51)}, BEGIN + 51)
    assert requests(found, BEGIN + 1, BEGIN + 20, BEGIN + 21, BEGIN + 50) == [None, None, 1, 1]


def test_only_windows_that_are_complete_for_both_are_paired() -> None:
    one, other = Server(), Server()
    for number in range(1, 6):
        one.answers(BEGIN + number, number)
        other.answers(BEGIN + number, 10 * number, seconds=0.02)
    candidate, champion = PredictorWindows(), PredictorWindows()
    candidate.take({"a": one.read(BEGIN + 5)}, BEGIN + 6)
    champion.take({"a": other.read(BEGIN + 6)}, BEGIN + 6)
    found = list(paired(candidate, champion, BEGIN + 3))
    assert [window.number for window in found] == [BEGIN + 3, BEGIN + 4]
    assert [window.candidate.answered for window in found] == [3, 4]
    assert [sum(window.reference.values()) for window in found] == [30, 60]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.update(format=2),
        lambda data: data.update(window_seconds=60),
        lambda data: data.pop("process"),
        lambda data: data["windows"][0].update(counts={"ok": -1}),
        lambda data: data["windows"][0].update(counts={"ok": 1.5}),
        lambda data: data["windows"][0].update(counts={"ok": True}),
        lambda data: data["windows"][0].update(counts=None),
        lambda data: data["windows"][0].update(sequence="x"),
        lambda data: data.update(windows={}) or data.update(windows=7),
    ],
)
def test_what_is_no_window_is_refused(spoil: Any) -> None:
    server = Server()
    server.answers(BEGIN, 3)
    server.read(BEGIN + 1)
    data = server.counts.to_json()
    spoil(data)
    with pytest.raises(WindowsUnreadable):
        parse(json.dumps(data).encode())


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'"x"', b"{}"])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(WindowsUnreadable, match="cannot be read"):
        parse(body)
