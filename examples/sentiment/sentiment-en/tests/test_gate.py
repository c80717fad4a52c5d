"""When a version may be promoted."""

import pytest
from sentiment_en.gate import verdict


@pytest.mark.parametrize(
    ("value", "production", "margin", "passes", "why"),
    [
        (0.89, None, 0.0, False, "f1 0.8900 is below the floor 0.9"),
        (0.95, None, 0.0, True, "nothing is in production"),
        (0.95, ("3", 0.94), 0.0, True, "production's version 3 has 0.9400"),
        (0.94, ("3", 0.94), 0.0, False, "is not better"),
        (0.94, ("3", 0.94), -0.01, True, "margin -0.01"),
        (0.945, ("3", 0.94), 0.01, False, "is not better"),
    ],
)
def test_the_gate_wants_the_floor_and_better_than_production(
    value, production, margin, passes, why
):
    passed, reason = verdict("f1", value, 0.9, production, margin)
    assert passed is passes
    assert why in reason
