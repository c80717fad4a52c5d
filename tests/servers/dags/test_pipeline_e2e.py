"""DAG runs that go wrong, by the real Airflow, end well and leave nothing behind."""

from support.fixtures.pipelines import run, runs, start
from support.run.process import lives
from support.run.wait import wait_for

# Leaves two processes behind it if it is not ended well: a child, and one in a session of its own.
LINGERING = """
import os, subprocess, sys, time
sleep = [sys.executable, '-c', 'import time; time.sleep(600)']
pids = [os.getpid(), *(subprocess.Popen(sleep, start_new_session=s).pid for s in (False, True))]
print('still here', flush=True)
with open('pids.new', 'w') as file: file.write(' '.join(map(str, pids)))
os.rename('pids.new', 'pids')
time.sleep(600)
"""
LINGERS = """
    name: lingers
    owner: someone
    steps:
      linger: {command: python linger.py, timeout: TIMEOUT}
      after: {command: python -c 1, needs: [linger]}
"""


def test_a_step_that_takes_too_long_fails_the_run_and_leaves_no_process(
    airflow, mlflow, register_here, make_project
):
    folder = make_project(LINGERS.replace("TIMEOUT", "10s"), "lingers", linger__py=LINGERING)
    register_here(folder)
    log = run(airflow, "lingers")
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]
    assert len(pids) == 3
    assert not [pid for pid in pids if lives(pid)]
    assert "still here" in log
    assert "AirflowTaskTimeout" in log
    assert "failed: after, linger" in log
    assert runs(mlflow, "lingers")[0]["info"]["status"] == "FAILED"


def test_a_killed_airflow_leaves_no_process_of_a_step(airflow, register_here, make_project):
    folder = make_project(LINGERS.replace("TIMEOUT", "1h"), "lingers", linger__py=LINGERING)
    register_here(folder)
    with start(airflow, "lingers") as process:
        wait_for((folder / "pids").exists, "the step")
        pids = [int(pid) for pid in (folder / "pids").read_text().split()]
        assert all(lives(pid) for pid in pids)
        process.kill()
        process.communicate(timeout=60)
    wait_for(lambda: not [pid for pid in pids if lives(pid)], "the end of the step")
