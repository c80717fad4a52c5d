"""What a client may send to break a server, and what is answered: a table, and no code that acts.

Each entry is sent between two good requests, all in one write: `GOOD`, the attack, `GOOD`. So an
answer is expected for the first, then those of the entry, and one for the last where the connection
goes on. RFC 9112 (HTTP/1.1) is meant where a section has no other name; `serving.md`, `errors.md`
and ADR 7 are pages of docs/.
"""

from __future__ import annotations

import gzip
import json
from typing import Any, NamedTuple

LIMIT = 1_000_000
"""Bytes of a body that the server of the tests takes."""


class Attack(NamedTuple):
    """One thing to send.

    Attributes:
        sends: the bytes.
        answers: statuses, in order; none if the connection is closed without an answer.
        why: the rule that says so.
        goes_on: whether the connection takes the next request.
        model: whom it is sent to: "actor" has a signature, "describe" has none.
    """

    name: str
    sends: bytes
    answers: tuple[int, ...]
    why: str
    goes_on: bool = False
    model: str = "actor"


LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
INVOKE = b'{"dataframe_split":{"columns":["act","number"],"data":[["x",1.5]]}}'


def post(*fields: bytes, body: bytes = b"", path: bytes = b"/invocations") -> bytes:
    """A POST; a `body` is not declared automatically."""
    head = [b"POST %b HTTP/1.1" % path, b"host: x", b"content-type: application/json", *fields]
    return b"\r\n".join((*head, b"", body))


def chunks(body: bytes, *fields: bytes) -> bytes:
    return post(CHUNKED.strip(), *fields, body=body)


def refused(name: str, sends: bytes, status: int, why: str) -> Attack:
    return Attack(name, sends, (status,), why)


def taken(name: str, sends: bytes, why: str, *answers: int) -> Attack:
    return Attack(name, sends, answers, why, goes_on=True)


WHOLE = b"%x\r\n%b\r\n0\r\n" % (len(INVOKE), INVOKE)

