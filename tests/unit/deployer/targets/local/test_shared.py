"""Model servers in a container of their own: what they could write is not believed."""

from __future__ import annotations

import time

import pytest
from support.world import World

from deployer.artifacts.cache import Artifacts
from deployer.errors import TargetUnavailable
from deployer.python_env.cache import Environments
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase
from deployer.targets.local.files import PredictorFiles
from deployer.targets.local.gateway import Gateway
from deployer.targets.local.preparation import LocalPreparation
from deployer.targets.local.target import LocalTarget


@pytest.mark.parametrize("way", ["plain", "link"])
def test_no_file_is_read_for_a_model_but_of_its_artifact(tmp_path, way):
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle()
    predictor = world.record.champion
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "MLmodel").write_text("{}")
    (secrets / "serving_input_example.json").write_text("password")
    named = secrets
    if way == "link":
        named = tmp_path / "serving/link"
        named.parent.mkdir()
        named.symlink_to(secrets)
    files = PredictorFiles(tmp_path / "serving/predictors", "here")
    definition = files.define("angler-prod", "angler", "prod", predictor)
    files.configure(definition, predictor.name, named, tmp_path / "python")

    target = LocalTarget(
        tmp_path / "serving",
        tmp_path / "logs",
        "here",
        LocalPreparation(
            Artifacts(tmp_path / "cache", "http://127.0.0.1:1"),
            Environments(tmp_path / "cache", 1),
            time.time,
        ),
        Gateway(tmp_path / "routes", "http://127.0.0.1:1", "http://127.0.0.1:1", "models"),
        time.time,
        elsewhere=True,
    )
    seen = ObservedPredictor(predictor, Phase.READY, 1.0, port=1)
    weighted, ask = (WeightedPredictor(predictor, 100),), frozenset({predictor.name})
    deployment = Deployment("angler-prod", "angler", "prod", weighted, ask)
    with pytest.raises(TargetUnavailable, match="names files that are no artifact"):
        target.apply(deployment, Observed({predictor.name: seen}, 1.0))
    target.close()
