"""An example project, trained by its own pipeline, promoted and asked on a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import ROOT
from support.platform.cluster import ClusterPlatform
from support.training import train


def served_as_trained(
    platform: ClusterPlatform, project: str, folder: Path
) -> tuple[dict[str, Any], list[Any]]:
    """Have a project's model serve, and compare its protocols; its own example, and its answer."""
    model, prod = platform.model(project), platform.environment("prod")
    train(ROOT / "examples" / project, platform.mlflow.url, model, folder)
    staged = platform.serving(project, 1, "staging", seconds=1200)
    assert staged["wanted"]["via"] == "stage Staging"  # the pipeline's own promotion

    platform.cli("model", "promote", f"{model}@1", "--to", prod, "--yes", "--wait")
    url = platform.serving(project, 1)["url"]
    answer = json.loads(platform.cli("predict", model, "-e", prod, "--example"))
    assert answer["predictions"]

    example = example_of(platform, model)
    asked = platform.client.post(f"{url}invocations", json=example)
    assert asked.json() == answer
    described = platform.client.get(f"{url}v2/models/{model}").json()
    question = {"inputs": tensors(example, described["inputs"])}
    told = platform.client.post(f"{url}v2/models/{model}/infer", json=question)
    assert told.status_code == 200, told.text
    [output] = told.json()["outputs"]
    assert flat(output["data"]) == pytest.approx(flat(answer["predictions"]))
    assert {r.headers["x-schnitzel-model-version"] for r in (asked, told)} == {"1"}
    return example, answer["predictions"]


def tensors(example: dict[str, Any], declared: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An example that MLflow logged, as the Open Inference Protocol has it."""
    columns = example.get("inputs", {})
    if split := example.get("dataframe_split"):
        columns = {
            name: [row[place] for row in split["data"]]
            for place, name in enumerate(split["columns"])
        }
    return [
        {
            "name": one["name"],
            "datatype": one["datatype"],
            "shape": shape(columns[one["name"]]),
            "data": columns[one["name"]],
        }
        for one in declared
    ]


def shape(values: Any) -> list[int]:
    return [len(values), *shape(values[0])] if isinstance(values, list) else []


def flat(values: Any) -> list[Any]:
    return [x for each in values for x in flat(each)] if isinstance(values, list) else [values]


def example_of(platform: ClusterPlatform, model: str) -> dict[str, Any]:
    """The input example that was logged with version 1."""
    where = {"name": model, "version": "1", "path": "serving_input_example.json"}
    found: httpx.Response = platform.client.get(
        f"{platform.mlflow.url}/model-versions/get-artifact", params=where
    )
    assert found.status_code == 200, found.text
    example: dict[str, Any] = found.json()
    return example
