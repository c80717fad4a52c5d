"""The projects of examples/, trained by their own pipelines, served on a cluster."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from cluster import ROOT, cluster
from every_runtime import EveryRuntime
from training import train

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.timeout(1800)]


RUNTIMES = {
    "tensorflow": {"runtime": "tfserving"},
    "seldon": {"runtime": "seldon", "seldon": {"shape": "tensorflow"}},
}
"""Environments that serve the SavedModel, and how."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    others = {name: {"stage": None, "overlay": overlay} for name, overlay in RUNTIMES.items()}
    made = EveryRuntime(
        cluster(),
        tmp_path_factory.mktemp("examples") / "home",
        ("staging", "prod", *RUNTIMES),
        # The pipelines promote by stage; a person here by alias.
        {"each": {"staging": {"stage": "Staging"}, "prod": {"stage": None}, **others}},
    )
    try:
        made.up()
        yield made
    finally:
        made.down()


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


@pytest.mark.parametrize("project", ["iris-forest", pytest.param("angler", marks=pytest.mark.long)])
def test_an_example_is_trained_promoted_and_answers_its_own_example(platform, project, tmp_path):
    model, prod = platform.model(project), platform.environment("prod")
    train(ROOT / "examples" / project, platform.mlflow.url, model, tmp_path)
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
    if project == "angler":
        for name in RUNTIMES:
            answers_alike(platform, name, example, answer["predictions"])


def answers_alike(platform, name: str, example: dict[str, Any], predictions: Any) -> None:
    """TensorFlow Serving answers as Keras does, with nine digits of each number."""
    model, environment = platform.model("angler"), platform.environment(name)
    platform.cli("model", "promote", f"{model}@1", "--to", environment, "--yes", "--wait")
    url = platform.serving("angler", 1, name)["url"]
    answer = platform.client.post(f"{url}invocations", json=example)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-schnitzel-model-version"] == "1"
    assert flat(answer.json()["predictions"]) == pytest.approx(flat(predictions), rel=1e-5)
    assert platform.client.get(f"{url}v2/models/{model}").json()["platform"] == (
        "tensorflow_savedmodel"
    )


def example_of(platform, model: str) -> dict[str, Any]:
    """The input example that was logged with version 1."""
    where = {"name": model, "version": "1", "path": "serving_input_example.json"}
    found: httpx.Response = platform.client.get(
        f"{platform.mlflow.url}/model-versions/get-artifact", params=where
    )
    assert found.status_code == 200, found.text
    example: dict[str, Any] = found.json()
    return example
