"""What counts as another version of chart and server: all that would change every pod at once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from deployer.config.clusters import Cluster
from deployer.spec.model import ServingSpec
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Record
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.cache.objects import LiveObject, Owner, Packer
from deployer.targets.kubernetes.client.kinds import kind_of
from deployer.targets.kubernetes.context import LiveDeployment
from deployer.targets.kubernetes.render.charts import Charts
from deployer.targets.kubernetes.render.deployment import DeploymentRenderer, Rendered
from deployer.targets.kubernetes.render.manifests import Manifests
from deployer.targets.kubernetes.render.runtimes import RUNTIMES

HELM = Path(__file__).parents[4] / "helm"
CHARTS = sorted({runtime.chart for runtime in RUNTIMES.values()})
URI = "mlflow-artifacts:/1/a"
SETTINGS: dict[str, Any] = {
    "gateway": {"name": "public", "namespace": "gateway", "url": "http://models.example"},
    "registry": {"push": "registry.example/team", "pull": "registry.example/team"},
    "build": {"image": "registry.example/team/environment-builder:1"},
    "server_image": "registry.example/team/model-server:1",
}


def made(charts: Path = HELM, tracking: str = "http://mlflow.example", **changed: Any) -> Manifests:
    return Manifests(Charts(charts), Cluster.model_validate(SETTINGS | changed), "p1", tracking)


def copied(folder: Path) -> None:
    for chart in CHARTS:
        shutil.copytree(HELM / chart, folder / chart)


def version(charts: Path = HELM, **changed: Any) -> str:
    return made(charts, **changed).version


def test_it_names_the_chart_and_the_server_image():
    chart, _, image = version().partition(" ")
    assert chart.startswith(f"{Charts(HELM).version('model-server')}+")
    assert image == "registry.example/team/model-server:1"
    assert version() == version()


@pytest.mark.parametrize(
    "changed",
    [
        {"server_image": "registry.example/team/model-server:2"},
        {"trust_bundle": {"config_map": "ca"}},
        {"artifacts": {"secret": "mlflow"}},
        {"tfserving_image": "registry.example/tensorflow/serving:2.19.1"},
        {"artifacts": {"tracking_uri": "http://mlflow.mlflow.svc"}},
        {"registry": SETTINGS["registry"] | {"pull_secret": "pull"}},
    ],
    ids=str,
)
def test_settings_that_change_every_pod_make_another(changed: dict[str, Any]):
    assert version(**changed) != version()


@pytest.mark.parametrize(
    "changed",
    [
        {"build": SETTINGS["build"] | {"memory": "8Gi"}},
        {"registry": SETTINGS["registry"] | {"push_secret": "push"}},
        {"gateway": SETTINGS["gateway"] | {"probe_url": "http://10.0.0.1"}},
    ],
    ids=str,
)
def test_settings_that_change_no_pod_make_no_other(changed: dict[str, Any]):
    assert version(**changed) == version()


@pytest.mark.parametrize(
    ("chart", "template"),
    [(c, f"{'seldondeployment' if c == 'seldon' else 'deployment'}.yaml") for c in CHARTS],
)
def test_another_template_makes_another_and_another_readme_does_not(
    tmp_path: Path, chart: str, template: str
):
    copied(tmp_path)
    assert version(tmp_path) == version()
    (tmp_path / chart / "README.md").write_text("Better words.")
    assert version(tmp_path) == version()
    with (tmp_path / chart / "templates" / template).open("a") as file:
        file.write("# another\n")
    assert version(tmp_path) != version()


@pytest.mark.parametrize("chart", CHARTS)
def test_whatever_changes_any_manifest_makes_another_origin(tmp_path: Path, chart: str):
    origin = made().origin
    assert made().origin == origin
    gateway = SETTINGS["gateway"] | {"name": "private"}
    assert version(gateway=gateway) == version()  # no pod; but every route
    assert made(gateway=gateway).origin != origin
    assert made(tracking="http://mlflow.elsewhere").origin != origin
    copied(tmp_path)
    assert made(tmp_path).origin == origin
    with (tmp_path / chart / "templates/service.yaml").open("a") as template:
        template.write("# another\n")
    assert made(tmp_path).origin != origin


@pytest.mark.parametrize("runtime", ["mlflow", "tfserving"])
@pytest.mark.parametrize("gone", [None, "ConfigMap", "Service", "Deployment"])
def test_what_an_earlier_chart_rendered_is_left_alone_as_long_as_it_is_whole(
    gone: str | None, runtime: str
):
    renderer = DeploymentRenderer(
        made(tfserving_image="registry.example/tensorflow/serving:2.19.1")
    )
    spec = ServingSpec.model_validate({"runtime": runtime})
    model = VersionId("angler", 1, 1)
    one = Predictor("angler-prod-v1", model, Role.CHAMPION, "d", URI, spec, server="0.0.1 older")
    wanted = Deployment("angler-prod", "angler", "prod", (WeightedPredictor(one, 100),))
    record, owner = Record("angler-prod", "angler", "prod"), Owner("p1", "angler-prod", "uid")

    def render(live: list[LiveObject]) -> Rendered:
        there = LiveDeployment(record, "prod", owner, tuple(live))
        return renderer.of(wanted, there, lambda *_: "image@sha256:1")

    live = [
        Packer(kind_of(each)).pack(
            {**each, "metadata": {**each["metadata"], "uid": "u", "resourceVersion": "1"}}
        )
        for each in render([]).manifests
        if each["kind"] not in (gone, "HTTPRoute")
    ]
    again = render(live)
    kinds = [each["kind"] for each in again.manifests]
    assert again.keep == (set() if gone else {obj.key for obj in live})
    assert kinds == (["ConfigMap", "Service", "Deployment", "HTTPRoute"] if gone else ["HTTPRoute"])
