"""What a killed run of tests left behind is ended, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from lanes import sweeping
from support.run.process import lives
from support.run.wait import wait_for

from stack.supervision.processes import end_all

STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes of a run that is no more, of one that lives, and of nobody."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    made = []
    for run in (dead.pid, os.getpid(), None):
        env = {k: v for k, v in os.environ.items() if k != sweeping.MARK}
        env |= {} if run is None else {sweeping.MARK: f"{run}:"}
        made.append(subprocess.Popen([sys.executable, "-c", STUBBORN], env=env, stdout=-1))
        assert made[-1].stdout
        made[-1].stdout.readline()
    yield made
    for each in made:
        each.kill()
        each.communicate()


def test_only_what_a_dead_run_left_is_ended_even_if_it_does_not_want_to(
    started: list[subprocess.Popen[bytes]],
) -> None:
    left, ours, nobodys = started
    assert left.pid in [each.pid for each in sweeping.left_behind()]
    end_all(sweeping.left_behind, 1.0)
    wait_for(lambda: not lives(left.pid), "its end")
    assert lives(ours.pid)
    assert lives(nobodys.pid)
    assert [each.pid for each in sweeping.of_this_run()] == [ours.pid]
