"""The demo's path with the example that tests/servers does not take."""

from __future__ import annotations

import pytest
from support.golden import from_training_to_a_served_prediction

pytestmark = pytest.mark.timeout(1800)


def test_from_training_to_a_served_prediction(make_platform):
    demo = make_platform("demo", whole=True)
    demo.up()
    from_training_to_a_served_prediction(demo, "iris-forest")
