"""What the model server does under more than it can take, and under what is sent to stop it.

    python benchmarks/model_server_overload.py [SECONDS]

First a curve: as many requests a second as 10 to 300 % of what one worker can answer, each a model
call of a fixed time, sent at fixed moments whether answers come or not; requests answered and
refused, p50 and p99 of those answered, and the largest memory of the front. Then how long
`/v2/health/live` takes beside each of some requests of the largest size, from a probe that asks
every five milliseconds. The floor is a server of a few lines that is asked in turn: what it takes
is the machine's and the probe's own.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import httpx
from http_load import post
from model_server import ROOT, wait

SHARES = (0.1, 0.5, 0.8, 0.95, 1.0, 1.2, 1.5, 2.0, 3.0)
CALL_SECONDS = 0.01
PORT = 18_441
FLOOR_PORT = PORT + 1
PROBE_EVERY = 0.005
SAVE = f"""
import sys, mlflow.pyfunc
code = sys.argv[1] + ".py"
open(code, "w").write('''
import time
import mlflow
from mlflow.pyfunc import PythonModel

class Slow(PythonModel):
    def predict(self, context, model_input, params=None):
        time.sleep({CALL_SECONDS})
        if len(model_input) and str(model_input.iloc[0, 0]).startswith("raise"):
            raise ValueError("cannot take " + str(model_input.iloc[0, 0]))
        return [1.0] * len(model_input)

mlflow.models.set_model(Slow())
''')
mlflow.pyfunc.save_model(sys.argv[1], python_model=code, pip_requirements=["mlflow"])
"""


FLOOR = """
import asyncio, sys
async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n{}")
    except asyncio.IncompleteReadError:
        pass
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a server whose model takes a fixed time, one request a call."""
    predictor = {
        "predictor": "slow", "model": "slow", "model_version": "1", "environment": "bench",
        "artifact": str(folder / "slow"), "python": sys.executable, "host": "127.0.0.1",
        "port": PORT, "state_file": str(folder / "state.json"), "timeout_seconds": 10,
        "batching": {"enabled": False, "max_rows": 256},
    }  # fmt: skip
    (folder / "predictor.json").write_text(json.dumps(predictor))
    command = [sys.executable, "-m", "serving", str(folder / "predictor.json")]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)


@dataclass
class Answers:
    """How long answers took, in seconds, by their status."""

    seconds: dict[int, list[float]] = field(default_factory=dict)

    def add(self, status: int, seconds: float) -> None:
        """Note an answer."""
        self.seconds.setdefault(status, []).append(seconds)

    def quantile(self, status: int, share: int) -> float:
        """Return a percentile in milliseconds."""
        found = self.seconds.get(status, [])
        return quantiles(found, n=100)[share - 1] * 1000 if len(found) > 1 else float("nan")


async def ask(request: bytes, answers: Answers) -> None:
    """Send one request on a connection of its own, and note its answer."""
    begin = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    try:
        writer.write(request)
        await writer.drain()
        status = int((await reader.readline()).split()[1])
        answers.add(status, time.perf_counter() - begin)
    except (ConnectionError, IndexError):
        answers.add(0, time.perf_counter() - begin)
    finally:
        writer.close()


def ask_at_once(request: bytes) -> int:
    """Send one request from a thread, so that no probe waits for it; return its status."""
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        with suppress(ConnectionError):  # it may be refused before it is sent
            connection.sendall(request)
        return int(connection.makefile("rb").readline().split()[1])


async def at_rate(request: bytes, rate: float, seconds: float) -> Answers:
    """Send so many requests a second, at fixed moments, and wait for the last answer."""
    answers, begin = Answers(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(begin + number / rate - time.perf_counter())
            group.create_task(ask(request, answers))
    return answers


async def probed(during: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Return how long /v2/health/live took at most meanwhile, and how long the floor did."""
    took: dict[int, list[float]] = {PORT: [], FLOOR_PORT: []}
    request = b"GET /v2/health/live HTTP/1.1\r\nhost: bench\r\n\r\n"
    asked = {port: await asyncio.open_connection("127.0.0.1", port) for port in took}
    working = asyncio.ensure_future(during())
    while not working.done():
        for port, (reader, writer) in asked.items():
            begin = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            took[port].append(time.perf_counter() - begin)
        await asyncio.sleep(PROBE_EVERY)
    for _, writer in asked.values():
        writer.close()
    await working
    return max(took[PORT]), max(took[FLOOR_PORT])


