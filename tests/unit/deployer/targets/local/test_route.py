"""A deployment's route file: written and removed where it is ours, left alone where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.errors import TargetUnavailable
from deployer.targets.local.gateway import Gateway

PLACE = ("angler-prod", "angler", "prod")
SHARES = {"angler-prod-v1-1a2b3c4d": ([20001], 100)}
OTHERS = {
    "another route": "http: {routers: {mine: {rule: PathPrefix(`/x`), service: mine}}}\n",
    "ours and more": "http: {routers: {angler-prod: 1, b: 1}, middlewares: {angler-prod: 1}}\n",
    "no route": "tls: {}\n",
    "nothing": "",
    "not readable": "http: [",
    "no text": "\udcff",
}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:1")
    yield made
    made.close()


def test_it_is_written_on_change_alone_and_removed(gateway, tmp_path):
    file = tmp_path / "angler-prod.yaml"
    assert gateway.route(*PLACE, SHARES)
    assert not gateway.route(*PLACE, SHARES)
    file.write_text(file.read_text().replace("20001", "1"))
    assert gateway.route(*PLACE, SHARES)
    assert "20001" in file.read_text()
    assert gateway.route(*PLACE, {})
    assert not file.exists()


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_somebody_elses_file_of_its_name_is_left_alone_and_told(gateway, tmp_path, text):
    file = tmp_path / "angler-prod.yaml"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(TargetUnavailable, match="somebody else's") as told:
        gateway.route(*PLACE, SHARES)
    assert not told.value.transient
    assert not gateway.route(*PLACE, {})
    assert file.read_text(errors="surrogateescape") == text
    command, source, goal = told.value.hint.rpartition(": ")[2].split()
    assert (command, source) == ("mv", str(file))
    Path(source).rename(goal)
    assert gateway.route(*PLACE, SHARES)
