"""What the model is given for a request: the right values, or a 400 that names the column.

MLflow's own scoring server reads the same requests in the same process. Where it changes a value
without a word, or refuses a good one, ours differs, and only there; with `input: mlflow`, nowhere.
"""

import base64
import importlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given, settings, strategies as st

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, of its types and numpy's
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs", "columns")
BYTES = b"\x00\x01 hi\x00"
BASE64 = base64.b64encode(BYTES).decode()


@pytest.fixture(scope="module")
def scoring():
    return importlib.import_module("support.systems.scoring")


def written(form, columns):
    """Return a request for columns (a dict of lists) in one of the forms."""
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    return {
        "dataframe_split": {"dataframe_split": {"columns": list(columns), "data": rows}},
        "dataframe_records": {"dataframe_records": records},
        "instances": {"instances": records},
        "inputs": {"inputs": records},
        "columns": {"inputs": columns},
    }[form]


def text(value):
    return json.dumps(value).replace('"1e400"', "1e400").encode()


def value_seen(scoring, kind, value, form, *, required=True):
    """Return what a model with one column sees in its only row, or why it is not asked."""
    of = scoring.model(scoring.column(kind, required=required))
    status, said = scoring.ours(of, text(written(form, {"x": [value]})))
    if status == 200:
        ((found,),) = said["columns"].values()
        return found
    assert status == 400, said
    assert "'x'" in said
    return "refused"


RIGHT = [
    ("string", "NA", "str:'NA'"),
    ("string", None, "NoneType:None"),
    ("string", 7, "refused"),
    ("string", True, "refused"),
    ("string", ["a"], "refused"),
    ("datetime", "2024-03-10T02:30:00.123456", "Timestamp:Timestamp('2024-03-10 02:30:00.123456')"),
    ("datetime", "2024-03-10T02:30:00Z", "Timestamp:Timestamp('2024-03-10 02:30:00')"),
    ("datetime", "2024-03-10T02:30:00+02:00", "Timestamp:Timestamp('2024-03-10 00:30:00')"),
    ("datetime", "2024/03/10", "Timestamp:Timestamp('2024-03-10 00:00:00')"),
    ("datetime", None, "NaTType:NaT"),
    ("datetime", "03/04/2024", "refused"),
    ("datetime", "2024-02-30", "refused"),
    ("datetime", "9999-01-01", "refused"),
    ("datetime", "now", "refused"),
    ("datetime", 1710037800, "refused"),
    ("long", 1.5, "refused"),
    ("long", 1.0, "int:1"),
    ("long", "1", "int:1"),
    ("long", None, "refused"),
    ("long", True, "refused"),
    ("long", 2**63, "refused"),
    ("long", 1e300, "refused"),
    ("long", 2**62 + 1, f"int:{2**62 + 1}"),
    ("integer", 2**31, "refused"),
    ("integer", -(2**31), f"int:{-(2**31)}"),
    ("boolean", "false", "bool:False"),
    ("boolean", "no", "refused"),
    ("boolean", 2, "refused"),
    ("boolean", 1, "refused"),
    ("boolean", None, "refused"),
    ("double", None, "float:nan"),
    ("double", float("nan"), "float:nan"),
    ("double", float("inf"), "float:inf"),
    ("double", "1e400", "refused"),  # the number: see `text`
    ("double", 10**400, "refused"),
    ("double", 5, "float:5.0"),
    ("double", "1.5", "float:1.5"),
    ("double", "1_5", "refused"),
    ("double", True, "refused"),
    ("float", 1e300, "refused"),
    ("float", 0.5, "float:0.5"),
    ("binary", BASE64, f"bytes:{BYTES!r}"),
    ("binary", "***", "refused"),
    ("binary", None, "refused"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "value", "right"), RIGHT, ids=lambda v: repr(v)[:30])
def test_a_value_is_right_or_refused(scoring, kind, value, right, form):
    assert value_seen(scoring, kind, value, form) == right


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["string", "boolean", "binary"])
def test_a_value_that_may_be_missing_may_be_null(scoring, kind, form):
    assert value_seen(scoring, kind, None, form, required=False) == "NoneType:None"


