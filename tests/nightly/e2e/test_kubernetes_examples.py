"""The projects of examples/, trained by their own pipelines, served on a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from support.examples import flat, served_as_trained
from support.platform.cluster import ClusterPlatform
from support.systems.cluster import cluster
from support.systems.tfserving_image import standin_image

pytestmark = pytest.mark.timeout(1800)

RUNTIMES = {
    "tensorflow": {"runtime": "tfserving"},
    "seldon": {"runtime": "seldon", "seldon": {"shape": "tensorflow"}},
}
"""Environments that serve the SavedModel, and how."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    others = {name: {"stage": None, "overlay": overlay} for name, overlay in RUNTIMES.items()}
    made = ClusterPlatform(
        cluster(),
        tmp_path_factory.mktemp("examples") / "home",
        ("staging", "prod", *RUNTIMES),
        # The pipelines promote by stage; a person here by alias.
        {"each": {"staging": {"stage": "Staging"}, "prod": {"stage": None}, **others}},
        runtimes=("seldon", "tfserving"),
        tfserving=standin_image,
    )
    try:
        made.up()
        yield made
    finally:
        made.down()


def test_iris_forest_is_trained_promoted_and_answers_its_own_example(platform, tmp_path):
    _, predictions = served_as_trained(platform, "iris-forest", tmp_path)
    assert predictions


def test_language_is_trained_promoted_and_answers_its_own_example_in_two_columns(
    platform, tmp_path
):
    _, predictions = served_as_trained(platform, "sentiment/language", tmp_path)
    assert [row["language"] for row in predictions] == ["en", "da", "de"]


def test_angler_is_trained_promoted_and_answers_alike_with_every_runtime(platform, tmp_path):
    example, predictions = served_as_trained(platform, "angler", tmp_path)
    for name in RUNTIMES:
        answers_alike(platform, name, example, predictions)


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
