"""The judge and the reading of windows, with a hundred rollouts at once.

    python benchmarks/judging.py [--rollouts 100] [--replicas 2] [--windows 30]

Real counters of model servers fill windows of ten seconds on a clock of this program. Each window,
the Deployer's own `Judging` reads every replica of both versions of every rollout and is asked for
a verdict as often as passes come (every 2 s). Prints the CPU that one window takes, against the
floor in the same run: to parse the same bytes as JSON, and nothing else. What the servers' own
counting and the connections take is not in it.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import replace

import orjson

from deployer.analysis.judging import Judging
from deployer.spec.model import ServingSpec
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Candidate, Record
from deployer.state.registry import VersionId
from serving.telemetry.window import Windows

BEGIN = 1_000_000.0
PASSES = 5
REQUESTS = 200
SPEC = ServingSpec.model_validate(
    {"rollout": {"steps": [{"weight": 50, "require": "not_worse"}, 100]}}
)


class Fleet:
    """Many rollouts, each of two versions with replicas, and a clock.

    Attributes:
        pages: What each replica last answered, by rollout and predictor.
    """

    def __init__(self, rollouts: int, replicas: int) -> None:
        self.now = BEGIN - 300
        self._left = 0
        self._done = threading.Condition()
        clock = lambda: self.now  # noqa: E731
        self.records: list[Record] = []
        self.servers: dict[str, list[Windows]] = {}
        self.pages: dict[str, dict[str, bytes]] = {}
        self.judging = Judging(self._changed, clock)
        for number in range(rollouts):
            old, new = (self._predictor(number, version) for version in (1, 2))
            record = Record(f"model-{number}-prod", f"model-{number}", "prod")
            record = record.with_champion(old, 0.0)
            self.records.append(replace(record, candidate=Candidate(new, BEGIN, 0, BEGIN)))
            for one in (old, new):
                self.servers[one.name] = [Windows(clock) for _ in range(replicas)]
        self.now = BEGIN

    @staticmethod
    def _predictor(number: int, version: int) -> Predictor:
        id_ = VersionId(f"model-{number}", version, version)
        name = f"model-{number}-v{version}"
        return Predictor(name, id_, Role.CHAMPION, name, "source", SPEC)

    def _changed(self, _: str) -> None:
        with self._done:
            self._left -= 1
            self._done.notify_all()

    def serve(self, draw: random.Random) -> None:
        """Let ten seconds pass, in which each replica answers some requests."""
        for servers in self.servers.values():
            for server in servers:
                for _ in range(REQUESTS):
                    outcome = "model_error" if draw.random() < 0.01 else "ok"
                    server.record_answer(outcome, draw.lognormvariate(-4.6, 0.4))
        self.now += 10
        self.pages = {
            name: {f"replica-{n}": orjson.dumps(one.to_json()) for n, one in enumerate(servers)}
            for name, servers in self.servers.items()
        }

    def read(self, one: Predictor) -> Mapping[str, bytes]:
        """What the replicas of a predictor answer."""
        return self.pages[one.name]

    def judge(self) -> None:
        """The passes of ten seconds over all rollouts."""
        self._left = len(self.records)
        for number in range(PASSES):
            for record in self.records:
                self.judging.verdict(record, self.read)
            if number == 0:
                with self._done:
                    assert self._done.wait_for(lambda: self._left <= 0, 300)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rollouts", type=int, default=100)
    arguments.add_argument("--replicas", type=int, default=2)
    arguments.add_argument("--windows", type=int, default=30)
    chosen = arguments.parse_args()
    fleet = Fleet(chosen.rollouts, chosen.replicas)
    draw = random.Random(1)  # noqa: S311 - no secret
    spent, floor = [], []
    for _ in range(chosen.windows):
        fleet.serve(draw)
        began = time.process_time()
        fleet.judge()
        spent.append(time.process_time() - began)
        began = time.process_time()
        for pages in fleet.pages.values():
            for page in pages.values():
                orjson.loads(page)
        floor.append(time.process_time() - began)
    fleet.judging.close()
    size = sum(len(page) for pages in fleet.pages.values() for page in pages.values())
    last = spent[len(spent) // 2 :]
    window, least = sum(last) / len(last), sum(floor[len(floor) // 2 :]) / len(last)
    print(
        f"{chosen.rollouts} rollouts of 2 x {chosen.replicas} replicas, {size / 1e6:.1f} MB of "
        f"windows: {window:.2f} s of CPU each 10 s ({10 * window:.1f} % of a core, "
        f"{1000 * window / chosen.rollouts:.1f} ms a rollout), {window / least:.1f} times the "
        f"floor of parsing the same ({least:.2f} s)"
    )


if __name__ == "__main__":
    main()
