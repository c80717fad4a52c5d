"""What is counted of requests and answers: sketches, windows, and how large they can become."""

import json
import math

import orjson
import pytest
from hypothesis import given, strategies as st

from serving.predictor import Predictor
from serving.telemetry import outcomes
from serving.telemetry.answers import CHARACTERS, LABELS, Answers
from serving.telemetry.instruments import Instruments
from serving.telemetry.sketch import LAST, LEAST, RATIO, Sketch
from serving.telemetry.window import KEPT, Windows
from serving.worker import answers as worker

SECONDS = st.floats(0, 3600)


def sketch(values):
    made = Sketch()
    for value in values:
        made.add(value)
    return made


@given(st.floats(1e-5, 3600))
def test_a_value_is_within_the_edges_of_its_bucket(value):
    [index] = sketch([value]).buckets
    assert value <= LEAST * RATIO**index * (1 + 1e-9)
    assert index == 0 or value >= LEAST * RATIO ** (index - 1) * (1 - 1e-9)


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_counts_of_two_sketches_add_up_to_the_sketch_of_both(one, other):
    merged, whole = sketch(one), sketch([*one, *other])
    merged.merge(sketch(other))
    assert merged.buckets == whole.buckets
    assert math.isclose(merged.sum, whole.sum)


@given(st.lists(st.floats()))
def test_a_sketch_has_a_bounded_number_of_buckets_and_a_finite_sum(values):
    made = sketch(values)
    assert set(made.buckets) <= set(range(LAST + 1))
    assert made.sum <= 3600 * len(values)


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (200, "ok", ""),
        (400, "rejected", "invalid"),
        (404, "rejected", "not_found"),
        (405, "rejected", "method"),
        (408, "rejected", "too_slow"),
        (413, "rejected", "too_large"),
        (415, "rejected", "media_type"),
        (422, "rejected", "invalid"),
        (431, "rejected", "head_too_large"),
        (499, "left", ""),
        (500, "model_error", ""),
        (503, "unavailable", "unavailable"),
        (504, "timeout", ""),
    ],
)
def test_how_a_request_ended_is_said_in_a_word(status, outcome, reason):
    assert outcomes.of_status(status) == outcome
    assert outcomes.reason(status, outcome) == reason
    assert outcome in outcomes.OUTCOMES


class Clock:
    def __init__(self):
        self.now = 1_000_003.0

    def windows(self):
        return Windows(lambda: self.now)


def test_a_window_is_shown_once_it_has_ended_and_only_if_anything_happened():
    clock = Clock()
    windows = clock.windows()
    windows.record_answer("ok", 0.001)
    windows.record_answer("timeout", 2.0, mirrored=True)
    windows.record_call(0.0005)
    first = windows.to_json()
    assert first["sequence"] == 100_000
    assert first["windows"] == []
    assert first["total"]["counts"] == {"ok": 1}
    clock.now += 6.9
    assert windows.to_json()["windows"] == [], "it began at a multiple of ten, and lasts until one"
    clock.now += 0.2
    shown = windows.to_json()
    assert shown["sequence"] == 100_001
    [window] = shown["windows"]
    assert window["sequence"] == 100_000
    assert window["counts"] == {"ok": 1}
    assert window["mirrored_counts"] == {"timeout": 1}
    assert sum(window["request_seconds"]["buckets"].values()) == 1
    assert sum(window["mirrored_request_seconds"]["buckets"].values()) == 1
    assert window["model_seconds"]["sum"] == 0.0005
    clock.now += 25
    windows.record_answer("ok", 0.001)
    assert [each["sequence"] for each in windows.to_json()["windows"]] == [100_000]
    assert windows.to_json()["total"]["counts"] == {"ok": 2}
    assert windows.to_json(since=100_001)["windows"] == []


