"""Render the shares of a queue's messages: a ConfigMap that the pods of each predictor mount. Pure.

The ConfigMap is to a queue what the HTTPRoute is to requests. A pod that starts while no Deployer
runs finds its share there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deployer.state.deployment import Deployment
from deployer.targets import shares
from deployer.targets.kubernetes.render.metadata import metadata
from deployer.targets.shares import Share


def manifest(deployment: Deployment, namespace: str, platform: str) -> dict[str, Any] | None:
    """Render the shares of a deployment; None if none of its predictors consumes a queue."""
    consumers = {
        predictor.name: json.dumps(share)
        for predictor, share in shares.shares(deployment.predictors)
        if predictor.spec.runtime == "queue"
    }
    if not consumers:
        return None
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(deployment, namespace, platform, "shares"),
        "data": consumers,
    }


def wanted(live: Mapping[str, Any]) -> dict[str, Share]:
    """Read the share of each predictor in a live ConfigMap of ours."""
    found = {}
    for predictor, text in (live.get("data") or {}).items():
        try:
            share = shares.parse({"share": json.loads(text)})
        except ValueError:
            continue
        if share is not None:
            found[str(predictor)] = share
    return found
