"""The tree of a deployment on a real node, with what its pods suffer from."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.kubernetes.stage import ID, NAME, staged
from support.run.wait import wait_for
from support.systems.cluster import Cluster


def test_the_tree_shows_each_object_with_its_health_and_what_is_wrong(
    real: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with staged(real, namespace, tmp_path, monkeypatch) as stage:
        stage.settle(stage.deployment())
        wait_for(
            lambda: "ImagePull" in str(stage.assembled.target.tree(ID)), "the pod's problem", 120
        )
        root = stage.assembled.target.tree(ID)
        assert (root.kind, root.name, root.detail) == (
            "ModelDeployment",
            ID,
            f"in {stage.namespace}",
        )
        predictor, route = root.children
        assert (predictor.kind, predictor.name, predictor.ready) == ("Predictor", NAME, "0/1")
        assert predictor.detail == "version 3, champion, 0 %"
        kinds = [child.kind for child in predictor.children]
        assert kinds == ["Deployment", "ConfigMap", "Service"]
        [pod] = predictor.children[0].children
        assert pod.kind == "Pod"
        assert pod.problem
        assert "\n" not in pod.problem
        assert (route.kind, route.name) == ("HTTPRoute", ID)
        assert f"{NAME} 100 %" in route.detail
