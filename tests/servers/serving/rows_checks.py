"""Check that rows.py keeps what it must of a folder of saved models."""

# ruff: noqa: TID253, DTZ001
# A program of its own; pandas' plain datetimes have no time zone.

import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
from hypothesis import given, settings, strategies as st
from mlflow.exceptions import MlflowException

sys.path.insert(0, str(Path(__file__).parents[3]))
from serving.worker.batching.rows import Rows

folder = Path(sys.argv[1])
free = Rows(mlflow.pyfunc.load_model(str(folder / "describe")))
actor = Rows(mlflow.pyfunc.load_model(str(folder / "actor")))

KINDS = {
    "f": st.floats(width=32),
    "i": st.integers(-(2**31), 2**31 - 1),
    "b": st.booleans(),
    "s": st.text(max_size=4) | st.none(),
    "t": st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
}
TYPES = {"f": "float32", "i": "int64", "b": "bool", "s": object, "t": "datetime64[ns]"}


def frame(draw, kinds):
    rows = draw(st.integers(1, 4))
    columns = {
        f"{place}{kind}": pd.Series(
            draw(st.lists(KINDS[kind], min_size=rows, max_size=rows)), dtype=TYPES[kind]
        )
        for place, kind in enumerate(kinds)
    }
    return pd.DataFrame(columns)


@settings(deadline=None, max_examples=60)
@given(st.data())
def frames_come_back(data):
    kinds = data.draw(st.lists(st.sampled_from("fibst"), min_size=1, max_size=4))
    parts = [frame(data.draw, kinds) for _ in range(data.draw(st.integers(1, 4)))]
    keys = {free.count_and_key(part, None)[1] for part in parts}
    assert len(keys) == 1, keys
    assert None not in keys
    rows = [free.count_and_key(part, None)[0] for part in parts]
    whole = free.join(parts)
    for part, back in zip(parts, free.cut(whole, rows), strict=True):
        assert free.equal(back, part)
        assert free.fingerprints(back) == free.fingerprints(free.copy(part))
        pd.testing.assert_frame_equal(back.reset_index(drop=True), part)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(0, 2))
def arrays_and_dicts_come_back(rows, width):
    parts = [np.random.default_rng(n).random((count, width)) for n, count in enumerate(rows)]
    for back, part in zip(free.cut(free.join(parts), rows), parts, strict=True):
        np.testing.assert_array_equal(back, part)
    dicts = [{"a": part, "b": part[:, 0:1] > 0} for part in parts]
    assert len({free.count_and_key(each, None) for each in dicts if len(each["a"]) == 1}) <= 1
    for back, part in zip(free.cut(free.join(dicts), rows), dicts, strict=True):
        np.testing.assert_array_equal(back["a"], part["a"])
        np.testing.assert_array_equal(back["b"], part["b"])


def key(data, params=None, rows=free):
    return rows.count_and_key(data, params)[1]


def data_that_differs_is_not_joined():
    base = pd.DataFrame({"a": [1], "b": [2.0]})
    assert key(base) == key(base.copy())
    others = [
        base[["b", "a"]],
        base.astype({"a": "float64"}),
        base.rename(columns={"a": "c"}),
        pd.DataFrame({"a": [1]}),
    ]
    assert all(key(other) != key(base) for other in others)
    assert key(base.set_index(pd.Index([5]))) is None
    assert key(base, {"depth": 1}) is None
    assert key([1, 2]) is None
    assert key("text") is None
    assert key(np.array(3)) is None
    assert key(np.array([None])) is None
    assert key(np.zeros((1, 2))) != key(np.zeros((1, 3)))
    assert key(np.zeros(2, "f4")) != key(np.zeros(2, "f8"))
    assert key({"a": np.zeros(2), "b": np.zeros(3)}) is None
    assert key({"a": np.zeros(2), "b": [1, 2]}) is None


def each_request_is_held_to_the_signature_by_itself():
    good = pd.DataFrame({"act": ["x"], "number": [1.0]})
    numbers = pd.DataFrame({"act": pd.Series([1], dtype=object), "number": [1.0]})
    assert key(good, rows=actor) == key(numbers, rows=actor)
    actor.join([good, good])
    mixed = pd.concat([good, numbers], ignore_index=True)
    actor._enforce(mixed, actor._schema)  # together they would pass ...
    with suppress(MlflowException):
        actor._enforce(numbers, actor._schema)
        return  # alone it is fine: nothing to hold it to
    try:
        actor.join([good, numbers])
    except MlflowException:
        return
    raise AssertionError("joining let through what alone would have been refused")


def results_without_a_row_for_each_row_are_not_cut():
    assert free.cut(np.zeros((2, 3)), [1, 2]) is None
    assert free.cut([np.zeros(2), np.zeros(2)], [1, 1]) is None
    assert free.cut(5, [1]) is None
    assert free.cut({}, [1]) is None
    assert free.cut({"a": np.zeros(2), "b": 1}, [1, 1]) is None
    assert free.cut(["a", None], [1, 1]) == [["a"], [None]]
    assert [len(part) for part in free.cut(pd.Series([1, 2, 3]), [2, 1])] == [2, 1]


def results_are_the_same_but_for_rounding():
    numbers = np.array([[1.0, 2.0], [3.0, np.nan]])
    same = [
        (numbers, numbers * (1 + 1e-12)),
        (numbers.astype("f4"), (numbers * (1 + 1e-6)).astype("f4")),
        (np.array([1.0, 1e-20]), np.array([1.0, 0.0])),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), pd.DataFrame({"a": [1.0], "b": ["x"]})),
        (pd.Series(["a", None]), pd.Series(["a", None])),
        ([{"a": [1.0]}, None, "b"], [{"a": [1.0 + 1e-12]}, None, "b"]),
        ({"a": numbers}, {"a": numbers.copy()}),
    ]
    assert all(free.equal(*pair) for pair in same)
    other = [
        (numbers, numbers + 0.001),
        (numbers, numbers[:, :1]),
        (np.array([1, 2]), np.array([1, 3])),
        (np.array(["a"]), np.array(["b"])),
        (np.array([1.0]), np.array([np.nan])),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})),
        (pd.Series(["a", None]), pd.Series(["a", "None"])),
        ([{"a": [1.0]}], [{"a": [1.5]}]),
        ({"a": numbers}, {"b": numbers}),
        (["a"], ["a", "b"]),
    ]
    assert not any(free.equal(*pair) for pair in other)


def rows_are_told_apart():
    frame = pd.DataFrame({"a": [1, 1, 2], "b": ["x", "x", "x"]})
    nested = pd.DataFrame({"a": [[1], [1], [2]]})
    array = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]])
    for data in (frame, nested, array, {"a": array, "b": array[:, :1]}):
        first, second, third = free.fingerprints(data)
        assert first == second != third


frames_come_back()
results_are_the_same_but_for_rounding()
rows_are_told_apart()
arrays_and_dicts_come_back()
data_that_differs_is_not_joined()
each_request_is_held_to_the_signature_by_itself()
results_without_a_row_for_each_row_are_not_cut()
