"""The listener, asked over sockets: each bound has its status; no client takes more than that."""

import asyncio
import contextlib
import json
import socket
import struct

import pytest
from hypothesis import given, settings, strategies as st

from serving.front.http import PARTS, TURNED_AWAY, Connection
from serving.front.listener import Limits, Listener
from serving.protocols.answer import Answer

LIMITS = Limits(body=1_000, held=3_000, head=2_000, headers=10, connections=20)
HURRIED = LIMITS._replace(head_seconds=0.2, idle_seconds=0.4, grace=0.2, rate=1_000_000)
GET = b"GET /now HTTP/1.1\r\nhost: x\r\n\r\n"
LATER = b"GET /later HTTP/1.1\r\nhost: x\r\n\r\n"
LAST = b"GET /now HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def post(body, *headers, length=None):
    size = len(body) if length is None else length
    lines = [b"POST /now HTTP/1.1", b"host: x", b"content-length: %d" % size, *headers, b"", body]
    return b"\r\n".join(lines)


class Echo:
    """Says what it was asked: at once, or for /later when it is let."""

    def __init__(self):
        self.asked, self.left, self.go = [], 0, asyncio.Event()

    def answer(self, request):
        self.asked.append(request)
        said = {"path": request.path.decode("latin-1"), "size": len(request.body)}
        answer = Answer(200, json.dumps(said).encode())
        return self._later(answer) if request.path == b"/later" else answer

    async def _later(self, answer):
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        return answer

    def refuse(self, path, status, message):
        return Answer(status, json.dumps({"path": path.decode(), "error": message}).encode())


