"""What a request costs the server's door, beside aiohttp and uvicorn: CPU of the server's process.

    python benchmarks/http_front.py [ROUNDS]

Each server answers a POST of 60 bytes with a constant: the model server's door with all its bounds
(serving/front/http.py), aiohttp's low-level server with those that it has (size of heads, of
bodies, time between requests), and uvicorn with none. One client process keeps eight connections
busy. Servers take turns, so that a busy machine slows all of them alike; each figure is the median
of its rounds, and the ratio is to our door.
"""

import asyncio
import os
import socket
import statistics
import sys
from collections.abc import Awaitable, Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe

import uvloop
from http_load import load, post

CONNECTIONS = 8
SECONDS = 2.0
BODY = b'{"inputs": [[5.1, 3.5, 1.4, 0.2]]}' + b" " * 26
SAID = b'{"predictions":[0]}'
REQUEST = post("/invocations", BODY)


async def ours(listening: socket.socket) -> None:
    from serving.front.http import Connection  # noqa: PLC0415
    from serving.front.listener import Limits, Listener, Request  # noqa: PLC0415 - in its process only
    from serving.protocols.answer import Answer  # noqa: PLC0415

    class Constant:
        async def _later(self) -> Answer:
            return Answer(200, SAID)

        def answer(self, _request: Request) -> Awaitable[Answer]:
            return self._later()

        def refuse(self, _path: bytes, status: int, message: str) -> Answer:
            return Answer(status, message.encode())

    await Listener(Constant(), Limits(2**24, 2**27), Connection).open([listening])


async def aiohttps(listening: socket.socket) -> None:
    from aiohttp import web  # noqa: PLC0415 - in its process only

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=SAID, content_type="application/json")

    server = web.Server(
        answer, keepalive_timeout=150, max_line_size=8190, max_field_size=8190, access_log=None
    )
    await asyncio.get_running_loop().create_server(server, sock=listening)


async def uvicorns(listening: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415 - in its process only

    async def answer(_scope: object, receive: Callable, send: Callable) -> None:  # type: ignore[type-arg]
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json"), (b"content-length", b"19")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": SAID})

    config = uvicorn.Config(
        answer, loop="none", http="httptools", ws="none", lifespan="off", log_config=None,
        access_log=False, server_header=False, date_header=False,
    )  # fmt: skip
    asyncio.get_running_loop().create_task(uvicorn.Server(config).serve(sockets=[listening]))
    await asyncio.sleep(0)


SERVERS = {"our door": ours, "aiohttp": aiohttps, "uvicorn": uvicorns}


def serve(name: str, pipe: Pipe) -> None:
    """Serve in this process; say the port, and at each word the CPU seconds so far."""

    async def run() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        await SERVERS[name](listening)
        pipe.send(listening.getsockname()[1])
        while await asyncio.to_thread(pipe.recv):
            used = os.times()
            pipe.send(used.user + used.system)
        os._exit(0)

    uvloop.run(run())


def main(rounds: int) -> None:
    context = get_context("spawn")
    pipes: dict[str, Pipe] = {}
    ports: dict[str, int] = {}
    for name in SERVERS:
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(name, theirs), daemon=True).start()
        ports[name] = pipes[name].recv()
        load(ports[name], REQUEST, CONNECTIONS, 0.5)  # warms it up

    def used(name: str) -> float:
        pipes[name].send(True)
        return float(pipes[name].recv())

    taken: dict[str, list[float]] = {name: [] for name in SERVERS}
    rates: dict[str, list[float]] = {name: [] for name in SERVERS}
    for _ in range(rounds):
        for name in SERVERS:
            before = used(name)
            asked = load(ports[name], REQUEST, CONNECTIONS, SECONDS)
            rates[name].append(asked.rate)
            taken[name].append((used(name) - before) / len(asked.seconds) * 1e6)
    for pipe in pipes.values():
        pipe.send(False)
    base = statistics.median(taken["our door"])
    print(f"{rounds} rounds of {SECONDS:g} s, {CONNECTIONS} connections\n")
    print(f"{'server':10}{'CPU us a request':>18}{'to ours':>9}{'requests a second':>19}")
    for name in SERVERS:
        cost, rate = statistics.median(taken[name]), statistics.median(rates[name])
        print(f"{name:10}{cost:18.1f}{cost / base:9.2f}{rate:19,.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