CSV = [
    ("string", "NA\nnull\nNone\nnan", ["str:'NA'", "str:'null'", "str:'None'", "str:'nan'"]),
    ("string", '""\n7', ["str:''", "str:'7'"]),
    ("datetime", "2024-03-10T02:30:00Z\nNaT\n2024-03-10",
     ["Timestamp:Timestamp('2024-03-10 02:30:00')", "refused", ""]),
    ("datetime", '2024-03-10T02:30:00.5\n""',
     ["Timestamp:Timestamp('2024-03-10 02:30:00.500000')", "NaTType:NaT"]),
    ("long", '1\n""', ["refused: row 1: the value is missing"]),
    ("long", "1\n2.0", ["int:1", "int:2"]),
    ("long", "1\n2.5", ["refused"]),
    ("boolean", "true\nFalse", ["bool:True", "bool:False"]),
    ("boolean", "no", ["refused"]),
    ("double", '1.5\n""\nNA', ["float:1.5", "float:nan", "float:nan"]),
    ("double", "1e400", ["refused"]),
    ("double", "abc", ["refused"]),
    ("binary", BASE64, [f"bytes:{BYTES!r}"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "lines", "right"), CSV, ids=lambda v: repr(v)[:30])
def test_a_csv_is_right_or_refused(scoring, kind, lines, right):
    of = scoring.model(scoring.column(kind))
    status, said = scoring.ours(of, f"x\n{lines}\n".encode(), "text/csv")
    refused = [each for each in right if each.startswith("refused")]
    if refused:
        assert status == 400
        assert "'x'" in said
        assert refused[0].partition(": ")[2] in said
    else:
        assert (status, said["columns"]["x"]) == (200, right)


@pytest.mark.parametrize(
    "content", [b"a,a\n1,2\n", b"a,b\n1,2,3\n", b"a,b\n1\n", b'a,b\n"1,2\n'], ids=repr
)
def test_a_csv_whose_rows_are_not_its_headers_is_refused(scoring, content):
    of = scoring.model(scoring.column("double", "a"), scoring.column("double", "b", required=False))
    status, said = scoring.ours(of, content, "text/csv")
    assert status == 400, said


FORMLESS = [
    {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3]]}},
    {"dataframe_split": {"data": [[1, 2], [3]]}},
    {"dataframe_split": {"columns": ["a"], "data": [[1]], "index": [1, 2, 3]}},
    {"instances": [{"a": 1}, {"b": 2}]},
    {"dataframe_records": [{f"a{n}": 1} for n in range(4_000)]},
    {"inputs": [{f"a{n}": 1} for n in range(4_000)]},
]


@pytest.mark.parametrize("request_", FORMLESS, ids=lambda r: json.dumps(r)[:40])
def test_a_model_without_a_signature_gets_what_was_sent_or_nothing(scoring, request_):
    status, said = scoring.ours(scoring.model(), text(request_))
    assert status == 400, said


def test_a_csv_that_names_a_column_ten_thousand_times_is_not_read(scoring):
    content = b"a," * 10_000 + b"b\n" + b"x," * 10_000 + b"2\n"
    status, said = scoring.ours(scoring.model(), content, "text/csv")
    assert (status, said) == (400, "the header of the CSV names a column twice")


def test_rows_that_do_not_fit_together_are_refused(scoring):
    two = scoring.model(scoring.column("double", "a"), scoring.column("double", "b"))
    for request in (
        {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3]]}},  # pandas fills up
        {"inputs": {"a": [1, 2], "b": [1]}},
        {"instances": [{"a": 1}, {"b": 2}]},  # mlflow makes one row of it
    ):
        status, said = scoring.ours(two, text(request))
        assert status == 400 or "float:nan" in json.dumps(said), request


TENSORS = [
    ("int64", [1, 2.5], "refused"),
    ("int64", [1, 2.0], [1, 2]),
    ("int64", [1, True], "refused"),
    ("int8", [1, 200], "refused"),
    ("uint8", [-1], "refused"),
    ("float32", [1e300], "refused"),
    ("float16", [70_000], "refused"),
    ("float64", [1, None], [1.0, float("nan")]),
    ("float64", [True], "refused"),
    ("float64", ["1e400"], "refused"),
    ("bool", [1], "refused"),
    ("bool", ["x"], "refused"),
    ("bool", [True], [True]),
    ("str", [7], "refused"),
    ("str", ["a", "bc"], ["a", "bc"]),
    ("str", ["a" * 200_000, *["b"] * 399], "refused"),
]


