"""A project of examples/, trained by its own pipeline, served on a cluster."""

from __future__ import annotations

import pytest
from support.examples import served_as_trained
from support.platform.cluster import ClusterPlatform
from support.systems.cluster import cluster

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    # The pipeline promotes by stage; a person here by alias.
    each = {"each": {"staging": {"stage": "Staging"}, "prod": {"stage": None}}}
    home = tmp_path_factory.mktemp("examples") / "home"
    made = ClusterPlatform(cluster(), home, ("staging", "prod"), each)
    try:
        made.up()
        yield made
    finally:
        made.down()


def test_an_example_is_trained_promoted_and_answers_its_own_example(platform, tmp_path):
    _, predictions = served_as_trained(platform, "iris-forest", tmp_path)
    assert predictions