SMUGGLING = [
    # Two ways to say how long a body is: whoever stands before the server may take the other one.
    refused("a length and chunks", post(b"content-length: 4", CHUNKED.strip(), body=b"0\r\n\r\n"),
            400, "6.3: ought to be handled as an error"),
    refused("chunks and a length", post(CHUNKED.strip(), b"content-length: 4", body=b"0\r\n\r\n"),
            400, "6.3: ought to be handled as an error"),
    refused("two lengths", post(b"content-length: 0", b"content-length: 40", body=LIVE + b"\r\n"),
            400, "6.3: unrecoverable"),
    refused("one length twice", post(b"content-length: 0", b"content-length: 0"),
            400, "6.3: may be rejected"),
    refused("a list of lengths", post(b"content-length: 0, 0"), 400, "6.3: may be rejected"),
    refused("a length with a sign", post(b"content-length: +0"), 400, "RFC 9110, 8.6: 1*DIGIT"),
    refused("a length in hex", post(b"content-length: 0x0"), 400, "RFC 9110, 8.6: 1*DIGIT"),
    refused("a length with a line under it", post(b"content-length: 1_0"), 400, "RFC 9110, 8.6"),
    refused("no length", post(b"content-length:"), 400, "RFC 9110, 8.6: 1*DIGIT"),
    refused("a length of 2^64", post(b"content-length: 18446744073709551616"), 400,
            "RFC 9110, 8.6: prevent parsing errors due to integer overflows"),
    refused("a length of 2^64 - 1", post(b"content-length: 18446744073709551615"), 413,
            "serving.md: the body is larger than max_body"),
    refused("identity", post(b"transfer-encoding: identity"), 400, "6.3: chunked is not the last"),
    refused("a coding that only ends so", post(b"transfer-encoding: xchunked"), 400, "6.3"),
    refused("chunked, twice", post(b"transfer-encoding: chunked, chunked"), 400, "6.1: not twice"),
    refused("two fields", post(CHUNKED.strip(), CHUNKED.strip()), 400, "6.1: not twice"),
    refused("chunked, then identity", post(CHUNKED.strip(), b"transfer-encoding: identity"), 400,
            "6.3: chunked is not the last"),
    refused("gzip in chunks", post(b"transfer-encoding: gzip, chunked", body=b"0\r\n\r\n"), 501,
            "6.1: a coding that it does not understand"),
    refused("gzip in chunks, two fields", post(b"transfer-encoding: gzip", CHUNKED.strip()), 501,
            "6.1: a coding that it does not understand"),
    refused("chunked with a parameter", post(b"transfer-encoding: chunked;q=1"), 400, "7.1: none"),
    refused("chunked behind a vertical tab", post(b"transfer-encoding: \x0bchunked"), 400,
            "RFC 9110, 5.5: a field's value holds no control character"),
    refused("a quoted coding", post(b'transfer-encoding: "chunked"'), 400, "RFC 9110, 10.1.4"),
    refused("an empty coding", post(b"transfer-encoding:"), 400, "6.3: chunked is not the last"),
    refused("a space before the colon", post(b"transfer-encoding : chunked"), 400,
            "5.1: must be rejected with 400"),
    refused("chunks of HTTP/1.0", b"POST / HTTP/1.0\r\nconnection: keep-alive\r\n" + CHUNKED
            + b"\r\n0\r\n\r\n", 400, "6.1: its framing is faulty, and the connection ends"),
    taken("a field that only looks alike",
          post(b"transfer_encoding: chunked", b"content-length: 67",
          body=INVOKE), "RFC 9110, 5.1: another name is another field", 200),
    taken("a coding in capitals", chunks(WHOLE + b"\r\n").replace(b"chunked", b"CHUNKED"),
          "RFC 9110, 10.1.4: case-insensitive", 200),
    taken("a body of GET", LIVE + b"content-length: 47\r\n\r\n" + b"GET /v2 HTTP/1.1\r\nhost: x\r\n"
          b"x: 1234567890abc\r\n\r\n"[:47], "RFC 9110, 9.3.1: has a body, that means nothing", 200),
    refused("a line folded", LIVE + b"x: a\r\n content-length: 4\r\n\r\n", 400, "5.2"),
    refused("a tab before a name", LIVE + b"\tx: a\r\n\r\n", 400, "2.2 and 5.2"),
    refused("a space before the first field", b"GET / HTTP/1.1\r\n host: x\r\n\r\n", 400, "2.2"),
    refused("a lone LF", LIVE + b"x: a\ncontent-length: 4\r\n\r\n", 400, "2.2: may be recognised"),
    refused("a lone CR", LIVE + b"x: a\rb\r\n\r\n", 400, "2.2: invalid"),
    refused("CR twice", LIVE + b"x: a\r\r\n\r\n", 400, "2.2: invalid"),
    refused("NUL in a value", LIVE + b"x: a\0b\r\n\r\n", 400, "RFC 9110, 5.5: rejected"),
    refused("no name", LIVE + b": a\r\n\r\n", 400, "RFC 9110, 5.1: 1*tchar"),
    refused("no colon", LIVE + b"x\r\n\r\n", 400, '5: field-name ":"'),
    refused("a name in brackets", LIVE + b"(x): a\r\n\r\n", 400, "RFC 9110, 5.1: 1*tchar"),
    refused("a name beyond ASCII", LIVE + b"\xc3\xa4: a\r\n\r\n", 400, "RFC 9110, 5.1: 1*tchar"),
    taken("an empty value before the host", b"GET /v2 HTTP/1.1\r\nx:\r\nhost: x\r\n\r\n",
          "RFC 9110, 5.5: may be empty", 200),
    taken("bytes in a value", LIVE + b"x: \x80\xff\r\n\r\n", "RFC 9110, 5.5: obs-text", 200),
]  # fmt: skip

