"""A model by queue: messages a second and latency, beside HTTP and beside a bare consumer.

    python benchmarks/queue_worker.py [MESSAGES]        # 10,000 by default

On a real RabbitMQ (Debian's), one scikit-learn model, one row a message, all in one run:

- from a full queue to an empty one, in messages a second and in CPU time of the consuming process
  (a server's front, without the model's process): our server; a bare aiormq consumer that
  answers with a constant, confirms and acknowledges as ours does; and the same model asked by HTTP
  on 64 connections;
- from a message sent to its result received, at 10, 100 and 1,000 messages a second, for both
  consumers.

Batching is trusted before anything is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiormq
import httpx
from http_load import load, post
from model_server import SAVE, SPLIT, earn_trust
from pamqp.commands import Basic

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.run.wait import wait_for
from support.systems.model_server import Server
from support.systems.rabbitmq import Broker, running_rabbitmq

SOURCE, RESULTS, DEAD = "bench.in", "bench.out", "bench.dead"
BODY = json.dumps(SPLIT).encode()
RATES = (10, 100, 1000)
SECONDS = 5.0
BARE = """
import asyncio, sys, uvloop, aiormq
from pamqp.commands import Basic
async def main():
    ins, outs = [await aiormq.connect(sys.argv[1]) for _ in range(2)]
    take, out = await ins.channel(publisher_confirms=False), await outs.channel()
    async def answer(message):
        own = message.header.properties
        said = Basic.Properties(delivery_mode=2, message_id=own.message_id, headers=own.headers)
        await out.basic_publish(b'{"predictions": [0]}', routing_key="bench.out", properties=said,
                                mandatory=True, wait=False)
        await take.basic_ack(message.delivery.delivery_tag, wait=False)
    await take.basic_qos(prefetch_count=256)
    await take.basic_consume("bench.in", answer)
    await asyncio.Event().wait()
uvloop.run(main())
"""


def fill(broker: Broker, count: int) -> None:
    """Put so many messages into the source."""
    own = [Basic.Properties(delivery_mode=2, message_id=str(number)) for number in range(count)]
    broker.send_all(SOURCE, [(BODY, one) for one in own])


def emptied(broker: Broker, count: int) -> float:
    """Return the messages a second, from the first tenth of the results to the last one."""
    wait_for(lambda: broker.depth(RESULTS) >= count // 10, "a first tenth", every=0.02)
    began, first = time.perf_counter(), broker.depth(RESULTS)
    wait_for(lambda: broker.depth(RESULTS) >= count, "every result", every=0.02)
    rate = (count - first) / (time.perf_counter() - began)
    broker.ctl("purge_queue", RESULTS)
    return rate


async def latencies(url: str, rate: int) -> list[float]:
    """Send at a rate, and return the milliseconds until each result."""
    connection = await aiormq.connect(url)
    sending, receiving = await connection.channel(), await connection.channel()
    count, everything = int(rate * SECONDS), asyncio.Event()
    sent: dict[str, float] = {}
    took: list[float] = []

    async def received(message: Any) -> None:
        name = message.header.properties.headers["x-number"]
        took.append(1000 * (time.perf_counter() - sent[name]))
        if len(took) == count:
            everything.set()

    await receiving.basic_consume(RESULTS, received, no_ack=True)
    began, works = time.perf_counter(), set()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        name = str(number)
        own = Basic.Properties(delivery_mode=2, message_id=name, headers={"x-number": name})
        sent[name] = time.perf_counter()
        work = asyncio.ensure_future(
            sending.basic_publish(BODY, routing_key=SOURCE, properties=own)
        )
        works.add(work)
        work.add_done_callback(works.discard)
    await everything.wait()
    await connection.close()
    return sorted(took)


def cpu_seconds(process: int) -> float:
    """Return the CPU time, user and system, of a process without its children."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(broker: Broker, count: int, begin: Callable[[], int]) -> dict[str, Any]:
    """Measure the consumer that `begin` lets begin; it returns the id of the process."""
    fill(broker, count)
    process = begin()
    before = cpu_seconds(process)
    rate = emptied(broker, count)
    cpu = 1_000_000 * (cpu_seconds(process) - before) / count
    found: dict[str, Any] = {"rate": rate, "cpu": cpu}
    for rate in RATES:
        found[str(rate)] = asyncio.run(latencies(broker.url(), rate))
    return found


def main(count: int) -> None:
    """Measure and print."""
    with running_rabbitmq() as broker, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker.declare(SOURCE, RESULTS, DEAD)
        subprocess.run([sys.executable, "-c", SAVE, str(folder / "iris")], check=True,
                       capture_output=True)  # fmt: skip
        bare: list[subprocess.Popen[bytes]] = []
        command = [sys.executable, "-c", BARE, broker.url()]

        def begin_bare() -> int:
            bare.append(subprocess.Popen(command))
            return bare[0].pid

        floor = measured(broker, count, begin_bare)
        bare[0].kill()
        bare[0].wait()
        url_file = folder / "url"
        url_file.write_text("")  # it answers by HTTP, and finds no broker yet
        queue = {
            "source": SOURCE, "results": [{"routing_key": RESULTS}], "dead_letter": DEAD,
            "url_file": str(url_file),
        }  # fmt: skip
        server = Server(folder, folder / "iris", queue=queue)
        wait_for(lambda: asks(server), "the model")
        earn_trust(server.port)
        before = cpu_seconds(server.popen.pid)
        http = load(server.port, post("/invocations", BODY), 64, SECONDS)
        cpu = 1_000_000 * (cpu_seconds(server.popen.pid) - before) / len(http.seconds)

        def begin_ours() -> int:
            url_file.write_text(broker.url())
            return server.popen.pid

        found = measured(broker, count, begin_ours)
        server.stop()
    show(count, floor, found, {"rate": http.rate, "cpu": cpu})


def asks(server: Server) -> bool:
    """Return whether the model answers by HTTP."""
    with suppress(httpx.TransportError):
        return server.invoke(SPLIT).status_code == 200
    return False


def show(count: int, floor: dict[str, Any], found: dict[str, Any], http: dict[str, float]) -> None:
    """Print the tables."""
    print(f"from a full queue of {count} to an empty one")
    for name, one in (
        ("bare consumer, a constant", floor), ("ours, by queue", found), ("ours, by HTTP", http),
    ):  # fmt: skip
        print(f"  {name:25} {one['rate']:6.0f} a second, {one['cpu']:4.0f} us of CPU for each")
    ours = found["rate"]
    print(f"  by queue: {ours / http['rate']:.2f} of HTTP, {ours / floor['rate']:.2f} of the bare")
    print("from a message sent to its result received, ms")
    for rate in RATES:
        for name, took in (("bare", floor[str(rate)]), ("ours", found[str(rate)])):
            middle, late = took[len(took) // 2], took[int(0.99 * len(took))]
            print(f"  {rate:4} a second, {name}: p50 {middle:6.1f}, p99 {late:6.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
