"""What clients can make long costs what its length says; what they can do often is bounded."""

import io
import json
import logging
import re
import threading

import pytest
from hypothesis import given, strategies as st

from serving.protocols import answer, mlflow, oip
from serving.telemetry import log
from serving.telemetry.redact import redact, shown, shown_end
from serving.worker.loop import describe
from serving.worker.oip import tensors
from serving.worker.oip.arrange import BadInput
from serving.worker.oip.signature import signature

MANY = 1_000_000
NOTHING = signature({})


# -- redaction


@pytest.mark.timeout(120)  # what looks again for each character takes hours
@pytest.mark.parametrize(
    "part",
    ["a", "a+", "a://", "://", "x@", "a://b@", "key", "key=", 'key="', "key='", "password ",
     "bearer ", "token\n", "secret: ", "api_", "=", " ", "[", "\\", "password=\"'"],
)  # fmt: skip
def test_redaction_looks_at_each_character_a_few_times_only(part):
    redact(part * (MANY // len(part)))


@given(st.text("pasword=:/@ '\"key.x-", max_size=60), st.integers(10, 99))
def test_what_is_cut_shows_no_more_than_what_is_whole(text, end):
    secret = f"{end:02}" * 15
    whole = f"{text} at https://ann:{secret}@host/x password='{secret}' end"
    for characters in range(1, len(whole)):
        assert secret[:8] not in shown(whole, characters)


def test_a_long_message_is_cut_and_says_so():
    assert shown("no such colour: " + "blue" * MANY) == "no such colour: [cut]"
    assert shown("short") == "short"
    assert shown_end("first\n" + "middle\n" * 50_000 + "last").endswith("middle\nlast")
    assert shown_end("first\n" + "middle\n" * 50_000 + "last").startswith("[cut]\nmiddle")


def test_an_exception_that_repeats_all_it_was_asked_is_described_in_short():
    with pytest.raises(ValueError, match="blue") as raised:
        raise ValueError("blue " * MANY)
    said = describe(raised.value)
    assert said["message"].startswith("ValueError: blue blue")
    assert "test_bounds.py" in said["traceback"]
    assert len(json.dumps(said)) < 20_000


# -- the log


class Slow(io.StringIO):
    """A reader that takes nothing until it is released."""

    def __init__(self, gate):
        super().__init__()
        self._gate = gate

    def write(self, text):
        self._gate.wait(60)
        return super().write(text)


def line(number):
    return logging.LogRecord("serving", logging.INFO, "", 0, f"line {number}", (), None)


def test_a_log_that_nobody_reads_stops_nobody_and_says_what_it_dropped():
    gate = threading.Event()
    stream = Slow(gate)
    handler = log.BoundedQueueHandler(stream, "%(message)s", waiting=10)
    for number in range(100):
        handler.handle(line(number))
    assert 88 <= handler.dropped <= 90
    gate.set()
    handler.flush(60)
    said = stream.getvalue().splitlines()
    assert said[0] == "line 0"
    # It may say so more than once: as soon as there is room for a line.
    told = re.findall(r"(\d+) lines were dropped: the log is read too slowly", "\n".join(said))
    assert sum(map(int, told)) == handler.dropped
    handler.close()


def trace(function, number=1):
    return (
        f'Traceback\n  File "/m/{function}.py", line {number}, in {function}\nValueError: {number}'
    )


def test_the_same_error_is_written_once_a_minute_under_one_id():
    errors = log.Errors()
    first, new, more = errors.register(trace("f"), 0.0)
    assert (new, more) == (True, 0)
    for _ in range(3):
        assert errors.register(trace("f"), 30.0) == (first, False, 0)
    other, new, _ = errors.register(trace("g"), 30.0)
    assert new
    assert other != first
    again, new, more = errors.register(trace("f"), 61.0)
    assert (new, more) == (True, 3)
    assert again != first


def test_errors_of_too_many_kinds_are_written_as_one():
    errors = log.Errors()
    written = [errors.register(trace("f", number), 1.0)[1] for number in range(1_000)]
    assert written.count(True) == log.KINDS + 1
    assert errors.register(trace("f", 5_000), 100.0)[1]


# -- the protocols


def infer(*inputs, **more):
    return oip.question(json.dumps({"inputs": list(inputs), **more}).encode(), NOTHING, "made")


def one(name="x", shape=(1,), data=(1.0,), datatype="FP64"):
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": list(data)}


def test_more_tensors_than_any_model_has_are_refused_before_they_are_looked_at():
    with pytest.raises(BadInput, match="holds 20000 tensors: at most 1024 are taken"):
        infer(*[{}] * 20_000)
    wide = [{"type": "double", "name": f"c{n}"} for n in range(2_000)]
    many = [one(f"c{n}") for n in range(2_000)]
    body = json.dumps({"inputs": many}).encode()
    head = oip.question(body, signature({"inputs": wide}), "made").head
    assert len(head["columns"]) == 2_000


def test_no_rows_are_a_question_too():
    head, buffers = infer(one(shape=[0, 4], data=[]))[:2]
    assert head["columns"][0]["shape"] == [0, 4]
    assert buffers == [b""]


@pytest.mark.parametrize("value", [1e39, -1e300, 3.5e38])
def test_a_number_too_large_for_its_type_is_refused_in_every_type(value):
    for datatype in ("FP16", "FP32"):
        with pytest.raises(BadInput, match=f"input 'x': .*{datatype}"):
            infer(one(data=[1.0, value], shape=[2], datatype=datatype))
    assert infer(one(data=[value]))


def test_what_is_infinite_already_stays_so():
    values = [float("inf"), -float("inf"), 1.0]
    assert tensors.decode("FP32", tensors.encode("FP32", values)) == values


@pytest.mark.parametrize("what", ["name", "datatype"])
def test_an_error_repeats_little_of_what_was_sent(what):
    with pytest.raises(BadInput) as refused:
        infer({**one(), "datatype": "NONE", what: "x" * MANY})
    for failure in (oip.failure(str(refused.value)), mlflow.failure(400, str(refused.value))):
        assert len(failure) < 3_000


def test_an_output_that_the_signature_does_not_have_is_refused_before_the_model_is_asked():
    known = signature({"outputs": [{"type": "double", "name": "price"}]})
    body = {"inputs": [one()], "outputs": [{"name": "colour"}]}
    with pytest.raises(BadInput, match="output 'colour' is not one of the model's outputs: price"):
        oip.question(json.dumps(body).encode(), known, "made")


def test_half_a_surrogate_pair_can_be_said():
    assert json.loads(oip.failure("no \ud800 here")) == {"error": "no ? here"}
    assert json.loads(mlflow.failure(400, "no \ud800"))["message"] == "no ?"
    assert json.loads(answer.dumps({"a\udfff": ["\ud800", 1, None, {"b": "c"}]})) == {
        "a?": ["?", 1, None, {"b": "c"}]
    }
