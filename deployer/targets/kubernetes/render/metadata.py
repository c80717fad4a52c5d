"""Build the metadata of objects that belong to a whole deployment. Pure."""

from __future__ import annotations

from typing import Any, Final

from deployer.state.deployment import Deployment

GROUP: Final = "schnitzel.dev"


def metadata(
    deployment: Deployment, namespace: str, platform: str, component: str
) -> dict[str, Any]:
    """Build the name, labels and annotations of a deployment's own object, such as its route."""
    return {
        "name": deployment.id,
        "namespace": namespace,
        "labels": {
            "app.kubernetes.io/name": "model-server",
            "app.kubernetes.io/instance": deployment.id,
            "app.kubernetes.io/component": component,
            "app.kubernetes.io/part-of": deployment.id,
            "app.kubernetes.io/managed-by": "schnitzel",
            f"{GROUP}/platform": platform,
            f"{GROUP}/deployment": deployment.id,
        },
        "annotations": {
            f"{GROUP}/model": deployment.model,
            f"{GROUP}/environment": deployment.environment,
        },
    }