def test_windows_add_up_to_the_total_and_only_the_last_are_kept():
    clock = Clock()
    windows = clock.windows()
    for _ in range(100):
        windows.record_answer("ok", 0.001)
        windows.record_summary({"values": 1, "counted": 1, "labels": {"cat": 1}})
        clock.now += 10
    shown = windows.to_json()
    assert shown["total"]["counts"] == {"ok": 100}
    assert shown["total"]["answers"]["labels"] == {"cat": 100}
    numbers = [each["sequence"] for each in shown["windows"]]
    assert numbers == list(range(shown["sequence"] - KEPT, shown["sequence"]))
    assert all(each["answers"]["labels"] == {"cat": 1} for each in shown["windows"])
    clock.now += 10 * KEPT
    assert windows.to_json()["windows"] == [], "at rest nothing is left to tell"


def test_a_machine_that_slept_goes_on_in_the_window_in_which_it_woke_up():
    clock = Clock()
    windows = clock.windows()
    windows.record_answer("ok", 0.001)
    before = windows.to_json()["process"]
    clock.now += 8 * 3600
    windows.record_answer("ok", 0.001)
    shown = windows.to_json()
    assert shown["process"] == before
    assert shown["sequence"] == int(clock.now // 10)
    assert shown["windows"] == []
    assert shown["total"]["counts"] == {"ok": 2}


@pytest.mark.parametrize(("back", "anew"), [(5, False), (19, False), (3600, True)])
def test_a_clock_that_is_set_back_begins_a_new_life_and_one_that_is_corrected_does_not(back, anew):
    clock = Clock()
    windows = clock.windows()
    windows.record_answer("ok", 0.001)
    before = windows.to_json()["process"]
    clock.now -= back
    windows.record_answer("ok", 0.001)
    clock.now += 10
    shown = windows.to_json()
    assert (shown["process"] != before) is anew
    assert shown["total"]["counts"] == {"ok": 2}, "nothing that was counted is lost"
    if anew:
        assert shown["process"]["started"] == 1_000_003.0 - back
        [window] = shown["windows"]
        assert (window["sequence"], window["counts"]) == (int((clock.now - 10) // 10), {"ok": 1})


def test_a_process_is_told_from_another():
    one, other = Clock().windows().to_json(), Clock().windows().to_json()
    assert one["process"]["started"] == other["process"]["started"] == 1_000_003.0
    assert one["process"]["id"] != other["process"]["id"]


# -- the model's answers


def counted(*results):
    counts = worker.Counts()
    for result in results:
        counts.add(result)
    return counts.to_json()


@pytest.mark.parametrize(
    ("result", "labels"),
    [
        (lambda np, _: np.array(["cat", "dog", "cat"]), {"cat": 2, "dog": 1}),
        (lambda *_: ["cat", None, "cat"], {"cat": 2}),
        (lambda _, pd: pd.Series([True, False, True]), {"true": 2, "false": 1}),
        (lambda _, pd: pd.DataFrame({"label": ["cat"], "score": [0.5]}), {"cat": 1}),
        (lambda _, pd: pd.DataFrame([["cat", "dog"]], columns=["x", "x"]), {"cat": 1}),
        (lambda *_: {"label": ["cat"], "score": [0.5]}, {"cat": 1}),
        (lambda np, _: [np.array(["cat"]), np.array([0.5])], {"cat": 1}),
        (lambda np, _: [np.int64(3), np.int64(3)], {"3": 2}),
        (lambda *_: "cat", {"cat": 1}),
    ],
)
def test_labels_are_counted_of_whatever_a_model_returns(result, labels):
    import numpy as np
    import pandas as pd

    assert counted(result(np, pd))["labels"] == labels


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_within_the_edges_of_its_bin(value):
    [number] = counted([value])["bins"]
    place, size = abs(number), abs(value)
    assert (number > 0, number < 0) == (value > 0, value < 0)
    if place:
        assert place == 1 or size > worker.EDGES[place - 2]
        assert place > len(worker.EDGES) or size <= worker.EDGES[place - 1]


def test_edges_grow_and_are_fine_where_scores_are():
    assert list(worker.EDGES) == sorted(set(worker.EDGES))
    between = [edge for edge in worker.EDGES if 0.02 <= edge <= 1]
    assert between == [k / 50 for k in range(1, 51)]


def test_what_has_no_value_or_no_label_is_counted_as_such():
    found = counted([float("nan"), None, {"deep": [1]}, "x" * (CHARACTERS + 1), b"x", ""])
    assert found == {"values": 6, "counted": 6, "missing": 2, "other": 4}
    infinite = counted([float("inf"), float("-inf")])["bins"]
    assert infinite == {len(worker.EDGES) + 1: 1, -len(worker.EDGES) - 1: 1}


def test_of_a_large_answer_a_part_is_looked_at():
    import numpy as np

    found = counted(np.linspace(0, 1, 100_000).reshape(1000, 100))
    assert found["values"] == 100_000
    assert found["counted"] == worker.LOOKED_AT
    assert sum(found["bins"].values()) == worker.LOOKED_AT
    assert counted(["a"] * 1000)["counted"] <= worker.LOOKED_AT
    wide = np.array(["x" * 100_000, "a"])
    assert counted(wide) == {"values": 2}, "it is not copied"


@given(st.lists(st.text() | st.integers() | st.floats() | st.none() | st.booleans()))
def test_nothing_that_a_model_returns_makes_the_counts_large(values):
    result = [*values, *(f"label {i}" for i in range(200))]
    said = counted(*([each] for each in result))
    kept = Answers()
    kept.add(orjson.loads(json.dumps(said)))
    shown = kept.to_json()
    assert len(shown["labels"]) <= LABELS
    assert all(len(label) <= CHARACTERS for label in shown["labels"])
    assert len(orjson.dumps(shown)) < 16_000
    assert shown["values"] == shown["counted"] == len(result)


def test_labels_of_many_calls_are_limited_too():
    kept, more = Answers(), Answers()
    for i in range(1000):
        (kept if i % 2 else more).add({"values": 1, "counted": 1, "labels": {f"label {i}": 1}})
    kept.merge(more)
    assert len(kept.labels) == LABELS
    assert kept.counts == {"values": 1000, "counted": 1000, "other": 980, "missing": 0}


def test_the_largest_that_can_be_told_is_no_burden():
    windows = Clock().windows()
    for place in range(LAST + 1):
        for mirrored in (False, True):
            windows.record_answer("ok", 0.99 * LEAST * RATIO**place, mirrored=mirrored)
        windows.record_call(0.99 * LEAST * RATIO**place)
    windows.record_summary({"values": 1, "bins": {str(n): 2**31 for n in range(-400, 401)}})
    windows.record_summary(
        {"values": 1, "labels": {f"{n}" + "\0" * CHARACTERS: 2**31 for n in range(30)}}
    )
    assert len(windows.to_json()["total"]["mirrored_request_seconds"]["buckets"]) == LAST + 1
    assert len(orjson.dumps(windows.to_json())) < 40_000


@pytest.mark.parametrize(
    "said",
    [
        b"[]",
        b"no JSON",
        b'{"values": -1}',
        b'{"values": 4611686018427387904}',
        b'{"values": 1.5}',
        b'{"labels": {"cat": "many"}}',
        b'{"labels": 3}',
        b'{"bins": {"one": 1}}',
        b'{"labels": {"\\ud800": 1}}',
    ],
)
def test_what_a_worker_should_not_say_is_dropped(said):
    instruments = Instruments(Predictor("p", "m", "1", "e", "a", "py", "h", 1, "s"))
    instruments.record_summary(said)
    instruments.record_summary(b'{"values": 1, "counted": 1, "bins": {"999999": 1}}')
    shown = instruments.windows.to_json()
    assert orjson.dumps(shown)
    assert shown["total"]["answers"]["values"] == 1
    assert shown["total"]["answers"]["bins"] == {"400": 1}
