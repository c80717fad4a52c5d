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
    platform: ClusterPlatform, example: str, folder: Path
) -> tuple[dict[str, Any], list[Any]]:
    """Have a project's model serve, and compare its protocols; its own example, and its answer."""
    project = Path(example).name  # "sentiment/language" is in a folder of several
    model, prod = platform.model(project), platform.environment("prod")
    train(ROOT / "examples" / example, platform.mlflow.url, model, folder)
    staged = platform.serving(project, 1, "staging", seconds=1200)
    assert staged["wanted"]["via"] == "stage Staging"  # the pipeline's own promotion

    platform.cli("model", "promote", f"{model}@1", "--to", prod, "--yes", "--wait")
    url = platform.serving(project, 1)["url"]
    answer = json.loads(platform.cli("predict", model, "-e", prod, "--example"))
    assert answer["predictions"]

    logged = example_of(platform, model)
    asked = platform.client.post(f"{url}invocations", json=logged)
    assert asked.json() == answer
    described = platform.client.get(f"{url}v2/models/{model}").json()
    question = {"inputs": tensors(logged, described["inputs"])}
    told = platform.client.post(f"{url}v2/models/{model}/infer", json=question)
    assert told.status_code == 200, told.text
    assert_alike(told.json()["outputs"], answer["predictions"])
    assert {r.headers["x-schnitzel-model-version"] for r in (asked, told)} == {"1"}
    return logged, answer["predictions"]


def assert_alike(outputs: list[dict[str, Any]], predictions: list[Any]) -> None:
    """Compare an answer of the Open Inference Protocol with MLflow's: an output for each column."""
    if isinstance(predictions[0], dict):
        columns = {name: [row[name] for row in predictions] for name in predictions[0]}
        assert [output["name"] for output in outputs] == list(columns)
    else:
        columns = {"": predictions}  # one answer to each row, which has no name there
    for output, column in zip(outputs, columns.values(), strict=True):
        assert flat(output["data"]) == pytest.approx(flat(column))


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
