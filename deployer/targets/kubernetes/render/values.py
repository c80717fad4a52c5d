"""Build the values of a predictor for the chart of its runtime.

Pure. The chart alone decides what it can (probe periods, sizes of folders), so that each decision
has one place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deployer.config.clusters import Cluster, ClusterBroker, SeldonOperator
from deployer.schema.units import format_cpu, format_quantity
from deployer.spec.model import ServingSpec
from deployer.spec.pods import DisruptionBudget, SecretKey, Toleration
from deployer.state.predictor import Predictor

Values = dict[str, Any]

PYTHON: Final = "/opt/env/bin/python"
"""The interpreter of the model's exact Python environment, in every image of a predictor."""

STARTUP_SECONDS: Final = 300
"""The least time that a model may take to load. A rollout may have given the version up long
before; a pod that moved because its node ended must still come up."""


@dataclass(frozen=True, slots=True)
class Place:
    """The deployment and platform of a predictor.

    Attributes:
        deployment: The deployment's id.
        model: The registered model's name.
        environment: The environment's name.
        platform: The platform's id.
    """

    deployment: str
    model: str
    environment: str
    platform: str


@dataclass(frozen=True, slots=True)
class Source:
    """The source from which pods fetch the artifact.

    Attributes:
        uri: "mlflow-artifacts:/..." or "s3://...".
        tracking_uri: MLflow's address as the Deployer reaches it, for a cluster whose settings
            name no other.
    """

    uri: str
    tracking_uri: str


def values(
    predictor: Predictor, place: Place, cluster: Cluster, image: str, source: Source
) -> Values:
    """Build the values of one predictor, JSON-ready.

    Args:
        predictor: Its spec may be from an earlier release: a missing field has its default.
        place: The deployment and platform of the predictor.
        cluster: The settings of its cluster.
        image: The image of its pods from `ImagePreparation`, by digest.
        source: The source of its artifact, whose digest the predictor has.
    """
    spec = predictor.spec
    common = _common(spec, predictor, place, cluster, source)
    found = common | _OF[spec.runtime](spec, common, cluster, image)
    return found | {"queue": _queue(spec, place, cluster)} if spec.runtime == "queue" else found


def _queue(spec: ServingSpec, place: Place, cluster: Cluster) -> Values:
    """Build the values of the queues; the deployment's ConfigMap has its predictors' shares."""
    queue = spec.queue.named(place.model, place.environment)
    access = cluster.brokers.get(queue.broker) or ClusterBroker(secret=f"broker-{queue.broker}")
    found = access.trust_bundle
    return {
        "source": queue.source,
        "results": [one.model_dump() for one in queue.results],
        "deadLetter": queue.dead_letter,
        "prefetch": queue.prefetch,
        "attempts": queue.attempts,
        "url": {"secret": access.secret, "key": access.key},
        "trustBundle": found and {"configMap": found.config_map, "key": found.key},
        "shares": place.deployment,
    }


def _mlflow(spec: ServingSpec, common: Values, _: Cluster, image: str) -> Values:
    """Build values of the chart model-server; the spec's `image` replaces the built image."""
    server = common["server"] | {"python": PYTHON, "input": spec.input}
    scaling = {"autoscaling": _autoscaling(spec)}
    return {"image": spec.image or image, "server": server} | scaling


def _seldon(spec: ServingSpec, common: Values, cluster: Cluster, image: str) -> Values:
    """Build values of the chart seldon, without autoscaling: Seldon's operator sets the replicas.

    No other controller may set them.
    """
    operator = cluster.seldon or SeldonOperator()
    found = {
        "shape": spec.seldon.shape,
        "image": image,
        "named": {"server": operator.server},
        "tensorflow": {"image": "", "savedModel": spec.tfserving.saved_model},
        "microservice": {"image": operator.microservice_image or ""},
        "server": common["server"] | {"python": PYTHON, "input": spec.input},
    }
    if spec.seldon.shape == "tensorflow":
        found["tensorflow"]["image"] = spec.image or cluster.tfserving_image or ""
    elif spec.image:
        found["image"] = spec.image
    return found


def _tfserving(spec: ServingSpec, _: Values, cluster: Cluster, image: str) -> Values:
    """Build values of the chart tfserving, whose front needs no Python environment of a model."""
    wanted = spec.tfserving
    return {
        "image": image,
        "autoscaling": _autoscaling(spec),
        "tfserving": {
            "image": spec.image or cluster.tfserving_image or "",
            "savedModel": wanted.saved_model,
            "labels": list(wanted.labels),
            "batching": {
                "timeoutMicros": wanted.batching.timeout_micros,
                "maxRequestRows": wanted.batching.max_request_rows,
                "maxEnqueuedBatches": wanted.batching.max_enqueued_batches,
                "threads": wanted.batching.threads,
                "allowedBatchSizes": list(wanted.batching.allowed_sizes),
            },
        },
    }


