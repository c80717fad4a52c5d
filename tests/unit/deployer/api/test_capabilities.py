"""A target that can do no more than every target must: nothing of it has to be stubbed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from deployer.api import app as api
from deployer.controller.metrics import Metrics
from deployer.plan.preview import Preview
from deployer.state.deployment import Wanted
from deployer.state.observed import Observed
from deployer.state.record import Record
from deployer.targets import base
from deployer.targets.kubernetes.target import KubernetesTarget
from deployer.targets.local.target import LocalTarget

CAPABILITIES = {
    base.PublishesStatus,
    base.HasTree,
    base.HasLogs,
    base.HasPreflight,
    base.HasMetricsEndpoints,
    base.HasPythonEnvironments,
    base.HasQueues,
}


class Core:
    """What every target does, and nothing else."""

    name, server = "gitops", ""

    def watch(self, changed: object) -> None: ...
    def observe(self, _: str) -> Observed:
        return Observed({}, 1.0)

    def apply(self, *_: object) -> None: ...
    def preview(self, _: object) -> Preview:
        return Preview()

    def deployments(self) -> set[tuple[str, str]]:
        return set()

    def url(self, model: str, environment: str) -> str:
        return f"http://gateway/{environment}/{model}/"

    def close(self) -> None: ...


def ask(path: str) -> httpx.Response:
    target: base.Target = Core()
    record = Record("angler-prod", "angler", "prod")
    settings = SimpleNamespace(policy=SimpleNamespace(collect_after=1.0))
    context = SimpleNamespace(targets={"prod": target}, each_target=[target], settings=settings)
    status = SimpleNamespace(record=record, observed=Observed({}, 1.0), wanted=Wanted(None))
    controller: Any = SimpleNamespace(
        context=context, metrics=Metrics(), statuses=list, status=lambda _: status
    )
    app = api.make(controller, Path("nowhere"), "", ["here"])

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/metrics/servers", []),
        ("/api/v1/clusters", {"clusters": []}),
        ("/api/v1/images", {"places": []}),
    ],
)
def test_a_listing_leaves_out_a_target_that_has_nothing_to_list(path, answer):
    assert ask(path).json() == answer


def test_the_page_says_so_where_no_logs_are_kept():
    answer = ask("/live/deployments/angler-prod/log")
    assert answer.status_code == 200
    assert "The target gitops keeps no logs." in answer.text


def test_logs_that_no_target_keeps_are_not_found_and_the_status_is_the_next_step():
    answer = ask("/api/v1/deployments/angler-prod/logs")
    assert answer.status_code == 404
    assert answer.json()["error"] == "The target gitops keeps no logs."
    assert answer.json()["hint"] == "schnitzel deploy status angler -e prod"


@pytest.mark.parametrize(
    ("target", "lacks"),
    [
        (Core, CAPABILITIES),
        (LocalTarget, {base.PublishesStatus, base.HasPreflight}),
        (KubernetesTarget, {base.HasMetricsEndpoints}),
    ],
)
def test_a_target_declares_a_capability_by_its_methods_alone(target, lacks):
    methods = {
        capability: {name for name in vars(capability) if not name.startswith("_")}
        for capability in CAPABILITIES
    }
    found = {each for each in CAPABILITIES if all(hasattr(target, m) for m in methods[each])}
    assert CAPABILITIES - found == lacks