def resident(pid: int) -> float:
    """Return a process's largest resident memory in MiB (proc(5), VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


async def curve(pid: int, seconds: float) -> None:
    """Print what becomes of requests at each share of the capacity."""
    row = post("/invocations", json.dumps({"dataframe_records": [{"x": 1.0}]}).encode())
    alone = Answers()
    begin = time.perf_counter()
    for _ in range(100):
        await ask(row, alone)
    capacity = 100 / (time.perf_counter() - begin)
    print(f"{capacity:.0f} requests a second, one after the other, are 100 %; {seconds:g} s each\n")
    print(f"{'load':>6}{'answered':>10}{'refused':>9}{'other':>7}{'p50 ms':>9}{'p99 ms':>9}"
          f"{'front MiB':>11}")  # fmt: skip
    for share in SHARES:
        found = await at_rate(row, share * capacity, seconds)
        counts = {status: len(each) for status, each in found.seconds.items()}
        answered, refused = counts.pop(200, 0), counts.pop(503, 0)
        p50, p99 = (found.quantile(200, share) for share in (50, 99))
        print(
            f"{share:6.0%}{answered:10}{refused:9}{sum(counts.values()):7}"
            f"{p50:9.1f}{p99:9.1f}{resident(pid):11.1f}"
        )


def hostile() -> dict[str, bytes]:
    """Return requests of the largest size that have stopped servers, by what they are."""
    most = 15 * 2**20
    numbers = b",".join([b"1.25"] * (most // 5))
    count = numbers.count(b",") + 1
    infer = "/v2/models/slow/infer"

    def tensors(inner: bytes) -> bytes:
        return post(infer, b'{"inputs":[' + inner + b"]}")

    tensor = b'{"name":"x","datatype":"FP64","shape":[%d],"data":[%s]}'
    small = b",".join(
        b'{"name":"t%d","datatype":"FP64","shape":[1],"data":[1]}' % n for n in range(200_000)
    )
    deep = b"[" * (most // 2) + b"]" * (most // 2)
    text = b"a" * most
    record = b'{"dataframe_records":[{"x":"raise%s"}]}'
    return {
        "one tensor of 3 million numbers": tensors(tensor % (count, numbers)),
        "200,000 tensors": tensors(small),
        "lists in lists, 7 million deep": post(infer, deep),
        "the model's exception repeats 15 MiB": post("/invocations", record % text),
        "a row of 3 million columns": post(
            "/invocations", b'{"dataframe_split":{"data":[[' + numbers + b"]]}}"
        ),
    }


async def probes(seconds: float) -> None:
    """Print how long a probe takes beside each hostile request."""

    async def nothing() -> None:
        await asyncio.sleep(seconds)

    idle, floor = await probed(nothing)
    print(
        f"\n{'/v2/health/live beside':40}{'status':>8}{'worst ms':>10}{'floor ms':>10}{'ratio':>7}"
    )
    print(f"{'nothing':40}{'':8}{idle * 1000:10.1f}{floor * 1000:10.1f}{idle / floor:7.1f}")
    for name, request in hostile().items():
        statuses: list[int] = []

        async def send(request: bytes = request, statuses: list[int] = statuses) -> None:
            statuses.append(await asyncio.to_thread(ask_at_once, request))

        took, floor = await probed(send)
        print(f"{name:40}{statuses[0]:8}{took * 1000:10.1f}{floor * 1000:10.1f}{took / floor:7.1f}")


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-c", SAVE, str(folder / "slow")], check=True,
                       stderr=subprocess.DEVNULL)  # fmt: skip
        server = start(folder)
        floor = subprocess.Popen([sys.executable, "-c", FLOOR, str(FLOOR_PORT)])
        try:
            wait(f"http://127.0.0.1:{PORT}/v2/health/ready")
            asyncio.run(curve(server.pid, seconds))
            asyncio.run(probes(seconds))
            page = httpx.get(f"http://127.0.0.1:{PORT}/metrics", trust_env=False).text
            lines = page.splitlines()
            restarts = next(line for line in lines if line.startswith("schnitzel_worker_restarts"))
            print(f"\nfront at most {resident(server.pid):.0f} MiB; {restarts}")
        finally:
            floor.kill()
            floor.wait()
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
