"""The front's client against servers that behave, and others that do not."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from serving.backends.http1 import Client, Gone

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/x\r\ncontent-length: 2\r\n\r\nhi"


@asynccontextmanager
async def server(*answers):
    """Give each request the next answer; b"" ends its connection. Yields client and requests."""
    asked, left, connections = [], list(answers), []

    async def handle(reader, writer):
        connections.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
                asked.append(head + await reader.readexactly(int(length or 0)))
                answer = left.pop(0)
                writer.write(answer)
                if not answer or b"connection: close" in answer:
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        client = Client(f"http://127.0.0.1:{port}")
        yield client, asked, connections
        client.close()
        for each in connections:
            each.close()


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def test_requests_are_whole_and_share_a_connection():
    async def check():
        async with server(ANSWER, ANSWER) as (client, asked, connections):
            assert (await client.ask("GET", b"/a%20b?c")) == (200, b"text/x", b"hi")
            await client.ask("POST", b"/p", b"body", b"application/x")
            assert asked[0].startswith(b"GET /a%20b?c HTTP/1.1\r\nhost: 127.0.0.1:")
            assert asked[1].endswith(
                b"content-type: application/x\r\ncontent-length: 4\r\n\r\nbody"
            )
            assert len(connections) == 1

    run(check())


def test_requests_at_the_same_time_have_connections_of_their_own():
    async def check():
        async with server(ANSWER, ANSWER, ANSWER) as (client, _, connections):
            await asyncio.gather(*(client.ask("GET", b"/") for _ in range(2)))
            await client.ask("GET", b"/")
            assert len(connections) == 2

    run(check())


def test_a_kept_connection_that_was_closed_is_replaced():
    async def check():
        async with server(ANSWER, b"", ANSWER) as (client, asked, connections):
            await client.ask("GET", b"/first")
            assert (await client.ask("POST", b"/second", b"x")).body == b"hi"
            assert [request.split()[1] for request in asked] == [b"/first", b"/second", b"/second"]
            assert len(connections) == 2

    run(check())


def test_a_new_connection_that_is_closed_is_not_tried_again():
    async def check():
        async with server(b"", ANSWER) as (client, asked, _):
            with pytest.raises(Gone, match="before the response was whole"):
                await client.ask("GET", b"/")
            assert len(asked) == 1

    run(check())


def test_half_a_response_is_none():
    async def check():
        half = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nhi"
        async with server(half) as (client, _, _):
            with pytest.raises(Gone):
                await client.ask("GET", b"/")

    run(check())


def test_a_server_that_closes_after_its_response_is_asked_on_another_connection():
    async def check():
        closing = ANSWER.replace(b"content-type", b"connection: close\r\ncontent-type")
        async with server(closing, ANSWER) as (client, _, connections):
            for _ in range(2):
                assert (await client.ask("GET", b"/")).body == b"hi"
            assert len(connections) == 2

    run(check())


def test_pieces_are_put_together():
    async def check():
        chunked = (
            b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n"
        )
        async with server(chunked) as (client, _, _):
            assert await client.ask("GET", b"/") == (500, b"", b"hi!")

    run(check())


def test_what_is_not_http_is_said():
    async def check():
        async with server(b"SSH-2.0-OpenSSH\r\n") as (client, _, _):
            with pytest.raises(Gone, match="does not speak HTTP"):
                await client.ask("GET", b"/")

    run(check())


def test_an_answer_that_comes_too_late_is_nobodys():
    async def check():
        async with server(b"HTTP/1.1 200 OK\r\n", ANSWER) as (client, _, connections):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.ask("GET", b"/slow")
            assert (await client.ask("GET", b"/")).body == b"hi"
            assert len(connections) == 2

    run(check())


def test_nobody_there_is_gone():
    async def check():
        async with server() as (client, _, _):
            pass
        with pytest.raises(Gone, match="nobody listens at"):
            await client.ask("GET", b"/")

    run(check())