class Client:
    """A socket that says bytes, and reads answers."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    def say(self, data):
        self._writer.write(data)

    async def answer(self):
        """Return the next answer's status and body."""
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 30)
        lines = head.lower().split(b"\r\n")
        length = next(line for line in lines if line.startswith(b"content-length: "))
        body = await self._reader.readexactly(int(length.split()[1]))
        return int(head.split()[1]), json.loads(body)

    async def line(self):
        return await asyncio.wait_for(self._reader.readline(), 30)

    async def ended(self):
        """Whether the server closes it."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self._reader.read(), 30) == b""
        return True

    def leave(self, *, rudely=False):
        if rudely:
            raw = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.close()


def meeting(story, limits=LIMITS):
    """Run a story with a listener: it gets the application, the listener, and what connects."""

    async def run():
        listening = socket.create_server(("127.0.0.1", 0))
        echo = Echo()
        listener = Listener(echo, limits, Connection)
        await listener.open([listening])
        port = listening.getsockname()[1]

        clients = []

        async def connect():
            clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
            return clients[-1]

        try:
            await story(echo, listener, connect)
        finally:
            for client in clients:
                client.leave()
            await listener.close(0)
            await until(lambda: not listener.connections)

    asyncio.run(run())


async def until(true):
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - what it looks at tells nobody
            await asyncio.sleep(0.005)


def asked(*requests, limits=LIMITS):
    """Say these bytes on one connection; the answers, up to the one after which it is closed."""
    found = []

    async def story(_echo, listener, connect):
        client = await connect()
        client.say(b"".join(requests) + LAST)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                found.append(await client.answer())
        client.leave()
        await until(lambda: not listener.connections)
        assert listener.held == 0

    meeting(story, limits)
    return found


# -- what is taken


def test_requests_of_one_connection_are_answered_in_order():
    assert asked(GET, post(b"abc"), post(b"")) == [
        (200, {"path": "/now", "size": size}) for size in (0, 3, 0, 0)
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pieces_of_any_size_are_put_together(size):
    sent = GET + post(b"abc") + post(b"x" * 900) + LAST

    async def story(echo, _listener, connect):
        client = await connect()
        for place in range(0, len(sent), size):
            client.say(sent[place : place + size])
            await asyncio.sleep(0)
        for expected in (0, 3, 900, 0):
            assert await client.answer() == (200, {"path": "/now", "size": expected})
        assert len(echo.asked) == 4

    meeting(story)


def chunked(*chunks, end=b"0\r\n\r\n"):
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end
    return b"POST /now HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + body


def test_chunks_and_trailers_are_taken():
    assert asked(chunked(b"ab", b"c"))[0] == (200, {"path": "/now", "size": 3})
    trailers = b"0\r\nhost: evil\r\nx: y\r\n\r\n"

    async def story(echo, _listener, connect):
        client = await connect()
        client.say(chunked(b"a", end=trailers))
        await client.answer()
        assert echo.asked[0].header(b"host") == b"x"
        assert echo.asked[0].header(b"x") == b""

    meeting(story)


def test_the_answer_to_head_has_no_body():
    async def story(_echo, _listener, connect):
        client = await connect()
        client.say(GET.replace(b"GET", b"HEAD") + LAST)
        assert await client.line() == b"HTTP/1.1 200 OK\r\n"
        await client._reader.readuntil(b"\r\n\r\n")
        assert await client.answer() == (200, {"path": "/now", "size": 0})

    meeting(story)


def test_a_client_that_asks_whether_it_may_go_on_is_told():
    async def story(_echo, _listener, connect):
        client = await connect()
        client.say(post(b"", b"expect: 100-continue", length=3))
        assert await client.line() == b"HTTP/1.1 100 Continue\r\n"
        await client.line()
        client.say(b"abc")
        assert await client.answer() == (200, {"path": "/now", "size": 3})
        client.say(post(b"", b"expect: 100-continue", length=99_999_999_999))
        assert (await client.answer())[0] == 413

    meeting(story)


def test_a_client_that_asks_behind_another_request_whether_it_may_go_on_is_told_in_its_turn():
    async def story(echo, _listener, connect):
        client = await connect()
        client.say(LATER + post(b"", b"expect: 100-continue", length=3))
        await until(lambda: echo.asked)
        echo.go.set()
        assert (await client.answer())[0] == 200
        assert await client.line() == b"HTTP/1.1 100 Continue\r\n"
        await client.line()
        client.say(b"abc" + LAST)
        assert await client.answer() == (200, {"path": "/now", "size": 3})
        assert (await client.answer())[0] == 200

    meeting(story)


def test_a_client_of_http_1_0_is_not_told_what_it_would_not_understand():
    sent = post(b"abc", b"expect: 100-continue", b"connection: keep-alive").replace(b"1.1", b"1.0")
    assert asked(sent)[0] == (200, {"path": "/now", "size": 3})


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://x/later%20/y?z", "/later%20/y"),
        (b"HTTPS://[::1]:80?z", "/"),
        (b"http://x", "/"),
        (b"/http://x/y", "/http://x/y"),
    ],
)
def test_an_address_may_stand_in_place_of_a_path(target, path):
    assert asked(GET.replace(b"/now", target))[0] == (200, {"path": path, "size": 0})


def test_the_server_itself_may_be_asked_for_its_options():
    assert asked(GET.replace(b"GET /now", b"OPTIONS *"))[0] == (200, {"path": "/", "size": 0})


@pytest.mark.parametrize("host", [b"", b"x.y:80", b"127.0.0.1:", b"[::1]:8000", b"a_b", b"%41"])
def test_any_name_of_a_host_is_taken(host):
    assert asked(GET.replace(b": x", b": " + host))[0][0] == 200


def test_tiny_chunks_are_put_together_before_they_take_many_times_their_size():
    size = 4 * PARTS
    sent = chunked(*[b"ab"] * (size // 2))

    async def story(_echo, listener, connect):
        client = await connect()
        client.say(sent[:-5])
        await until(lambda: listener.held == size)
        [connection] = listener.connections
        assert len(connection._parts) <= PARTS
        client.say(sent[-5:])
        assert await client.answer() == (200, {"path": "/now", "size": size})

    meeting(story, LIMITS._replace(body=size, held=size))


# -- what is refused


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        (post(b"x" * 1_001), 413, "larger than 1000 bytes"),
        (post(b"", length=10**12), 413, "larger than 1000 bytes"),
        (chunked(b"x" * 600, b"x" * 600), 413, "larger than 1000 bytes"),
        (b"GET /" + b"a" * 3_000, 431, "head is larger than 2000 bytes"),
        (GET[:-2] + b"x: " + b"a" * 3_000 + b"\r\n\r\n", 431, "head is larger than 2000 bytes"),
        (GET[:-2] + b"x: " + b"a" * 300_000, 431, "head is larger than 2000 bytes"),
        (GET[:-2] + b"x: y\r\n" * 10 + b"\r\n", 431, "more than 10 headers"),
        (chunked(b"a", end=b"0\r\n" + b"x: y\r\n" * 20), 431, "more than 10 headers"),
        (chunked(b"a", end=b"0\r\nx: " + b"y" * 9_000), 400, "too much beside it"),
        (chunked(b"a", end=b"1;" + b"y" * 9_000), 400, "too much beside it"),
        (b"GET /now HTTP/1.1\r\n\r\n", 400, "one Host header"),
        (b"GET /now HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "one Host header"),
        (b"nonsense\r\n\r\n", 400, "not an HTTP/1.1 request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, "not an HTTP/1.1 request"),
        (b"GET /now HTTP/1.1\nhost: x\n\n", 400, "not an HTTP/1.1 request"),
        (b"GET /now HTTP/1.1\r\nhost: x\r\nx y: z\r\n\r\n", 400, "not an HTTP/1.1 request"),
        (b"GET /now HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n", 400, "not an HTTP/1.1 request"),
        (post(b"", b"transfer-encoding: chunked"), 400, "not an HTTP/1.1 request"),
        (post(b"", b"content-length: 1"), 400, "not an HTTP/1.1 request"),
        (post(b"", b"expect: tea"), 417, "100-continue"),
        (GET[:-2] + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n", 400, "Upgrade"),
        (b"CONNECT /now:1 HTTP/1.1\r\nhost: x\r\n\r\n", 400, ""),
        (b"POST /now HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400, "not an HTTP"),
        (b"POST /now HTTP/1.1\r\nhost: x\r\ncontent-length: 1e3\r\n\r\n", 400, "not an HTTP"),
        (chunked(end=b"zz\r\n\r\n"), 400, "not an HTTP/1.1 request"),
        (b"POST /now HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, gzip\r\n\r\n", 400, ""),
        (chunked(b"a").replace(b"chunked", b"gzip, chunked"), 501, "only 'Transfer-Encoding"),
        (chunked(b"a").replace(b"chunked", b"identity"), 400, "must be chunked"),
        (chunked(b"a").replace(b"1.1", b"1.0"), 400, "Transfer-Encoding needs HTTP/1.1"),
        (GET.replace(b"1.1", b"2.0"), 505, "HTTP/2.0 is not spoken here"),
        (b"GET /now\r\n\r\n", 505, "HTTP/0.9 is not spoken here"),
        (GET.replace(b": x", b": a/b"), 400, "not the name of a host"),
        (GET.replace(b": x", b": me@x"), 400, "not the name of a host"),
        (GET.replace(b": x", b": a b"), 400, "not the name of a host"),
        (GET.replace(b"/now", b"/now#x"), 400, "no fragment"),
        (GET.replace(b"/now", b"*"), 400, "must be a path"),
        (GET.replace(b"/now", b"ftp://x/now"), 400, "must be a path"),
        (GET.replace(b"/now", b"http://me@x/now"), 400, "must be a path"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_answered_and_closed_and_nothing_after_it_is_read(sent, status, said):
    before, refused, *after = asked(GET, sent)
    assert before[0] == 200
    assert (refused[0], said in refused[1]["error"]) == (status, True), refused
    assert after == []


def test_a_head_behind_a_body_is_bounded_as_any_other():
    async def story(_echo, listener, connect):
        client = await connect()
        client.say(post(b"", length=3))
        await until(lambda: any(each._phase.name == "BODY" for each in listener.connections))
        client.say(b"abc" + GET[:-2] + b"x: " + b"y" * 2_300 + b"\r\n\r\n")
        assert (await client.answer())[0] == 200
        assert (await client.answer())[0] == 431

    meeting(story)


@pytest.mark.parametrize(("size", "status"), [(1_900, 200), (2_100, 431)])
@pytest.mark.parametrize("where", ["target", "name", "value"])
def test_a_head_is_as_large_as_it_is_however_it_arrives(where, size, status):
    much = b"y" * (size - len(GET))
    sent = {
        "target": GET.replace(b" HTTP", b"?" + much + b" HTTP"),
        "name": GET[:-2] + much + b": x\r\n\r\n",
        "value": GET[:-2] + b"x: " + much + b"\r\n\r\n",
    }[where]

    async def story(_echo, listener, connect):
        for cut in range(1, 260, 7):  # where a piece ends, from the beginning on
            client = await connect()
            await until(lambda: listener.connections)
            (connection,) = listener.connections
            connection.data_received(GET + sent[:cut])
            connection.data_received(sent[cut:] + GET)
            assert (await client.answer())[0] == 200
            assert (await client.answer())[0] == status, cut
            client.leave()
            await until(lambda: not listener.connections)

    meeting(story)


def test_more_requests_than_wait_are_refused():
    async def story(echo, _listener, connect):
        client = await connect()
        client.say(LATER + GET * 200)
        await until(lambda: echo.asked)
        echo.go.set()
        statuses = [(await client.answer())[0] for _ in range(100)]
        assert statuses == [200] * 100
        assert (await client.answer())[0] == 400
        assert await client.ended()

    meeting(story)


def test_a_refusal_of_head_has_no_body():
    async def story(_echo, _listener, connect):
        client = await connect()
        client.say(GET.replace(b"GET", b"HEAD").replace(b"host: x", b"host: a/b"))
        assert await client.line() == b"HTTP/1.1 400 Bad Request\r\n"
        await client._reader.readuntil(b"\r\n\r\n")
        assert await client.ended()

    meeting(story)


def test_a_client_is_not_blamed_for_what_the_server_does_not_read():
    async def story(echo, listener, connect):
        client = await connect()
        client.say(LATER + GET + GET[:-2])
        await until(lambda: echo.asked)
        [connection] = listener.connections
        connection.check_timeouts(connection._loop.time() + 11)
        echo.go.set()
        assert [(await client.answer())[0] for _ in range(2)] == [200, 200]
        client.say(b"\r\n")
        assert (await client.answer())[0] == 200

    meeting(story)


def test_bodies_that_wait_are_bounded_together_and_the_next_is_told_to_come_back():
    async def story(echo, listener, connect):
        clients = [await connect() for _ in range(3)]
        for client in clients:
            client.say(post(b"x" * 1_000).replace(b"/now", b"/later"))
        await until(lambda: len(echo.asked) == 3)
        assert listener.held == 3_000
        other = await connect()
        other.say(post(b"x"))
        assert (await other.answer())[0] == 503
        small = await connect()
        small.say(GET)
        assert (await small.answer())[0] == 200
        clients[0].leave(rudely=True)
        await until(lambda: listener.held == 2_000)
        assert echo.left == 1
        echo.go.set()
        for client in clients[1:]:
            assert (await client.answer())[0] == 200
        assert listener.held == 0

    meeting(story)


def test_too_many_connections_are_turned_away_and_those_that_are_there_go_on():
    async def story(_echo, listener, connect):
        clients = [await connect() for _ in range(20)]
        await until(lambda: len(listener.connections) == 20)
        extra = await connect()
        assert (await extra.answer())[0] == 503
        assert await extra.ended()
        for client in clients:
            client.say(GET)
            assert (await client.answer())[0] == 200

    meeting(story)


def test_connections_far_beyond_the_most_are_closed_without_a_word():
    async def story(_echo, listener, connect):
        there = [await connect() for _ in range(LIMITS.connections + TURNED_AWAY)]
        await until(lambda: len(listener.connections) == len(there))
        for _ in range(20):
            assert await (await connect()).ended()
        assert len(listener.connections) == len(there)
        there[0].say(GET)
        assert (await there[0].answer())[0] == 200

    meeting(story)


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET /n", 408), (GET + b"GET /", 408), (post(b"ab", length=10), 408),
     (chunked(b"a", end=b""), 408), (b"", None), (GET, None)],
)  # fmt: skip
def test_a_client_that_takes_its_time_is_told_and_left(sent, status):
    async def story(_echo, listener, connect):
        client = await connect()
        client.say(sent)
        if sent.startswith(GET):
            assert (await client.answer())[0] == 200
        if status:
            assert (await client.answer())[0] == status
        assert await client.ended()
        await until(lambda: not listener.connections)
        assert listener.held == 0

    meeting(story, HURRIED)


def test_a_client_that_reads_nothing_is_left():
    async def story(echo, listener, connect):
        echo.answer = lambda _request: Answer(200, b"x" * 50_000_000)
        client = await connect()
        client._reader._transport.pause_reading()
        client.say(GET)
        await until(lambda: not listener.connections)

    meeting(story, HURRIED)


def test_a_client_that_leaves_is_asked_for_no_longer():
    async def story(echo, listener, connect):
        for rudely in (True, False):
            client = await connect()
            client.say(LATER)
            await until(lambda: len(listener.connections) == 1 and echo.asked)
            client.leave(rudely=rudely)
            await until(lambda: not listener.connections)
            echo.asked.clear()
        assert echo.left == 2

    meeting(story)


def test_while_it_drains_each_connection_ends_with_its_answer():
    async def story(echo, listener, connect):
        idle, busy = await connect(), await connect()
        busy.say(LATER)
        await until(lambda: echo.asked)
        closing = asyncio.create_task(listener.close(30))
        assert await idle.ended()
        echo.go.set()
        assert (await busy.answer())[0] == 200
        assert await busy.ended()
        await closing

    meeting(story)


PIECES = st.sampled_from(
    [GET, LAST, post(b"abc"), chunked(b"ab"), b"\r\n", b"\r", b"\n", b"GET ", b"HTTP/1.1", b": ",
     b"0\r\n", b"host: x\r\n", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n",
     b"\x00", b"\xff", b"abc"]
) | st.binary(max_size=20)  # fmt: skip


@settings(max_examples=150)
@given(st.lists(PIECES, max_size=12), st.integers(1, 50))
def test_whatever_is_said_is_answered_or_closed_and_leaves_nothing(pieces, size):
    sent = b"".join(pieces)

    async def story(echo, listener, connect):
        client = await connect()
        for place in range(0, len(sent), size):
            client.say(sent[place : place + size])
            await asyncio.sleep(0)
        other = await connect()
        other.say(GET)
        assert (await other.answer())[0] == 200
        client.leave()
        other.leave()
        await until(lambda: not listener.connections)
        assert listener.held == 0

    meeting(story)
