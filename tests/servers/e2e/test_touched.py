"""A version that is touched in its stage promotes nothing, and says what serves it."""

from __future__ import annotations

import shlex

import pytest
from support.models import log_models
from support.platform.home import PlatformHome
from support.platform.listings import listed


def answers(platform: PlatformHome, url: str) -> tuple[int, str]:
    response = platform.predict(url)
    assert response.status_code == 200, response.text
    return response.json()["predictions"][0], response.headers["x-schnitzel-model-version"]


@pytest.fixture
def touchable(quick):
    """A model whose versions 1 and 2 are both in Production; 2 serves."""
    mlflow, name = quick.mlflow, "touched in place"
    versions = [{"name": name, "kind": "constant", "say": number} for number in (1, 2)]
    assert log_models(mlflow.url, versions) == [1, 2]
    for number in (1, 2):
        mlflow.stage(name, number, "Production")
        quick.wait_serving(name, number, seconds=240)
    return name


def test_a_version_that_is_touched_is_not_served_and_says_what_serves_it(quick, touchable):
    def save_description() -> None:
        body = {"name": touchable, "version": "1", "description": "as it was"}
        path = "/api/2.0/mlflow/model-versions/update"
        assert quick.mlflow.client.patch(path, json=body).status_code == 200

    def touched_after(before: str | None) -> dict[str, str]:
        """What is told of version 1, in the status and in its tag."""
        seen = quick.wait(touchable, lambda d: d["losing"][0]["touched_at"] != before)
        [told] = seen["losing"]
        tag = f"NotServed: {told['message']}"
        quick.wait(
            touchable, lambda _: quick.mlflow.tags(touchable, 1)["schnitzel.prod.status"] == tag
        )
        return told

    told = quick.deployment(touchable)["losing"][0]
    assert told["touched_at"] is None
    touches = [lambda: quick.mlflow.stage(touchable, 1, "Production"), save_description]
    for touch in touches:
        touch()
        told = touched_after(told["touched_at"])
        listed(quick, 2)  # the tag that was written is no touch
        seen = quick.deployment(touchable)
        assert seen["losing"] == [told]
        assert answers(quick, seen["url"]) == (2, "2")
    assert told["message"] in " ".join(quick.cli("deploy", "status", f"{touchable}@prod").split())
    command = shlex.split(told["message"][told["message"].index("schnitzel ") :])
    quick.cli(*command[1:], "--yes")
    assert quick.wait_serving(touchable, 1)["losing"] == []
