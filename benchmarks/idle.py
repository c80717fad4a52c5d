"""What a Deployer costs that has nothing to do, with few and with many registered models.

    python benchmarks/idle.py [MODELS ...]        # 100 1000 by default

On the real MLflow, Traefik, supervisord and Deployer, with the default periods and three models
served: seconds of a pass (from the Deployer's own histogram); milliseconds of a poll and of a whole
listing, called in this process and interleaved with the floor, bare GETs of the same pages of
MLflow's; and the share of one core that Deployer and MLflow take over half a minute.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx
import psutil
from support.models import log_models
from support.platform.home import PlatformHome

from deployer.registry.client import API, RegistryClient
from deployer.registry.snapshot import POLL_ROWS, Registry

SERVED = ("one", "two", "three")
ROUNDS = 30
WINDOW_SECONDS = 30.0


def main(counts: list[int]) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        watch = {"poll": "1s", "listing": "30s"}
        platform = PlatformHome(Path(folder) / "home", {"registry": watch})
        try:
            platform.up("mlflow", "gateway", "deployer")
            serve(platform)
            known = len(SERVED)
            for count in counts:
                known += register(platform, range(known, count - 1))
                # A poll reads again what was changed in the last ten seconds before the newest
                # change; in a registry at rest that is the newest change alone.
                time.sleep(11)
                known += register(platform, range(known, count))
                measure(platform, known)
        finally:
            platform.down()


def serve(platform: PlatformHome) -> None:
    """Three deployments at rest."""
    models = [{"name": name, "kind": "constant", "say": 1} for name in SERVED]
    log_models(platform.url("mlflow"), models)
    for name in SERVED:
        platform.mlflow.stage(name, 1, "Production")
    for name in SERVED:
        platform.wait_serving(name, 1, seconds=300)


def register(platform: PlatformHome, numbers: range) -> int:
    """Register models with one version each that nobody promotes; returns how many."""
    url = f"{platform.url('mlflow')}{API}"
    for number in numbers:
        name = f"model-{number:05}"
        made = platform.client.post(f"{url}registered-models/create", json={"name": name})
        made.raise_for_status()
        version = {"name": name, "source": f"s3://nowhere/{number}"}
        platform.client.post(f"{url}model-versions/create", json=version).raise_for_status()
    return len(numbers)


def measure(platform: PlatformHome, models: int) -> None:
    """Print what one number of registered models costs."""
    time.sleep(2 * 30)  # two listings, so that what was registered just now is old news
    cores = {name: Cpu(pid) for name, pid in pids(platform).items()}
    before = passes(platform)
    time.sleep(WINDOW_SECONDS)
    after = passes(platform)
    number, seconds = after[0] - before[0], after[1] - before[1]
    shares = ", ".join(f"{name} {cpu.share() * 100:.1f} %" for name, cpu in cores.items())
    print(f"{models} registered models, {len(SERVED)} served")
    print(f"  pass     {1000 * seconds / number:.1f} ms, {number / WINDOW_SECONDS:.1f} a second")
    print(f"  of a core over {WINDOW_SECONDS:.0f} s: {shares}")
    reads(platform.url("mlflow"))
    sys.stdout.flush()


def reads(url: str) -> None:
    """Print what a poll and a listing take, beside a bare request for the same page."""
    rest = RegistryClient(url, timeout=60)
    registry = Registry(rest, lambda: None)
    registry.list_all(time.time())
    bare = httpx.Client(base_url=url, trust_env=False, timeout=60)
    newest = {"max_results": POLL_ROWS, "order_by": "last_updated_timestamp DESC"}
    everything = {"max_results": 1000}

    def listing() -> None:
        registry.list_all(time.time())

    def page(of: str, params: dict[str, Any]) -> None:
        bare.get(f"{API}{of}/search", params=params).raise_for_status()

    def pages() -> None:
        page("registered-models", everything)
        page("model-versions", everything)

    for name, ours, theirs, rounds in (
        ("poll", registry.poll, lambda: page("model-versions", newest), ROUNDS),
        ("listing", listing, pages, ROUNDS // 3),
    ):
        taken, cost, floor = [], [], []
        for _ in range(rounds):
            wall, cpu = timed(ours)
            taken.append(wall)
            cost.append(cpu)
            floor.append(timed(theirs)[0])
        ratio = median(a / b for a, b in zip(taken, floor, strict=True))
        print(
            f"  {name:<8} p50 {1000 * median(taken):.1f} ms (of it {1000 * median(cost):.1f} ms of "
            f"our CPU), bare GET {1000 * median(floor):.1f} ms, ratio {ratio:.2f}"
        )
    bare.close()
    rest.close()


median = statistics.median


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of this process's CPU."""
    began, spent = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began, time.process_time() - spent


def passes(platform: PlatformHome) -> tuple[float, float]:
    """How many passes there were, and the seconds of all."""
    text = platform.client.get(f"{platform.url('deployer')}/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return float(values["schnitzel_pass_seconds_count"]), float(
        values["schnitzel_pass_seconds_sum"]
    )


def pids(platform: PlatformHome) -> dict[str, int]:
    """The process of each component."""
    folder = platform.home / "deployer" / "lock"
    mlflow = next(
        c.pid for c in psutil.net_connections("tcp")
        if c.status == "LISTEN" and c.laddr.port == platform.port("mlflow") and c.pid
    )  # fmt: skip
    return {"Deployer": int(folder.read_text()), "MLflow": mlflow}


class Cpu:
    """The CPU time of a process, from the moment this is made."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._began, self._spent = time.perf_counter(), self._seconds()

    def share(self) -> float:
        """Of one core."""
        return (self._seconds() - self._spent) / (time.perf_counter() - self._began)

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [100, 1000])
