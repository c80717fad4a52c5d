"""Two model servers' counters, a clock, and the judge of one rollout between them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from deployer.analysis.judging import Judging
from deployer.spec.model import ServingSpec
from deployer.state.evidence import Verdict
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Candidate, Record
from deployer.state.registry import VersionId
from serving.telemetry.window import Windows
from support.run.wait import wait_for

BEGIN = 1_000_000.0
SPEC = ServingSpec.model_validate(
    {
        "rollout": {
            "steps": [
                {"weight": 10, "require": "no_harm"},
                {"weight": 50, "require": "not_worse"},
                100,
            ]
        },
        "analysis": {"warmup": "10s", "min_requests": 20},
    }
)


def predictor(number: int, spec: ServingSpec = SPEC) -> Predictor:
    version = VersionId("angler", number, number)
    return Predictor(f"v{number}", version, Role.CHAMPION, f"digest-{number}", "s", spec)


class Canary:
    """Two predictors with a server each, and a clock."""

    def __init__(self) -> None:
        self.now = BEGIN - 300
        self.silent: set[str] = set()
        self.reported: list[str] = []
        self.reads = 0
        clock = lambda: self.now  # noqa: E731
        self.servers = {name: Windows(clock) for name in ("v1", "v2")}
        self.judging = Judging(self.reported.append, clock)
        record = Record("angler-prod", "angler", "prod").with_champion(predictor(1), 0.0)
        self.record = replace(record, candidate=Candidate(predictor(2), BEGIN, 0, BEGIN))
        self.now = BEGIN

    def read(self, one: Predictor) -> Mapping[str, bytes]:
        self.reads += 1
        page = json.dumps(self.servers[one.name].to_json()).encode()
        return {"replica": b"" if one.name in self.silent else page}

    def passes(self) -> Verdict | None:
        """A pass, and another once what it began to read is there."""
        before, reads = len(self.reported), self.reads
        found = self.judging.verdict(self.record, self.read)
        case = self.judging._cases.get(self.record.id)
        if case and (case.job or self.reads > reads):
            wait_for(lambda: len(self.reported) > before, "the reading to end")
            found = self.judging.verdict(self.record, self.read)
        return found

    def serves(
        self, windows: int, requests: int, errors: int = 0, champions: int = 9
    ) -> Verdict | None:
        """Some windows of traffic: so many requests and errors of the candidate in each.

        The champion answers `champions` times as many requests.
        """
        found = None
        for _ in range(windows):
            for name, count, failed in (("v1", champions * requests, 0), ("v2", requests, errors)):
                for number in range(count):
                    outcome = "model_error" if number < failed else "ok"
                    self.servers[name].record_answer(outcome, 0.01)
            self.now += 10
            found = self.passes()
        return found
