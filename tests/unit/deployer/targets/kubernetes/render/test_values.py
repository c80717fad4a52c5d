"""A predictor becomes values of the chart model-server, and they fit its schema."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import TypeAdapter

from deployer import naming
from deployer.config.clusters import Cluster
from deployer.spec.limits import LocalLimits
from deployer.spec.pods import Kubernetes
from deployer.spec.resolve import Limits, resolve, spec_digest
from deployer.state.predictor import Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.render.values import Place, Source, values

CHART = Path(__file__).resolve().parents[6] / "helm" / "model-server"
IMAGE = "localhost:5000/schnitzel/environments/angler@sha256:" + "1" * 64
PLACE = Place("angler-prod", "angler", "prod", "0123456789ab")
SOURCE = Source("mlflow-artifacts:/1/models/m-1/artifacts", "http://mlflow.example:5000")

CLUSTER = Cluster.model_validate(
    {
        "gateway": {"name": "public", "namespace": "gateway", "url": "http://models.example"},
        "registry": {
            "push": "registry.images.svc:5000/schnitzel",
            "pull": "localhost:5000/schnitzel",
            "pull_secret": "pull",
        },
        "build": {"image": "localhost:5000/schnitzel/environment-builder:0.1.0"},
        "server_image": "localhost:5000/schnitzel/model-server:0.1.0",
        "artifacts": {"secret": "artifacts"},
        "trust_bundle": {"config_map": "ca"},
        "gpu_resource": "amd.com/gpu",
    }
)

BARE = Cluster.model_validate(
    {
        "gateway": {"name": "public", "namespace": "gateway", "url": "http://models.example"},
        "server_image": "localhost:5000/schnitzel/model-server:0.1.0",
    }
)

FULL: dict[str, Any] = {
    "autoscaling": {"min": 2, "max": 6, "cpu_percent": 60},
    "resources": {"cpu": 1.5, "memory": "2Gi", "gpu": 1},
    "rollout": {"ready_timeout": "20m", "drain": "2.5s"},
    "batching": {"enabled": False, "max_rows": 8},
    "input": "mlflow",
    "timeout_seconds": "2m",
    "image": "registry.example/team/model:1",
    "kubernetes": {
        "node_selector": {"disk": "ssd"},
        "tolerations": [
            {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "dedicated", "value": "ml", "effect": "NoExecute", "seconds": "5m"},
            {"operator": "Exists"},
        ],
        "spread": "zone",
        "disruption_budget": {"max_unavailable": "25%"},
        "env": {"Z": "1", "A_TOKEN": {"secret": "s", "key": "k"}},
        "grace": "3m",
        "annotations": {"example.com/owner": "ann"},
        "pull_secrets": ["other"],
        "service_account": "team-a",
        "probes": {"startup_seconds": "30m"},
    },
}


def predictor(fields: dict[str, Any], **changes: Any) -> Predictor:
    spec = resolve([("serving.yaml", fields)], LocalLimits()).spec
    digest = spec_digest(spec)
    return Predictor(
        **{
            "name": naming.predictor_name("angler", "prod", 3, digest),
            "version": VersionId("angler", 3, 1700000000000, "m-1"),
            "role": Role.CHAMPION,
            "digest": digest,
            "source": "models:/m-1",
            "spec": spec,
            "artifact": "a" * 64,
        }
        | changes
    )


def made(fields: dict[str, Any], cluster: Cluster = CLUSTER) -> dict[str, Any]:
    return values(predictor(fields), PLACE, cluster, IMAGE, SOURCE)


def test_a_queue_is_told_with_the_clusters_secret_and_the_deployments_shares() -> None:
    brokers = {"team": {"secret": "rabbitmq", "trust_bundle": {"config_map": "ca"}}}
    cluster = Cluster.model_validate(CLUSTER.model_dump(mode="json") | {"brokers": brokers})
    scaling = {"autoscaling": {"min": 0, "max": 3, "messages": 5}}
    told = made({"runtime": "queue", "queue": {"broker": "team"}} | scaling, cluster)
    assert told["queue"]["source"] == "angler.prod"
    assert told["queue"]["url"] == {"secret": "rabbitmq", "key": "url"}
    assert told["queue"]["trustBundle"] == {"configMap": "ca", "key": "ca.crt"}
    assert told["queue"]["shares"] == PLACE.deployment
    assert (told["replicas"], told["autoscaling"]) == (None, None)
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.validate(told["queue"], schema["properties"]["queue"])


def test_a_default_spec_says_what_serves_and_nothing_more() -> None:
    told = made({}, BARE)
    assert told["deployment"] == "angler-prod"
    assert told["predictor"] == predictor({}).name
    assert (told["modelVersion"], told["environment"]) == ("3", "prod")
    assert told["image"] == IMAGE
    assert told["artifact"] == {
        "uri": SOURCE.uri,
        "digest": "a" * 64,
        "trackingUri": "http://mlflow.example:5000",
        "image": BARE.server_image,
        "secretName": "",
    }
    assert told["server"] == {
        "maxBodyBytes": 16777216,
        "timeoutSeconds": 60,
        "drainSeconds": 5,
        "batching": {"enabled": True, "maxRows": 256},
        "input": "strict",
        "python": "/opt/env/bin/python",
    }
    assert told["service"] == {"headless": True}
    assert told["resources"] == {
        "cpu": None,
        "memory": None,
        "gpu": 0,
        "gpuResource": "nvidia.com/gpu",
    }
    unset = ("autoscaling", "disruptionBudget", "spread", "trustBundle")
    assert not any(told[name] for name in unset)
    empty = ("env", "tolerations", "nodeSelector", "podAnnotations", "imagePullSecrets")
    assert not any(told[name] for name in empty)
    assert told["replicas"] == 1
    assert told["probes"] == {"startupSeconds": 300}
    assert told["terminationGracePeriodSeconds"] is None


def test_everything_that_a_spec_can_say_reaches_the_chart() -> None:
    assert FULL["kubernetes"].keys() == Kubernetes.model_fields.keys(), "say each, and look for it"
    told = made(FULL)
    assert told["autoscaling"] == {
        "minReplicas": 2,
        "maxReplicas": 6,
        "targetCPUUtilizationPercentage": 60,
    }
    assert told["resources"] == {
        "cpu": "1500m",
        "memory": "2Gi",
        "gpu": 1,
        "gpuResource": "amd.com/gpu",
    }
    assert told["server"]["drainSeconds"] == 2.5
    assert told["server"]["batching"] == {"enabled": False, "maxRows": 8}
    assert told["server"]["input"] == "mlflow"
    assert told["tolerations"] == [
        {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
        {
            "key": "dedicated",
            "operator": "Equal",
            "value": "ml",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        },
        {"operator": "Exists"},
    ]
    assert told["env"] == [
        {"name": "A_TOKEN", "secret": "s", "key": "k"},
        {"name": "Z", "value": "1"},
    ]
    assert told["disruptionBudget"] == {"maxUnavailable": "25%"}
    assert told["terminationGracePeriodSeconds"] == 180
    assert told["probes"] == {"startupSeconds": 1800}
    assert told["podAnnotations"] == {"example.com/owner": "ann"}
    assert told["serviceAccountName"] == "team-a"
    assert told["trustBundle"] == {"configMap": "ca", "key": "ca.crt"}


def test_an_image_of_the_specs_own_serves_and_the_platforms_fetches_the_artifact() -> None:
    told = made(FULL)
    assert told["image"] == "registry.example/team/model:1"
    assert told["artifact"]["image"] == CLUSTER.server_image
    assert told["imagePullSecrets"] == ["pull", "other"]
    assert made({"kubernetes": {"pull_secrets": ["other"]}})["imagePullSecrets"] == [
        "pull",
        "other",
    ]


def test_a_model_may_load_as_long_as_the_rollout_waits_and_five_minutes_at_least() -> None:
    assert made({"rollout": {"ready_timeout": "1m"}})["probes"]["startupSeconds"] == 300
    assert made({"rollout": {"ready_timeout": "20m"}})["probes"]["startupSeconds"] == 1200
    told = made({"kubernetes": {"probes": {"startup_seconds": "30s"}}})
    assert told["probes"]["startupSeconds"] == 30


def test_pods_ask_the_mlflow_that_they_reach_and_s3_without_one() -> None:
    artifacts = {"artifacts": {"tracking_uri": "http://mlflow.svc:5000"}}
    cluster = Cluster.model_validate(BARE.model_dump() | artifacts)
    assert made({}, cluster)["artifact"]["trackingUri"] == "http://mlflow.svc:5000"
    told = values(predictor({}), PLACE, cluster, IMAGE, Source("s3://bucket/a", "http://x"))
    assert told["artifact"]["trackingUri"] == ""


def test_a_predictor_recorded_by_an_earlier_release_is_still_rendered() -> None:
    old = predictor({"replicas": 2})
    whole = old.spec.model_dump(mode="json")
    spec = {k: v for k, v in whole.items() if k not in ("autoscaling", "image", "kubernetes")}
    kept = TypeAdapter(Predictor).dump_python(old, mode="json") | {"spec": spec}
    read = TypeAdapter(Predictor).validate_python(kept)
    before = values(read, PLACE, CLUSTER, IMAGE, SOURCE)
    assert before == made({"replicas": 2})


@pytest.mark.parametrize("fields", [{}, FULL, {"replicas": 3, "max_body": "1Gi"}])
@pytest.mark.parametrize("cluster", [BARE, CLUSTER])
def test_the_values_fit_the_charts_schema(fields: dict[str, Any], cluster: Cluster) -> None:
    told = made(fields, cluster)
    assert json.loads(json.dumps(told)) == told
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert told.keys() <= defaults.keys()
    jsonschema.Draft202012Validator(schema).validate(_laid_over(defaults, told))


def test_the_defaults_of_spec_and_chart_are_the_same() -> None:
    # So that the chart by hand serves as the Deployer does.
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    told = made({}, BARE)
    for name in ("server", "replicas", "autoscaling", "resources", "spread", "disruptionBudget"):
        written = {"limitCpu": False} if name == "resources" else {}
        expected = told[name] | written if written else told[name]
        assert expected == defaults[name], name
    assert told["probes"].items() <= defaults["probes"].items()


def test_limits_that_let_all_through_still_make_values_that_fit() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    longest = {"timeout_seconds": 3600, "rollout": {"drain": 3600, "ready_timeout": "1d"}}
    limits = Limits(ready_timeout=None, max_body=None)
    spec = resolve([("serving.yaml", longest)], limits).spec
    told = values(predictor({}, spec=spec), PLACE, BARE, IMAGE, SOURCE)
    jsonschema.Draft202012Validator(schema).validate(_laid_over(defaults, told))


def _laid_over(below: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """As Helm lays values over a chart's own: nested mappings merge, and null takes away."""
    laid = dict(below)
    for name, value in over.items():
        if value is None:
            laid.pop(name, None)
        elif isinstance(value, dict) and isinstance(laid.get(name), dict):
            laid[name] = _laid_over(laid[name], value)
        else:
            laid[name] = value
    return laid
