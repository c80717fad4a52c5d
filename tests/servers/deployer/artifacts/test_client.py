"""MLflow's client in a process of its own, where it hangs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.fixtures.artifacts import VERSION
from support.run.wait import wait_for

from deployer.artifacts import client
from deployer.artifacts.cache import Artifacts
from deployer.artifacts.metadata import SmallFiles
from deployer.errors import ArtifactUnreachable

URI = "dbfs:/1/model"


class HangingClient:
    """A client that writes down its process id, and ends only when it is killed."""

    def __init__(self, folder: Path) -> None:
        self._pids = folder / "pids"
        self.program = folder / "python"
        self.program.write_text(f"#!/bin/sh\necho $$ >> {self._pids}\nexec sleep 600\n")
        self.program.chmod(0o755)

    def pid(self) -> int:
        """The process that began last; waits for it."""
        text = wait_for(
            lambda: self._pids.exists() and self._pids.read_text().split(), "the client to begin"
        )
        return int(text[-1])

    def ended(self) -> bool:
        return not Path(f"/proc/{self.pid()}").exists()


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HangingClient:
    made = HangingClient(tmp_path)
    monkeypatch.setattr(client.sys, "executable", str(made.program))
    return made


@pytest.fixture
def artifacts(tmp_path: Path) -> Iterator[Artifacts]:
    with closing(Artifacts(tmp_path / "cache", "http://127.0.0.1:9")) as made:
        yield made


def test_a_small_file_that_does_not_come_is_given_up(
    hanging: HangingClient, artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SMALL_SECONDS", 0.5)
    with pytest.raises(ArtifactUnreachable, match=r"MLflow's client took longer than 0.5 s"):
        artifacts.read_file(URI, "serving.yaml")
    assert hanging.ended()


def test_the_end_of_the_reader_ends_its_client_although_the_cache_stays_open(
    hanging: HangingClient, artifacts: Artifacts, tmp_path: Path
) -> None:
    with closing(SmallFiles(artifacts, tmp_path / "small")) as files:
        assert files.ensure(VERSION, URI).phase == "running"
        assert not hanging.ended()
    assert hanging.ended()