@pytest.mark.parametrize("form", ["inputs", "instances"])
@pytest.mark.parametrize("name", [None, "x"], ids=["unnamed", "named"])
@pytest.mark.parametrize(("dtype", "values", "right"), TENSORS, ids=lambda v: repr(v)[:30])
def test_a_tensors_value_is_right_or_refused(scoring, dtype, values, right, name, form):
    of = scoring.model(scoring.tensor(dtype, name=name))
    content = values
    if name is not None:
        content = {"x": values} if form == "inputs" else [{"x": value} for value in values]
    status, said = scoring.ours(of, text({form: content}))
    if right == "refused":
        assert status == 400, said
    else:
        found = said["x"] if name is not None else said
        assert (status, found["is"]) == (200, scoring.described(right))


def test_a_number_that_no_double_holds_is_refused_without_a_signature_too(scoring):
    for content in (b'{"inputs": [1e400]}', b'{"inputs": {"a": [[-1e999]]}}'):
        status, said = scoring.ours(scoring.model(), content)
        assert status == 400
        assert "does not fit into 64 bits" in said


def test_an_answer_is_json_whatever_the_model_returns(scoring):
    nothing = float("nan")
    of = scoring.model(answers=[{"score": nothing, "text": "NaN", "most": [float("inf"), 0.1]}])
    status, said = scoring.ours(of, b'{"inputs": [1]}')
    assert (status, said) == (200, [{"score": None, "text": "NaN", "most": [None, 0.1]}])


NESTED = [
    ("double", 1.5, "float:1.5"),
    ("double", True, "refused"),
    ("long", 2.0, "int:2"),
    ("long", 3.5, "refused"),
    ("boolean", "false", "bool:False"),
    ("boolean", 1, "refused"),
    ("string", 7, "refused"),
    ("string", "NA", "str:'NA'"),
    ("datetime", "2024-03-10T02:30:00Z", "Timestamp:Timestamp('2024-03-10 02:30:00')"),
    ("datetime", 17, "refused"),
    ("binary", base64.b64encode(b"hi").decode(), "bytes:b'hi'"),
    ("binary", "***", "refused"),
]


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "instances", "inputs"])
@pytest.mark.parametrize("around", ["array", "object", "map"])
@pytest.mark.parametrize(("kind", "value", "right"), NESTED, ids=lambda v: repr(v)[:30])
def test_a_nested_value_is_right_or_refused(scoring, kind, value, right, around, form):
    inner = scoring.DataType[kind]
    type_, sent = {
        "array": (scoring.Array(inner), [value, value]),
        "object": (scoring.Object([scoring.Property("p", inner)]), {"p": value}),
        "map": (scoring.Map(inner), {"k": value}),
    }[around]
    of = scoring.model(scoring.ColSpec(type_, "x"))
    status, said = scoring.ours(of, text(written(form, {"x": [sent]})))
    if right == "refused" or (around == "array" and kind == "datetime"):
        assert status == 400, said
        assert "'x'" in said
    else:
        assert status == 200, said
        assert said["columns"]["x"] == [
            {"array": [right, right], "object": {"p": right}, "map": {"k": right}}[around]
        ]


def test_what_a_list_of_mlflows_cannot_hold_is_refused(scoring):
    for kind, value in (("string", None), ("binary", BASE64)):
        of = scoring.model(scoring.ColSpec(scoring.Array(scoring.DataType[kind]), "x"))
        status, said = scoring.ours(of, text({"inputs": [{"x": [value]}]}))
        assert status == 400, said


def test_typed_columns_are_read_as_strictly(scoring):
    def asked(kind, *values, **more):
        head = {"form": "frame", "names": ["x"], "params": None}
        sent = {"name": "x", "datatype": "BYTES", "shape": [len(values)], "base64": False, **more}
        return scoring.columns(
            scoring.model(scoring.column(kind)),
            {**head, "columns": [sent]},
            ("BYTES", list(values)),
        )

    status, said = asked("datetime", "2024-03-10T02:30:00+02:00", "2024-03-10")
    assert (status, said["columns"]["x"][0]) == (200, "Timestamp:Timestamp('2024-03-10 00:30:00')")
    status, said = asked("datetime", "tomorrow")
    assert status == 400
    assert "'x'" in said
    status, said = asked("binary", BASE64, base64=True)
    assert (status, said["columns"]["x"]) == (200, [f"bytes:{BYTES!r}"])
    assert asked("binary", "***", base64=True)[0] == 400