CHUNKS = [
    refused("a size that overflows", chunks(b"f" * 17 + b"\r\n"), 400, "7.1: prevent overflows"),
    refused("a negative size", chunks(b"-1\r\n"), 400, "7.1: 1*HEXDIG"),
    refused("a size in C's hex", chunks(b"0x2\r\n{}\r\n0\r\n\r\n"), 400, "7.1: 1*HEXDIG"),
    refused("a space after a size", chunks(b"2 \r\n{}\r\n0\r\n\r\n"), 400, "7.1: chunk-size CRLF"),
    refused("a size and LF", chunks(b"2\n{}\r\n0\r\n\r\n"), 400, "7.1: chunk-size CRLF"),
    refused("an extension and LF", chunks(b"2;a\n{}\r\n0\r\n\r\n"), 400, "7.1.1"),
    refused("an extension with a lone CR", chunks(b"2;a\rb\r\n{}\r\n0\r\n\r\n"), 400, "7.1.1"),
    refused("data shorter than its size", chunks(b"3\r\n{}\r\n0\r\n\r\n"), 400, "7.1"),
    refused("data longer than its size", chunks(b"1\r\n{}\r\n0\r\n\r\n"), 400, "7.1"),
    refused("a body beyond the most", chunks(b"%x\r\n" % (2 * LIMIT) + b"x" * (LIMIT + 1)), 413,
            "serving.md: the body is larger than max_body"),
    refused("an extension without an end", chunks(b"2;" + b"x" * 70_000), 400,
            "7.1.1: ought to limit the total length of extensions"),
    refused("a length in the trailer", chunks(WHOLE + b"content-length: 5\r\n\r\n"), 400,
            "6.5.1: fields that are needed for framing are not trailers"),
    refused("a coding in the trailer", chunks(WHOLE + CHUNKED + b"\r\n"), 400, "6.5.1"),
    Attack("an end in the trailer", chunks(WHOLE + b"connection: close\r\n\r\n"), (200,),
           "6.5.1: not a trailer; llhttp reads it, and to close is always allowed"),
    taken("a host in the trailer", chunks(WHOLE + b"host: evil\r\n\r\n"), "6.5.1: dropped", 200),
    taken("an upgrade in the trailer",
          chunks(WHOLE + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n"),
          "6.5.1: dropped", 200),
    taken("extensions", chunks(WHOLE.replace(b"\r\n", b';a=b;c="d"\r\n', 1) + b"\r\n"),
          "7.1.1: ignored", 200),
    taken("zeros before a size", chunks(b"0" * 30 + WHOLE + b"\r\n"), "7.1: 1*HEXDIG", 200),
]  # fmt: skip


def get(target: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return b"%b %b %b\r\nhost: x\r\n\r\n" % (method, target, version)


TARGETS = [
    taken("an address", get(b"http://other:1/v2/health/live"), "3.2.2: must be accepted", 200),
    taken("an address without a path", get(b"https://other?x"), "3.2.2; 3.3", 200),
    refused("an address with a login", get(b"http://me:pw@x/v2"), 400, "RFC 9110, 4.2.4: an error"),
    refused("another scheme", get(b"ftp://x/v2"), 400, "RFC 9110, 7.4: not a target of ours"),
    refused("an authority", get(b"x:80"), 400, "3.2.3: of CONNECT only"),
    refused("a tunnel", get(b"x:80", b"CONNECT"), 400, "RFC 9110, 9.3.6: no proxy; errors.md"),
    taken("the server's options", get(b"*", b"OPTIONS"), "RFC 9110, 9.3.7; 15.5.6: Allow", 405),
    refused("an asterisk of GET", get(b"*"), 400, "3.2.4: of OPTIONS only"),
    refused("a fragment", get(b"/v2#x"), 400, '3.2.1: absolute-path [ "?" query ]'),
    refused("bytes in a path", get(b"/v2/\xff\xfe"), 400, "3.2; RFC 3986, 3.3: ASCII"),
    refused("a space in a path", get(b"/v2/a b"), 400, "3.2: no whitespace"),
    taken("percent-encoding that is none", get(b"/v2/%zz%ff%00%0d%0ax:y"), "serving.md: 404", 404),
    taken("a way up", get(b"/v2/../../etc/passwd"), "serving.md: no such path", 404),
    taken("a way up, encoded",
          get(b"/v2/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), "serving.md", 404),
    taken("a way up to what is there", get(b"/x/../v2/health/live"), "serving.md: 404", 404),
    taken("a path of slashes", get(b"/" * 20_000 + b"x"), "serving.md: no such path", 404),
    taken("a long query", get(b"/v2?" + b"%00" * 15_000), "a query means nothing", 200),
    taken("more than one question mark", get(b"/v2?a?b=../&c"), "a query means nothing", 200),
    refused("a path too long", get(b"/" + b"a" * 80_000), 431, "errors.md: larger than 64 KiB"),
    refused("too many fields", LIVE + b"x: y\r\n" * 101 + b"\r\n", 431, "errors.md: over 100"),
    refused("a field too large", LIVE + b"x: " + b"y" * 80_000 + b"\r\n\r\n", 431, "errors.md"),
    refused("a name too large", LIVE + b"y" * 80_000 + b": x\r\n\r\n", 431, "errors.md"),
]  # fmt: skip

VERSIONS = [
    refused("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "ADR 7: no HTTP/2"),
    refused("HTTP/2 as text", get(b"/v2", version=b"HTTP/2.0"), 505, "RFC 9110, 15.6.6"),
    refused("HTTP/0.9", b"GET /v2\r\n\r\n", 505, "RFC 9110, 15.6.6"),
    refused("a version that is none", get(b"/v2", version=b"HTTP/1.10"), 400, "2.3: DIGIT"),
    refused("a version in small letters", get(b"/v2", version=b"http/1.1"), 400, "2.3"),
    refused("a method in small letters", get(b"/v2", b"get"), 400, "RFC 9110, 9.1: case-sensitive"),
    refused("a method that nobody knows", get(b"/v2", b"BREW"), 400, "ADR 7: llhttp knows them"),
    taken("a method that is not for it", get(b"/v2", b"DELETE"), "RFC 9110, 15.5.6", 405),
    taken("HEAD where POST is meant", get(b"/invocations", b"PUT"), "RFC 9110, 15.5.6", 405),
    Attack("HTTP/1.0", b"GET /v2/health/live HTTP/1.0\r\n\r\n", (200,), "9.3: not persistent"),
    taken("HTTP/1.0 that goes on", b"GET /v2 HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
          "C.2.2: keep-alive", 200),
    refused("an upgrade", LIVE + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n", 400, "ADR 7"),
    taken("an upgrade that is not for this hop", LIVE + b"upgrade: h2c\r\n\r\n",
          "RFC 9110, 7.8: only with Connection: upgrade", 200),
    refused("a host with a path", LIVE.replace(b": x", b": a/b") + b"\r\n",
            400, "3.2: must be 400"),
    refused("no host", b"GET /v2 HTTP/1.1\r\n\r\n", 400, "3.2: must be 400"),
    refused("an expectation nobody knows", LIVE + b"expect: tea\r\n\r\n", 417, "RFC 9110, 10.1.1"),
    taken("an expectation of HTTP/1.0", b"GET /v2 HTTP/1.0\r\nconnection: keep-alive\r\nexpect: "
          b"100-continue\r\ncontent-length: 1\r\n\r\nx", "RFC 9110, 10.1.1: must be ignored", 200),
    taken("lines before a request", b"\r\n\r\n" + LIVE + b"\r\n", "2.2: should be ignored", 200),
    refused("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "errors.md: not HTTP/1.1"),
    Attack("a last request, and more", LIVE + b"connection: close\r\n\r\n" + LIVE + b"\r\n", (200,),
           "9.6: no further request is processed"),
    Attack("a last request between others", LIVE + b"connection: keep-alive, close\r\n\r\n", (200,),
           "9.6: close is among the options"),
    taken("many at once", (LIVE + b"\r\n") * 40, "9.3.2: answered in order", *[200] * 40),
    Attack("many, and a bad one among them", (LIVE + b"\r\n") * 5 + b"x\r\n\r\n" + LIVE + b"\r\n",
           (*[200] * 5, 400), "9.3.2; ADR 7: nothing after what is refused is read"),
    taken("many that are refused by the application", get(b"/x") * 5 + LIVE + b"\r\n",
          "a 404 ends no connection", *[404] * 5, 200),
]  # fmt: skip


# -- bodies


def tensor(name: str, datatype: str, shape: Any, data: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data, **more}


ACT = tensor("act", "BYTES", [1], ["x"])
NUMBER = tensor("number", "FP64", [1], [1.5])


def infer(*inputs: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


def body(
    name: str,
    content: bytes,
    status: int,
    why: str,
    *fields: bytes,
    model: str = "",
    kind: str = "",
) -> Attack:
    """A body for infer, or if `kind` says its type for /invocations; its length is right."""
    to = model or "actor"
    path = b"/invocations" if kind else b"/v2/models/%b/infer" % to.encode()
    length = b"content-length: %d" % len(content)
    sent = post(length, *fields, body=content, path=path)
    sent = sent.replace(b"application/json", (kind or "application/json").encode(), 1)
    return Attack(name, sent, (status,), why, goes_on=True, model=to)


def bare(name: str, content: bytes, status: int, why: str, *fields: bytes) -> Attack:
    """A body for a model without a signature."""
    return body(name, content, status, why, *fields, model="describe")


GOOD_INFER = infer(ACT, NUMBER)
GZIP = b"content-encoding: gzip"
PACKED = gzip.compress(GOOD_INFER, mtime=0)
STRICT = "RFC 8259; serving.md: 400, the input does not fit"
SHAPE = "Open Inference Protocol: shape and data belong together; errors.md"

INFER = [
    body("NaN", GOOD_INFER.replace(b"1.5", b"NaN"), 400, STRICT),
    body("Infinity", GOOD_INFER.replace(b"1.5", b"-Infinity"), 400, STRICT),
    body("a number beyond doubles", GOOD_INFER.replace(b"1.5", b"1e400"), 400, STRICT),
    body("a number of 5,000 digits", GOOD_INFER.replace(b"1.5", b"9" * 5_000), 400, STRICT),
    body("a number next to nothing", GOOD_INFER.replace(b"1.5", b"1e-99999"), 200, "it is 0"),
    body("half a surrogate", GOOD_INFER.replace(b'"x"', b'"\\ud800"'), 400, STRICT),
    body("bytes that are not UTF-8", GOOD_INFER.replace(b'"x"', b'"\xff"'), 400, STRICT),
    body("a surrogate in UTF-8", GOOD_INFER.replace(b'"x"', b'"\xed\xa0\x80"'), 400, STRICT),
    body("an overlong NUL", GOOD_INFER.replace(b'"x"', b'"\xc0\x80"'), 400, STRICT),
    body("NUL in a text", GOOD_INFER.replace(b'"x"', b'"\\u0000"'),
         200, "RFC 8259, 7: a character"),
    body("NUL that is not escaped", GOOD_INFER.replace(b'"x"', b'"\x00"'), 400, STRICT),
    body("a byte order mark", b"\xef\xbb\xbf" + GOOD_INFER,
         400, "RFC 8259, 8.1: must not be added"),
    body("UTF-16", GOOD_INFER.decode().encode("utf-16"), 400, "RFC 8259, 8.1: must be UTF-8"),
    body("a key twice", GOOD_INFER[:-1] + b',"inputs":[]}',
         400, "RFC 8259, 4: the last one counts"),
    body("100,000 lists", b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, STRICT),
    body("lists without an end", b"[" * (LIMIT - 1), 400, STRICT),
    body("objects without an end", b'{"a":' * 100_000, 400, STRICT),
    body("nothing", b"", 400, STRICT),
    body("null", b"null", 400, STRICT),
    body("more after the end", GOOD_INFER + b"{}", 400, STRICT),
    body("more tensors than are taken", infer(*[tensor(f"n{n}", "FP64", [1], [1])
         for n in range(1_100)]), 400, "errors.md: at most 1,024"),
    body("a tensor twice", infer(ACT, ACT, NUMBER), 400, "errors.md"),
    body("a negative shape", infer(ACT, {**NUMBER, "shape": [-1]}), 400, SHAPE),
    body("a shape of a fraction", infer(ACT, {**NUMBER, "shape": [1.0]}), 400, SHAPE),
    body("a shape of true", infer(ACT, {**NUMBER, "shape": [True]}), 400, SHAPE),
    body("a shape beyond 64 bits", infer(ACT, {**NUMBER, "shape": [10**30]}), 400, SHAPE),
    body("a shape that overflows", infer(ACT, {**NUMBER, "shape": [2**62, 4]}), 400, SHAPE),
    body("a shape of lists", infer(ACT, {**NUMBER, "shape": [[1]]}), 400, SHAPE),
    body("90,000 dimensions", infer(ACT, {**NUMBER, "shape": [9 * 10**9] * 80_000}), 400, SHAPE),
    body("data of another shape", infer(ACT, {**NUMBER, "data": [[1], [2, 3]]}), 400, SHAPE),
    body("data that is a text", infer(ACT, {**NUMBER, "data": "1.5"}), 400, SHAPE),
    body("true for a number", infer(ACT, {**NUMBER, "data": [True]}), 400, SHAPE),
    body("an output that is not there", infer(ACT, NUMBER, outputs=[{"name": "x"}]),
         400, "errors.md"),
    body("an output many times", infer(ACT, NUMBER, outputs=[{"name": "said"}] * 999), 200,
         "it is asked for once"),
    body("an id that is long", infer(ACT, NUMBER, id="x" * 500_000), 200, "it is the client's own"),
    body("parameters that are a list", infer(ACT, NUMBER, parameters=[1]), 400, "errors.md"),
    body("a parameter of another type", infer(ACT, NUMBER, parameters={"factor": "x"}), 400,
         "MLflow checks it"),
    body("a binary tensor", infer(ACT, NUMBER), 400, "errors.md: binary tensors are not supported",
         b"inference-header-content-length: 9"),
    body("no rows, of a model that fails then", infer({**ACT, "shape": [0], "data": []},
         {**NUMBER, "shape": [0], "data": []}), 500, "errors.md: the model raised"),
    bare("33 dimensions", infer(tensor("x", "FP64", [1] * 33, [1])), 400, SHAPE),
    bare("no values, of a shape beyond memory", infer(tensor("x", "FP64", [0, 2**62], [])),
         400, SHAPE),
    bare("no values", infer(tensor("x", "FP64", [0], [])), 200, "a tensor may have no rows"),
    bare("no texts", infer(tensor("x", "BYTES", [0, 3], [])), 200, "a tensor may have no rows"),
    bare("a name of nothing", infer(tensor("", "INT8", [1], [1])), 200, "any text is a name"),
    bare("columns of two lengths", infer(tensor("a", "INT8", [1], [1]), tensor("b", "INT8", [2],
         [1, 2])), 400, "errors.md"),
    bare("a number that its type does not hold", infer(tensor("a", "INT8", [1], [300])), 400,
         "errors.md"),
]  # fmt: skip

ENCODINGS = [
    body("gzip", PACKED, 200, "serving.md: may be gzip", GZIP),
    body("gzip in capitals", PACKED, 200, "RFC 9110, 8.4.1: case-insensitive", GZIP.upper()),
    body("gzip cut short", PACKED[:-5], 400, "RFC 1952, 2.3", GZIP),
    body("gzip of another sum", PACKED[:-8] + bytes(8), 400, "RFC 1952, 2.3.1: CRC32", GZIP),
    body("gzip, and more behind it", PACKED + b"x", 400, "errors.md: one whole stream", GZIP),
    body("two gzip members", PACKED + gzip.compress(b" "),
         400, "errors.md: one whole stream", GZIP),
    body("100,000 members", PACKED + gzip.compress(b"", mtime=0) * 40_000, 400, "errors.md", GZIP),
    body("gzip of nothing", b"", 400, "errors.md: one whole stream", GZIP),
    body("not gzip", GOOD_INFER, 400, "errors.md: the body is not gzip", GZIP),
    body("a gzip bomb", gzip.compress(bytes(300 * LIMIT), 9), 413,
         "serving.md: max_body counts what comes out", GZIP),
    body("gzip in gzip", gzip.compress(PACKED), 400, "one coding was said", GZIP),
    body("gzip said twice", PACKED, 415, "RFC 9110, 5.3 and 15.5.16", GZIP, GZIP),
    body("another coding", PACKED, 415, "RFC 9110, 15.5.16", b"content-encoding: br"),
]  # fmt: skip

JSON, CSV = "application/json", "text/csv"
CELL = INVOKE.replace(b'"x"', b"%b")
MLFLOW = "serving.md: the input does not fit; MLflow reads it"

INVOCATIONS = [
    body("bytes that are not UTF-8", CELL % b'"\xff"', 400, MLFLOW, kind=JSON),
    body("half a surrogate in what the model says", CELL % b'"raise\\ud800"', 500,
         "errors.md: the model raised; the message is JSON all the same", kind=JSON),
    body("a number of 5,000 digits", INVOKE.replace(b"1.5", b"9" * 5_000), 400, MLFLOW, kind=JSON),
    body("a number beyond 64 bits", INVOKE.replace(b"1.5", b"9" * 400), 400, MLFLOW, kind=JSON),
    body("a key twice", INVOKE[:-1] + b',"dataframe_split":{}}', 400, "RFC 8259, 4", kind=JSON),
    body("two forms", b'{"inputs":[1],"instances":[1]}', 400, MLFLOW, kind=JSON),
    body("100,000 lists", b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, MLFLOW,
         kind=JSON),
    body("100,000 objects", b'{"dataframe_split":' + b'{"a":' * 100_000, 400, MLFLOW, kind=JSON),
    body("900 lists", b'{"inputs":' + b"[" * 900 + b"]" * 900 + b"}", 400, MLFLOW, kind=JSON),
    body("nothing", b"", 400, MLFLOW, kind=JSON),
    body("a list", b"[1]", 400, MLFLOW, kind=JSON),
    body("no form that is known", b'{"a":1}', 400, MLFLOW, kind=JSON),
    body("records that are numbers", b'{"dataframe_records":[1,2]}', 400, MLFLOW, kind=JSON),
    body("a column twice", INVOKE.replace(b"number", b"act"), 400, MLFLOW, kind=JSON),
    body("a list for a number", INVOKE.replace(b"1.5", b"[1.5]"), 400, MLFLOW, kind=JSON),
    body("columns that are an object", INVOKE.replace(b'["act","number"]', b'{"a":1}'), 400, MLFLOW,
         kind=JSON),
    body("columns of two lengths", b'{"inputs":{"act":["x","y"],"number":[1]}}', 400, MLFLOW,
         kind=JSON),
    body("UTF-16 that is said", INVOKE.decode().encode("utf-16"), 415, "RFC 9110, 15.5.16",
         kind=JSON + "; charset=utf-16"),
    body("no type", INVOKE, 415, "RFC 9110, 15.5.16", kind="x/"),
    body("two types", INVOKE, 415, "RFC 9110, 15.5.16", kind=f"{JSON}, {CSV}"),
    body("no CSV", b"", 400, MLFLOW, kind=CSV),
    body("a quote without an end", b'act,number\n"x,1.5\n', 400, MLFLOW, kind=CSV),
    body("CSV that is not UTF-8", b"act,number\n\xff,1.5\n", 400, MLFLOW, kind=CSV),
    body("a CSV number beyond doubles", b"act,number\nx,1e400\n", 400, MLFLOW, kind=CSV),
    body("no Parquet", b"PAR1xxxxPAR1", 400, MLFLOW, kind="application/vnd.apache.parquet"),
]  # fmt: skip

ALL = {
    f"{group}: {attack.name}": attack
    for group, attacks in {
        "smuggling": SMUGGLING, "chunks": CHUNKS, "targets": TARGETS, "versions": VERSIONS,
        "infer": INFER, "encodings": ENCODINGS, "invocations": INVOCATIONS,
    }.items()
    for attack in attacks
}  # fmt: skip
