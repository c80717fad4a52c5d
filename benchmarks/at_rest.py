"""What many deployments at rest cost, and whether they slow down a promotion or hide a crash.

    python benchmarks/at_rest.py [DEPLOYMENTS]        # 75 by default

On the real MLflow, Traefik, supervisord and Deployer, with the default periods. Every deployment is
a whole model server of ours with its worker, under supervisord; its model answers a constant, and
all share one Python environment. Beside the cost at rest over half a minute, from /proc: the
deployments whose pass is due, looked at now and then; passes, from the Deployer's own histogram;
promotion to first answer, first with one deployment and then with all, on either version in turn;
and from the SIGKILL of a server, while all rest, until the API shows another state or another
process.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import psutil
from support.models import log_models
from support.platform.home import PlatformHome

from stack.platform import Layout, platform_supervisor

AT_ONCE = 10  # models that are promoted together, so that a small machine starts them in time
SETTLE_SECONDS = 75.0  # two listings and a resync
WINDOW_SECONDS, LOOK_SECONDS = 30, 5
ROUNDS = 9
KILLS = 9
MOVER = "model-00"


def main(deployments: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        watch = {"poll": "1s", "listing": "30s"}
        platform = PlatformHome(Path(folder) / "home", {"registry": watch})
        try:
            platform.up("mlflow", "gateway", "deployer")
            names = [f"model-{number:02}" for number in range(deployments)]
            log(platform, names)
            serve(platform, [MOVER])
            alone = promotions(platform)
            serve(platform, names[1:])
            told(deployments, rest(platform), alone, promotions(platform), kills(platform, names))
        finally:
            platform.down()


def log(platform: PlatformHome, names: list[str]) -> None:
    """Register one version of each model, and a second one of the first."""
    models = [{"name": name, "kind": "constant", "say": 1} for name in names]
    log_models(platform.url("mlflow"), [*models, {"name": MOVER, "kind": "constant", "say": 2}])


def serve(platform: PlatformHome, names: list[str]) -> None:
    """Promote the first version of each model, some at a time, and wait until all serve it."""
    for begin in range(0, len(names), AT_ONCE):
        group = names[begin : begin + AT_ONCE]
        for name in group:
            platform.mlflow.stage(name, 1, "Production")
        for name in group:
            platform.wait_serving(name, 1, seconds=900)


@dataclass(frozen=True)
class Rest:
    """What was seen over half a minute: shares of a core, and passes."""

    cores: dict[str, float]
    due: list[float]
    passes: float
    pass_seconds: float
    gigabytes: float


def rest(platform: PlatformHome) -> Rest:
    """Measure what all cost while nothing happens."""
    time.sleep(SETTLE_SECONDS)
    cpus = {name: Cpu(pid) for name, pid in pids(platform).items()}
    before, due = metrics(platform), []
    for _ in range(WINDOW_SECONDS // LOOK_SECONDS):
        time.sleep(LOOK_SECONDS)
        due.append(metrics(platform)["schnitzel_queue_depth"])
    after = metrics(platform)
    number, seconds = (
        after[f"schnitzel_pass_seconds_{part}"] - before[f"schnitzel_pass_seconds_{part}"]
        for part in ("count", "sum")
    )
    shares = {name: cpu.share() for name, cpu in cpus.items()}
    used = psutil.virtual_memory().used / 2**30
    return Rest(shares, due, number / WINDOW_SECONDS, seconds / max(number, 1), used)


def promotions(platform: PlatformHome) -> list[float]:
    """Seconds from a promotion to the first answer, back and forth."""
    url = platform.deployment(MOVER)["url"]
    taken = []
    for turn in range(ROUNDS + 1):
        version = 2 - turn % 2
        began = time.perf_counter()
        platform.mlflow.stage(MOVER, version, "Production", archive=True)
        while platform.predict(url).headers.get("x-schnitzel-model-version") != str(version):
            time.sleep(0.01)
        taken.append(time.perf_counter() - began)
        platform.wait_serving(MOVER, version)
        platform.wait(MOVER, lambda seen: len(seen["predictors"]) == 1)
    return taken[1:]  # the first fetches a version


def kills(platform: PlatformHome, names: list[str]) -> list[float]:
    """Seconds until a server's end is shown, each time of another server."""
    taken = []
    for number in range(KILLS):
        name = names[-1 - number % len(names)]
        [server] = platform.deployment(name)["predictors"]
        time.sleep(0.37 * number % 1)  # at another moment between two looks
        began = time.perf_counter()
        os.kill(server["pid"], signal.SIGKILL)
        while not gone(platform.deployment(name), server["pid"]):
            time.sleep(0.01)
        taken.append(time.perf_counter() - began)
        version = int(platform.deployment(name)["serving"]["version"])
        platform.wait_serving(name, version)
    return taken


def gone(seen: dict[str, Any], pid: int) -> bool:
    """Decide whether a deployment is shown without the process that it had."""
    return seen["state"] != "Serving" or [one["pid"] for one in seen["predictors"]] != [pid]


def told(
    deployments: int, rest: Rest, alone: list[float], among: list[float], killed: list[float]
) -> None:
    """Print the table."""
    together = rest.cores["Deployer"] + rest.cores["supervisord"]
    lines: list[tuple[str, str]] = [
        *((f"{name}, of a core", f"{share:.1%}") for name, share in rest.cores.items()),
        ("Deployer and supervisord", f"{together:.1%} (at most 3 %)"),
        ("passes", f"{rest.passes:.1f} a second, {1000 * rest.pass_seconds:.1f} ms each"),
        ("due at the same time", f"{statistics.median(rest.due):.0f}, at most {max(rest.due):.0f}"),
        ("promotion to first answer, alone", spread(alone)),
        (f"promotion to first answer, of {deployments}", spread(among)),
        ("ratio", f"{statistics.median(among) / statistics.median(alone):.2f}"),
        ("SIGKILL to seen", f"{spread(killed)} (at most 2 s)"),
        ("memory in use on the machine", f"{rest.gigabytes:.1f} GiB"),
    ]
    print(f"{deployments} deployments at rest, {WINDOW_SECONDS} s")
    width = max(len(what) for what, _ in lines)
    for what, value in lines:
        print(f"  {what:<{width}}  {value}")
    sys.stdout.flush()


def spread(seconds: list[float]) -> str:
    """Write the median, the least and the most."""
    middle = statistics.median(seconds)
    return f"p50 {middle:.2f} s (min {min(seconds):.2f}, max {max(seconds):.2f}, n {len(seconds)})"


def metrics(platform: PlatformHome) -> dict[str, float]:
    """Read the Deployer's own metrics."""
    text = platform.client.get(f"{platform.url('deployer')}/metrics").text
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def pids(platform: PlatformHome) -> dict[str, int]:
    """Find the process of each component."""
    assert platform.mlflow.running
    gateway = platform_supervisor(Layout(platform.home)).processes()["gateway"].pid
    assert gateway
    return {
        "Deployer": int((platform.home / "deployer" / "lock").read_text()),
        "supervisord": int((platform.home / "serving" / "supervisord.pid").read_text()),
        "Traefik": gateway,
        "MLflow": platform.mlflow.running.process.pid,
    }


class Cpu:
    """The CPU time of a process, without its children, from the moment this is made."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._began, self._spent = time.perf_counter(), self._seconds()

    def share(self) -> float:
        """Return the share of one core."""
        return (self._seconds() - self._spent) / (time.perf_counter() - self._began)

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 75)
