"""The small plots of a rollout."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from deployer.api.web.plots import HEIGHT, MOST, WIDTH, bands, plots
from deployer.state.evidence import Arm, Window

ARMS = st.builds(
    Arm, st.integers(0, 50), st.integers(0, 50), seconds=st.just({140: 5, 160: 2}) | st.just({})
)


def points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, _, y in (p.partition(",") for p in text.split())]


def window(number: int, candidate: Arm, champion: Arm) -> Window:
    return Window(number, number, candidate, champion)


def test_both_versions_are_drawn_and_what_nobody_counted_is_no_point() -> None:
    slow, fast = {160: 10}, {140: 10}
    found = plots([
        window(1, Arm(10, 0, 0, slow), Arm(10, 1, 0, fast)),
        window(2, Arm(), Arm(10, 0, 0, fast)),
        window(3, Arm(10, 5, 0, slow), Arm(10, 0, 0, fast)),
    ])  # fmt: skip
    errors, latency = found
    assert (errors.name, errors.most) == ("errors", "50 %")
    assert points(errors.new.points) == [(0, HEIGHT - 2), (WIDTH, 2)]
    assert len(points(errors.old.points)) == 3
    assert (errors.new.last, errors.old.last) == ("50 %", "0 %")
    assert points(latency.new.points)[0][1] < points(latency.old.points)[0][1], "slower is higher"


def test_a_bake_is_drawn_beside_what_its_predecessor_counted_before() -> None:
    found = plots([window(9, Arm(), Arm(100, 2)), window(10, Arm(10, 1), Arm())])
    assert found[0].old.last == "2 %"
    assert found[0].new.last == "10 %"
    assert plots([]) == []
    long = [window(9, Arm(), Arm(100, 2)), *(window(n, Arm(10), Arm()) for n in range(10, 200))]
    assert plots(long)[0].old.last == "2 %"


@given(st.lists(st.tuples(ARMS, ARMS), min_size=1, max_size=2 * MOST))
def test_every_point_lies_within_the_plot(arms: list[tuple[Arm, Arm]]) -> None:
    for plot in plots([window(n, *pair) for n, pair in enumerate(arms)]):
        for x, y in points(plot.new.points) + points(plot.old.points):
            assert 0 <= x <= WIDTH + 0.1
            assert y <= HEIGHT


def test_a_difference_is_drawn_between_its_limits_with_its_margin() -> None:
    metric: dict[str, Any] = {
        "metric": "errors", "outcome": "undecided", "message": "", "candidate": 0.0,
        "champion": 0.01, "low": -0.01, "high": 0.03, "margin": 0.02, "more": None,
    }  # fmt: skip
    judgement: Any = {
        "metrics": [metric, metric | {"low": None}, metric | {"metric": "latency.p99"}]
    }
    (band,) = bands(judgement)
    assert band.left < band.zero < band.margin < band.left + band.wide
    assert band.words == "-1 to 3 points, 2 allowed"
    assert bands(None) == []