def test_texts_of_typed_columns_take_no_more_than_they_were(scoring):
    head = {"form": "array", "names": None, "params": None}
    texts = ["a" * 400_000, *["b"] * 399]
    sent = {"name": "x", "datatype": "BYTES", "shape": [400]}
    status, said = scoring.columns(scoring.model(), {**head, "columns": [sent]}, ("BYTES", texts))
    assert (status, said["dtype"]) == (200, "O")


# -- beside MLflow's

WHOLE = st.integers(-(2**31), 2**31 - 1)
NUMBER = st.floats(allow_nan=False, allow_infinity=False, width=32)
MOMENT = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001 - pandas' have none
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])
FAITHFUL = {
    "boolean": st.booleans(),
    "integer": WHOLE,
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": NUMBER | WHOLE.filter(lambda n: abs(n) < 2**24),
    "double": st.floats(allow_nan=False, allow_infinity=False) | WHOLE | st.none(),
    "string": st.text(max_size=5),
    "binary": st.binary(max_size=5).map(lambda b: base64.b64encode(b).decode()),
    "datetime": MOMENT.map(lambda moment: moment.isoformat(timespec="microseconds")),
}
"""Values that mean the same to everybody."""
DOUBTFUL = {
    "boolean": st.sampled_from(["false", "no", 0, 2, None, 0.5]),
    "integer": st.sampled_from([1.5, None, True, 2**31, "x", [1]]),
    "long": st.sampled_from([1.5, None, True, 2**63, "x", {}]),
    "float": st.sampled_from([1e300, True, "x", "1.5"]),
    "double": st.sampled_from([True, "x", "1.5", [1.0], "nan"]),
    "string": st.sampled_from([7, 1.5, True, None, ["a"], {"a": 1}]),
    "binary": st.sampled_from(["*", "abc", 7, None]),
    "datetime": st.builds(lambda m, z: m.replace(tzinfo=z).isoformat(), MOMENT, ZONES)
    | st.sampled_from(["03/04/2024", 17, None, "x", True]),
}


@st.composite
def tables(draw, of):
    """Draw kinds of columns with their values, and a form that says them."""
    kinds = draw(st.lists(st.sampled_from(sorted(FAITHFUL)), min_size=1, max_size=4))
    rows = draw(st.integers(1, 3))
    columns = {
        f"{kind}{place}": draw(st.lists(of[kind], min_size=rows, max_size=rows))
        for place, kind in enumerate(kinds)
    }
    return kinds, columns, draw(st.sampled_from(FORMS))


def asked(scoring, kinds, columns, form):
    of = scoring.model(
        *(scoring.column(kind, name) for kind, name in zip(kinds, columns, strict=True))
    )
    return of, json.dumps(written(form, columns)).encode()


@settings(deadline=None, max_examples=150)
@given(tables(FAITHFUL))
def test_what_means_the_same_to_everybody_is_the_same(scoring, table):
    kinds, _, form = table
    # MLflow takes base64 for the bytes themselves in these forms.
    assume("binary" not in kinds or form.startswith("dataframe"))
    of, body = asked(scoring, *table)
    status, said = scoring.theirs(of, body)
    assert status == 200, said
    assert scoring.ours(of, body) == (status, said)


@settings(deadline=None, max_examples=150)
@given(tables({kind: FAITHFUL[kind] | DOUBTFUL[kind] for kind in FAITHFUL}))
def test_with_input_mlflow_all_is_as_mlflow_has_it(scoring, table):
    of, body = asked(scoring, *table)
    status, said = scoring.theirs(of, body)
    mine = scoring.ours(of, body, strict=False)
    assert mine[0] == status
    if status == 200:
        assert mine[1] == said


@settings(deadline=None, max_examples=150)
@given(tables({kind: FAITHFUL[kind] | DOUBTFUL[kind] for kind in FAITHFUL}))
def test_the_form_makes_no_difference(scoring, table):
    kinds, columns, _ = table
    answers = [scoring.ours(*asked(scoring, kinds, columns, form)) for form in FORMS]
    assert len({status for status, _ in answers}) == 1
    assert all(each == answers[0] for each in answers if each[0] == 200)
    assert answers[0][0] in (200, 400), answers[0]
