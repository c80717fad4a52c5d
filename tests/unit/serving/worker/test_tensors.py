import math

import pytest
from hypothesis import given, strategies as st

from serving.worker.oip import tensors

WHOLE = {
    f"{'' if signed else 'U'}INT{bits}": st.integers(
        -(2 ** (bits - 1)) if signed else 0, 2 ** (bits - signed) - 1
    )
    for bits in (8, 16, 32, 64)
    for signed in (True, False)
}
VALUES = {
    **WHOLE,
    "BOOL": st.booleans(),
    "FP16": st.floats(width=16, allow_nan=False),
    "FP32": st.floats(width=32, allow_nan=False),
    "FP64": st.floats(allow_nan=False),
    "BYTES": st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))),
}


def test_every_datatype_is_covered():
    assert set(VALUES) == set(tensors.DATATYPES)


@given(st.sampled_from(sorted(VALUES)), st.data())
def test_values_come_back_as_they_were(datatype, data):
    values = data.draw(st.lists(VALUES[datatype], max_size=20))
    back = tensors.decode(datatype, tensors.encode(datatype, values))
    assert back == values
    assert [type(value) for value in back] == [type(value) for value in values]


def test_a_missing_number_is_nan():
    (value,) = tensors.decode("FP64", tensors.encode("FP64", [None]))
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("datatype", "values", "said"),
    [
        ("FP64", [1.0, True], "expected numbers (FP64), got true at position 1"),
        ("FP32", ["1"], 'expected numbers (FP32), got "1" at position 0'),
        ("INT64", [1, 2.5], "expected whole numbers (INT64), got 2.5 at position 1"),
        ("INT64", [None], "expected whole numbers (INT64), got null at position 0"),
        ("BOOL", [1], "expected true or false (BOOL), got 1 at position 0"),
        ("BYTES", [1], "expected strings (BYTES), got 1 at position 0"),
        ("BYTES", [[]], "expected strings (BYTES), got [] at position 0"),
        ("INT8", [200], "a value does not fit into INT8"),
        ("UINT8", [-1], "a value does not fit into UINT8"),
        ("UINT64", [-1], "a value does not fit into UINT64"),
        ("FP16", [1e30], "a value does not fit into FP16"),
    ],
)
def test_a_value_of_another_type_is_named(datatype, values, said):
    with pytest.raises(tensors.WrongDatatype) as raised:
        tensors.encode(datatype, values)
    assert said in str(raised.value)


@given(st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=30)), max_size=5))
def test_a_payload_keeps_head_and_buffers(columns):
    head = {"form": "frame", "columns": [{"name": name} for name, _ in columns]}
    buffers = [buffer for _, buffer in columns]
    unpacked, back = tensors.unpack(tensors.pack(head, buffers))
    assert back == buffers
    assert [column["name"] for column in unpacked["columns"]] == [name for name, _ in columns]
