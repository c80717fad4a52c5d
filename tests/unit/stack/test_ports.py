import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.run.ports import free_port

from stack import ports
from stack.errors import PortError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_free_port_is_taken_as_wanted_and_recorded(tmp_path: Path) -> None:
    path, want = tmp_path / "ports.json", free_port()
    assert ports.choose({"mlflow": want}, path, ()) == ({"mlflow": want}, [])
    assert json.loads(path.read_text()) == {"mlflow": want}


def test_a_taken_port_is_replaced_by_the_next_free_one_and_said(tmp_path: Path, taken: int) -> None:
    chosen, notices = ports.choose({"mlflow": taken}, tmp_path / "ports.json", ())
    assert chosen["mlflow"] > taken
    assert notices == [f"Port {taken} is taken: mlflow is on port {chosen['mlflow']} instead."]


def test_a_recorded_port_is_kept_so_that_urls_last(tmp_path: Path) -> None:
    path, want = tmp_path / "ports.json", free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", want))
        other.listen()
        first, _ = ports.choose({"mlflow": want}, path, ())
    assert ports.is_free(want)
    assert ports.choose({"mlflow": want}, path, ())[0] == first


def test_our_own_port_is_not_taken_from_us(tmp_path: Path, taken: int) -> None:
    path = tmp_path / "ports.json"
    path.write_text(json.dumps({"mlflow": taken}))
    assert ports.choose({"mlflow": taken}, path, ("mlflow",)) == ({"mlflow": taken}, [])


def test_a_port_newly_wanted_replaces_the_recorded_one(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    ports.choose({"mlflow": free_port()}, path, ())
    new = free_port()
    assert ports.choose({"mlflow": new}, path, ("mlflow",)) == ({"mlflow": new}, [])


def test_a_replacement_is_no_port_that_another_listener_wants(tmp_path: Path, taken: int) -> None:
    wanted = {"gateway": taken, "gateway_api": taken + 1, "mlflow": taken + 2}
    chosen, _ = ports.choose(wanted, tmp_path / "ports.json", ())
    assert len(set(chosen.values())) == 3
    assert chosen["gateway"] > taken + 2


def test_a_port_of_one_that_is_not_started_stays_on_record(tmp_path: Path) -> None:
    path, one, two = tmp_path / "ports.json", free_port(), free_port()
    ports.choose({"mlflow": one}, path, ())
    ports.choose({"gateway": two}, path, ())
    assert ports.recorded(path) == {"mlflow": one, "gateway": two}


@pytest.mark.parametrize(
    ("name", "variable"), [("mlflow", "MLFLOW__PORT"), ("gateway_api", "GATEWAY__API_PORT")]
)
def test_no_free_port_at_all_is_said_with_a_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int, name: str, variable: str
) -> None:
    monkeypatch.setattr(ports, "TRIES", 1)
    with pytest.raises(PortError) as caught:
        ports.choose({name: taken}, tmp_path / "ports.json", ())
    assert f"SCHNITZEL_{variable}=" in caught.value.hint


def test_a_torn_record_counts_as_none(tmp_path: Path) -> None:
    path, want = tmp_path / "ports.json", free_port()
    path.write_text('{"mlflow": ')
    assert ports.choose({"mlflow": want}, path, ())[0] == {"mlflow": want}
