"""The demo's path: a project is trained, its model promoted, and a prediction served."""

from __future__ import annotations

import json

from support import ROOT
from support.platform.home import PlatformHome


def from_training_to_a_served_prediction(demo: PlatformHome, project: str) -> None:
    """Walk it with an example, as its README says."""
    demo.cli("project", "add", str(ROOT / "examples" / project))
    trained = demo.cli("train", project)
    assert "1" in trained
    tags = demo.mlflow.tags(project, 1)
    assert tags["schnitzel.project"] == project
    assert {"schnitzel.dag_run", "schnitzel.data_hash"} <= set(tags)
    staged = demo.wait_serving(project, 1, "staging", seconds=400)
    assert staged["wanted"]["via"] in ("stage Staging", "alias staging")
    demo.cli("model", "promote", f"{project}@1", "--to", "prod", "--yes", "--wait")
    seen = demo.wait_serving(project, 1)
    answer = json.loads(demo.cli("predict", project, "-e", "prod", "--example"))
    assert answer["predictions"]
    ready = demo.client.get(f"{seen['url']}v2/models/{project}/ready")
    assert (ready.status_code, ready.headers["x-schnitzel-model-version"]) == (200, "1")
