"""Whatever comes, in whatever pieces: what reads a client's bytes answers, or refuses."""

import asyncio
import copy
import json
from itertools import pairwise

from hypothesis import given, settings, strategies as st

from serving.front.http import Connection
from serving.front.listener import Limits, Listener
from serving.protocols import oip
from serving.protocols.answer import Answer
from serving.worker.oip import tensors
from serving.worker.oip.arrange import BadInput
from serving.worker.oip.signature import signature

# -- the parser: how the bytes were cut says nothing


class Said(asyncio.Transport):
    """Keeps what is written to a client, and whether it is closed."""

    def __init__(self):
        super().__init__()
        self.written, self.ended, self.closed, self.reads = b"", False, False, True

    def write(self, data):
        self.written += data

    def write_eof(self):
        self.ended = True

    def close(self):
        self.closed = True

    abort = close

    def can_write_eof(self):
        return True

    def is_closing(self):
        return self.closed

    def is_reading(self):
        return self.reads

    def pause_reading(self):
        self.reads = False

    def resume_reading(self):
        self.reads = True


class Echo:
    def answer(self, request):
        said = [request.method, request.path, request.query, request.body, *request.headers]
        return Answer(200, repr(said).encode())

    def refuse(self, path, status, message):  # noqa: ARG002 - the listener's
        return Answer(status, b"refused")


def said(*ways):
    """What is answered to bytes cut in each of these ways, and whether the connection ends so."""

    def one(pieces):
        listener = Listener(Echo(), Limits(body=500, held=900, head=800, headers=9), Connection)
        connection, transport = Connection(listener), Said()
        connection.connection_made(transport)
        for piece in pieces:
            if not transport.closed:  # a closed one brings nothing any longer
                connection.data_received(piece)
        connection.connection_lost(None)
        assert (listener.held, listener.connections) == (0, set())
        return transport.written, transport.ended or transport.closed

    async def run():
        return [one(pieces) for pieces in ways]

    return asyncio.run(run())


LINES = st.sampled_from(
    [b"GET / HTTP/1.1", b"POST /a?b HTTP/1.1", b"HEAD http://x/y HTTP/1.1", b"GET / HTTP/1.0",
     b"OPTIONS * HTTP/1.1", b"GET / HTTP/2.0", b"PRI * HTTP/2.0", b"CONNECT x:1 HTTP/1.1"]
)  # fmt: skip
FIELDS = st.lists(
    st.sampled_from(
        [b"host: x", b"Host: y:1", b"host: a/b", b"content-length: 3", b"Content-Length: 0",
         b"content-length: 600", b"content-length: -1", b"transfer-encoding: chunked",
         b"transfer-encoding: gzip", b"x:", b"x: \xff", b"x : y", b" folded", b"connection: close",
         b"connection: keep-alive", b"upgrade: h2c", b"connection: upgrade", b"x: " + b"y" * 300]
    ),
    max_size=4,
)  # fmt: skip
BODIES = st.sampled_from(
    [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"3;x=y\r\nabc\r\n0\r\nx: y\r\n\r\n", b"ffffffff\r\n",
     b"0\r\n\r\n", b"1\nx\n0\n\n", b"zz\r\n", b"\r\n", b"3\r\nabcd\r\n"]
)  # fmt: skip
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])


@st.composite
def requests(draw):
    end = draw(ENDS)
    head = [draw(LINES), b"host: z", *draw(FIELDS)]
    return end.join((*head, b"", draw(BODIES)))


@settings(max_examples=200, deadline=None)
@given(st.lists(requests() | st.binary(max_size=8), min_size=1, max_size=4), st.data())
def test_answers_do_not_depend_on_how_the_bytes_were_cut(parts, data):
    sent = b"".join(parts)
    places = st.lists(st.integers(0, len(sent)), max_size=8)
    cuts = sorted({0, len(sent), *data.draw(places)})
    some = [sent[begin:end] for begin, end in pairwise(cuts)]
    single = [bytes([byte]) for byte in sent]
    whole, *others = said([sent], some, single)
    assert others == [whole, whole]


# -- the reader of requests: a question, or a refusal

DOUBLE = {"type": "double", "required": True}
SIGNATURES = [
    signature({}),
    signature({"inputs": [{**DOUBLE, "name": "a"}, {"type": "string", "name": "s"}]}),
    signature({"inputs": [{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": [-1, 2]}}]}),
    signature(
        {
            "inputs": [{"type": "binary", "name": "a", "required": False}],
            "outputs": [{**DOUBLE, "name": "y"}],
            "params": [{"name": "p", "type": "long"}],
        }
    ),
]
VALID = [
    {"inputs": [{"name": "a", "datatype": "FP64", "shape": [0], "data": []}]},
    {"inputs": [{"name": "a", "datatype": "FP64", "shape": [2], "data": [1.5, None]},
                {"name": "s", "datatype": "BYTES", "shape": [2, 1], "data": [["x"], ["y"]]}]},
    {"id": "1", "inputs": [{"name": "a", "datatype": "INT8", "shape": [1, 2], "data": [[1, -2]]}]},
    {"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1], "data": ["YQ=="]}],
     "parameters": {"p": 3}, "outputs": [{"name": "y"}]},
]  # fmt: skip
ODD = st.sampled_from(
    [None, True, 0, -1, 1, 2**31, 2**63, 2**64, 1e308, -0.0, "", "a", "\x00", "\U0001f600", [], {},
     [[]], [[[1]]], {"name": "a"}, [{}], [0, 2**62], [1] * 40, [1] * 70, "FP16", "FP32",
     "BOOL", "INT64", "UINT8", [1e39], ["x" * 300]]
)  # fmt: skip


def places(content, here=()):
    """Every place in a JSON value, by its way there."""
    yield here
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from places(value, (*here, key))


@st.composite
def bodies(draw):
    """A valid request, changed in one place or a few, and perhaps in its bytes."""
    body = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(0, 3))):
        *way, last = draw(st.sampled_from([place for place in places(body) if place] or [("a",)]))
        inside = body
        for key in way:
            inside = inside[key]
        match draw(st.sampled_from(["replace", "drop", "twice"])):
            case "drop":
                del inside[last]
            case "twice" if isinstance(inside, list):
                inside.insert(last, copy.deepcopy(inside[last]))
            case _:
                inside[last] = copy.deepcopy(draw(ODD))
        if not body:
            break
    text = json.dumps(body).encode()
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.binary(max_size=3)) + text[place + draw(st.integers(0, 2)) :]
    return text


@settings(max_examples=300, deadline=None)
@given(bodies(), st.sampled_from(SIGNATURES))
def test_a_body_is_a_question_that_numpy_can_hold_or_a_refusal(body, known):
    import numpy as np

    try:
        question = oip.question(body, known, "made")
    except BadInput:
        return
    head, buffers = tensors.unpack(tensors.pack(question.head, question.buffers))
    for column, buffer in zip(head["columns"], buffers, strict=True):
        array = np.array(tensors.decode(column["datatype"], buffer), dtype="O")
        assert list(array.reshape(column["shape"]).shape) == column["shape"]
