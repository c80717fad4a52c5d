"""Model servers in another container: their supervisord is asked, and never started from here."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.run.process import lives
from support.run.wait import wait_for

from stack.supervision.program import Program
from stack.supervision.supervisor import SERVING, Supervisor, SupervisorUnavailable


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts what the container's first process is, any number of times."""
    started = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "stack.supervision.servers"],
            env=os.environ | {"SCHNITZEL_HOME": str(tmp_path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    Supervisor(tmp_path / "serving", SERVING).shutdown()


@pytest.fixture
def deployer(tmp_path: Path) -> Supervisor:
    return Supervisor(tmp_path / "serving", SERVING, elsewhere=True)


def test_what_the_deployer_puts_runs_there_and_again_after_a_restart(
    container: Callable[[], subprocess.Popen[bytes]],
    deployer: Supervisor,
    program: Callable[..., Program],
) -> None:
    first = container()
    wait_for(deployer.alive)
    assert not deployer.ensure()
    deployer.put(program("one"))
    deployer.put(program("two"))
    pid = wait_for(lambda: deployer.processes()["one"].pid)
    deployer.remove("two", grace=1)
    assert set(deployer.processes()) == {"one"}

    first.terminate()
    first.wait(timeout=60)
    wait_for(lambda: not lives(pid))
    container()
    wait_for(deployer.alive)
    assert wait_for(lambda: deployer.processes()["one"].pid) != pid


def test_one_that_is_away_is_not_started_from_here(deployer: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(SupervisorUnavailable, match="does not answer"):
        deployer.ensure()
    assert not (tmp_path / "serving").exists()


def test_the_container_says_whether_it_is_well(
    container: Callable[[], subprocess.Popen[bytes]],
    tmp_path: Path,
    deployer: Supervisor,
) -> None:
    def check() -> int:
        return subprocess.run(
            [sys.executable, "-m", "stack.supervision.servers", "check"],
            env=os.environ | {"SCHNITZEL_HOME": str(tmp_path)},
            check=False,
        ).returncode

    assert check() == 1
    container()
    wait_for(deployer.alive)
    assert check() == 0


def test_a_link_in_the_shared_folder_has_nothing_else_written_to(
    tmp_path: Path, deployer: Supervisor, program: Callable[..., Program]
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    folder = tmp_path / "serving"
    (folder / "locks").mkdir(parents=True)
    for name in ("lock", *(f"locks/{number}" for number in range(64))):
        (folder / name).symlink_to(precious)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        deployer.put(program("one"))
    assert precious.read_text() == "kept"