_OF: Final[Mapping[str, Callable[[ServingSpec, Values, Cluster, str], Values]]] = {
    "mlflow": _mlflow,
    "seldon": _seldon,
    "tfserving": _tfserving,
    "queue": _mlflow,
}


def _common(
    spec: ServingSpec, predictor: Predictor, place: Place, cluster: Cluster, source: Source
) -> Values:
    """Build the values that every chart has, under the same names."""
    pods = spec.kubernetes
    startup = pods.probes.startup_seconds or max(spec.rollout.ready_timeout, STARTUP_SECONDS)
    found = cluster.trust_bundle
    return {
        "deployment": place.deployment,
        "predictor": predictor.name,
        "model": place.model,
        "modelVersion": str(predictor.version.number),
        "environment": place.environment,
        "platform": place.platform,
        "digest": predictor.digest,
        "imagePullSecrets": _pull_secrets(spec, cluster),
        "artifact": _artifact(predictor, cluster, source),
        "server": {
            "maxBodyBytes": spec.max_body,
            "timeoutSeconds": _plain(spec.timeout_seconds),
            "drainSeconds": _plain(spec.rollout.drain),
            "batching": {"enabled": spec.batching.enabled, "maxRows": spec.batching.max_rows},
        },
        "service": {"headless": cluster.gateway.headless},
        "replicas": None if spec.is_scaled_by_messages else spec.replicas,
        "resources": {
            "cpu": None if spec.resources.cpu is None else format_cpu(spec.resources.cpu),
            "memory": None
            if spec.resources.memory is None
            else format_quantity(spec.resources.memory),
            "gpu": spec.resources.gpu,
            "gpuResource": cluster.gpu_resource,
        },
        "nodeSelector": dict(pods.node_selector),
        "tolerations": [_toleration(one) for one in pods.tolerations],
        "spread": pods.spread,
        "disruptionBudget": _budget(pods.disruption_budget),
        "env": [_variable(name, value) for name, value in sorted(pods.env.items())],
        "probes": {"startupSeconds": math.ceil(startup)},
        "terminationGracePeriodSeconds": None if pods.grace is None else math.ceil(pods.grace),
        "podAnnotations": dict(pods.annotations),
        "serviceAccountName": pods.service_account or "",
        "trustBundle": found and {"configMap": found.config_map, "key": found.key},
    }


def _pull_secrets(spec: ServingSpec, cluster: Cluster) -> list[str]:
    """List the registry's pull secret, for the platform's images, and those of the spec."""
    ours = cluster.registry.pull_secret if cluster.registry else None
    return list(dict.fromkeys([*([ours] if ours else []), *spec.kubernetes.pull_secrets]))


def _artifact(predictor: Predictor, cluster: Cluster, source: Source) -> dict[str, str]:
    """Build the values of the artifact's fetch, always with the platform's own image.

    So no team's image sees the secret.
    """
    on_mlflow = source.uri.startswith("mlflow-artifacts:")
    tracking = cluster.artifacts.tracking_uri or source.tracking_uri
    return {
        "uri": source.uri,
        "digest": predictor.artifact,
        "trackingUri": tracking if on_mlflow else "",
        "image": cluster.server_image,
        "secretName": cluster.artifacts.secret or "",
    }


def _autoscaling(spec: ServingSpec) -> Mapping[str, int] | None:
    scaling = spec.autoscaling
    if scaling is None or scaling.messages is not None:
        return None
    return {
        "minReplicas": scaling.min,
        "maxReplicas": scaling.max,
        "targetCPUUtilizationPercentage": scaling.cpu_percent,
    }


def _toleration(toleration: Toleration) -> dict[str, Any]:
    """Build a toleration of a pod's spec, without empty fields, as the API server keeps it."""
    seconds = toleration.seconds
    written = {
        "key": toleration.key,
        "operator": toleration.operator,
        "value": toleration.value,
        "effect": toleration.effect,
    }
    kept: dict[str, Any] = {name: value for name, value in written.items() if value}
    return kept if seconds is None else kept | {"tolerationSeconds": math.ceil(seconds)}


def _budget(budget: DisruptionBudget | None) -> dict[str, int | str] | None:
    if budget is None:
        return None
    if budget.min_available is not None:
        return {"minAvailable": budget.min_available}
    return {"maxUnavailable": budget.max_unavailable or 0}


def _variable(name: str, value: str | SecretKey) -> dict[str, str]:
    if isinstance(value, SecretKey):
        return {"name": name, "secret": value.secret, "key": value.key}
    return {"name": name, "value": value}


def _plain(seconds: float) -> float:
    """Write 60.0 as 60, so that equal seconds give equal values."""
    return int(seconds) if seconds == int(seconds) else seconds
