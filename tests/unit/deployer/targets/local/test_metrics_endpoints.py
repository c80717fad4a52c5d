"""Where Prometheus finds the model servers of this machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from support.world import World

from deployer.api import app as api
from deployer.controller.metrics import Metrics
from deployer.targets.local.files import PredictorFiles


def test_every_replica_that_was_started_is_a_place_to_look_until_its_predictor_goes(tmp_path):
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle()
    predictor = world.record.champion
    predictor = replace(predictor, spec=predictor.spec.model_copy(update={"replicas": 2}))
    files = PredictorFiles(tmp_path / "predictors", "here")

    definition = files.define("angler-prod", "angler", "prod", predictor)
    assert told(files) == [], "none of it was started"
    for name in files.replicas(predictor):
        files.configure(definition, name, Path("/model"), Path("/python"))
    labels = {
        "deployment": "angler-prod",
        "model": "angler",
        "version": "1",
        "environment": "prod",
        "predictor": predictor.name,
    }
    first, second = files.ports(predictor)
    assert told(files) == [
        {"targets": [f"models:{first}"], "labels": labels},
        {"targets": [f"models:{second}"], "labels": labels},
    ]
    files.remove(predictor.name)
    assert told(files) == []


def told(files: PredictorFiles) -> Any:
    here = SimpleNamespace(pages=lambda: files.pages("models"))
    cluster = SimpleNamespace(pages=list)
    context = SimpleNamespace(each_target=[here, cluster])
    controller: Any = SimpleNamespace(metrics=Metrics(), context=context)
    app = api.make(controller, Path("tokens.json"), "", ["testserver"])

    async def read() -> httpx.Response:
        through = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=through, base_url="http://testserver") as client:
            return await client.get("/metrics/servers")

    return asyncio.run(read()).json()
