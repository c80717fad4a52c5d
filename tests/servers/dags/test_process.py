import os
import re
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from support.run.process import lives
from support.run.wait import wait_for

from dags.process import GRACE_SECONDS, Process, run

PYTHON = sys.executable


def unheard(line: str) -> None:
    """A log that nobody reads."""


@pytest.fixture
def start(tmp_path):
    def command(code, *, environment=None):
        return Process(
            [PYTHON, "-c", code],
            environment=environment or {"PATH": os.environ["PATH"]},
            directory=tmp_path,
        )

    return command


# Starts a child and a grandchild in a session of its own, writes the pids, then does what is asked.
FAMILY = """
import os, signal, subprocess, sys, time
{before}
child = subprocess.Popen([sys.executable, '-c', {child!r}])
stranger = subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)
open('pids.new', 'w').write(f'{{os.getpid()}} {{child.pid}} {{stranger.pid}}')
os.rename('pids.new', 'pids')
{after}
"""
SLEEPER = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def family(child=SLEEPER, before="", after="time.sleep(600)"):
    return FAMILY.format(child=child, before=before, after=after)


def pids_of(folder):
    wait_for((folder / "pids").exists, "the processes of the step")
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def test_lines_come_one_by_one_as_they_are_written(start, tmp_path):
    seen = []
    code = """
import os, sys, time
print('one', flush=True)
while not os.path.exists('go'): time.sleep(0.01)
print('two', file=sys.stderr)
"""
    with start(code) as process:

        def log(line):
            seen.append(line)
            (tmp_path / "go").touch()  # the second line is written only after the first was seen

        ended = process.follow(log)
    assert seen == ["one", "two"]
    assert ended.exit_code == 0


def test_only_the_last_lines_are_kept_and_odd_bytes_do_no_harm(start):
    code = """
import sys
for number in range(50): print(number)
sys.stdout.flush()
sys.stdout.buffer.write(b'\\xff!\\n')
exit(3)
"""
    with start(code) as process:
        ended = process.follow(unheard)
    assert ended.exit_code == 3
    assert ended.last_lines.split("\n") == [str(i) for i in range(31, 50)] + ["\ufffd!"]


def test_a_command_that_does_not_exist_ends_with_127(tmp_path):
    ended = run(["no-such-program"], environment={}, directory=tmp_path, log=unheard)
    assert ended.exit_code == 127
    assert "no-such-program" in ended.last_lines


def test_a_signal_is_told_by_the_exit_code(start):
    with start("import os; os.kill(os.getpid(), 9)") as process:
        assert process.follow(unheard).exit_code == 128 + 9


def test_the_environment_is_exactly_what_was_given(start):
    code = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"
    with start(code, environment={"ONLY": "this"}) as process:
        assert process.follow(unheard).last_lines == "['ONLY']"


def test_what_a_command_leaves_running_is_ended_with_it(start, tmp_path):
    with start(family(after="")) as process:
        assert process.follow(unheard).exit_code == 0
    assert not [pid for pid in pids_of(tmp_path) if lives(pid)]


def test_stop_ends_every_process_of_the_command(start, tmp_path):
    with start(family()) as process:
        pids = pids_of(tmp_path)
        process.stop()
        assert process.follow(unheard).exit_code == 128 + signal.SIGTERM
    assert not [pid for pid in pids if lives(pid)]


def test_a_command_that_ignores_stop_is_asked_and_then_killed(start, tmp_path):
    ignore = "signal.signal(signal.SIGTERM, lambda *_: open('asked', 'w').close())"
    with start(family(child=STUBBORN, before=ignore)) as process:
        pids = pids_of(tmp_path)
        process.stop()
        assert process.follow(unheard).exit_code == 128 + signal.SIGKILL
    assert (tmp_path / "asked").exists()
    assert not [pid for pid in pids if lives(pid)]


def test_a_command_has_less_time_to_end_than_airflow_gives_a_task():
    sdk = metadata.distribution("apache-airflow-task-sdk")
    source = sdk.locate_file("airflow/sdk/execution_time/supervisor.py").read_text()
    [patience] = set(re.findall(r"escalation_delay: float = ([0-9.]+)", source))
    assert float(patience) > GRACE_SECONDS


def test_leaving_the_block_by_an_error_ends_the_command(start, tmp_path):
    def interrupted():
        with start(family()):
            pids_of(tmp_path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not [pid for pid in pids_of(tmp_path) if lives(pid)]


def test_a_killed_task_leaves_no_process(tmp_path):
    task = f"""
import os, sys
from pathlib import Path
from dags.process import run
command = [sys.executable, '-c', {family()!r}]
run(command, environment=dict(os.environ), directory=Path.cwd(), log=print)
"""
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root}
    with subprocess.Popen([PYTHON, "-c", task], cwd=tmp_path, env=environment) as process:
        pids = pids_of(tmp_path)
        assert all(lives(pid) for pid in pids)
        process.kill()
    wait_for(lambda: not [pid for pid in pids if lives(pid)], "the end of its processes")
