"""What concerns a whole cluster is reported of each of its deployments, once per change."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.targets.kubernetes.observe.reach import Reach


class Cluster:
    """A cache and a gateway that answer as they are told to."""

    def __init__(self) -> None:
        self.silent = self.closed = False
        self.told: list[str] = []
        either: Any = self
        self.reach = Reach(either, either, self.told.append)

    def blind(self) -> bool:
        return self.silent

    def answers(self) -> bool:
        return not self.closed

    def seen(self) -> set[str]:
        return {"angler-prod", "baker-prod"}

    def look(self) -> list[str]:
        self.told.clear()
        self.reach.look()
        return list(self.told)


@pytest.mark.parametrize("part", ["silent", "closed"])
def test_what_concerns_all_is_reported_of_all_when_it_changes(part):
    cluster = Cluster()
    everybody = ["angler-prod", "baker-prod"]
    assert [cluster.look(), cluster.look()] == [everybody, []]
    setattr(cluster, part, True)
    assert [cluster.look(), cluster.look()] == [everybody, []]
    setattr(cluster, part, False)
    assert [cluster.look(), cluster.look()] == [everybody, []]
