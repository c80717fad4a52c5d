import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dags.projects import dags_of

ROOT = Path(__file__).parents[3]
SENTIMENT = ("language", "sentiment-da", "sentiment-en")


@pytest.fixture
def dags(home, make_project, register_project):
    """The DAGs of one project: its project.yaml's text, and more files."""

    def make(text, **files):
        register_project(make_project(text, **files), "tiny")
        return dags_of(home / "projects" / "tiny.json")

    return make


PARSE = """
import json, socket, sys

def no_network(*arguments): raise AssertionError("the network was used while parsing")
socket.socket.connect = no_network

from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(sys.argv[1], collect_dags=False)
before = set(sys.modules)
bag.collect_dags(sys.argv[1])
print(json.dumps({
    "dags": {i: sorted(d.task_dict) for i, d in bag.dags.items()},
    "errors": bag.import_errors,
    "heavy": sorted({m.partition(".")[0] for m in sys.modules}
                    & {"mlflow", "pandas", "numpy", "tensorflow", "sklearn", "httpx_ws", "uv"}),
    "serialized": {i: len(json.dumps(DagSerialization.to_dict(d))) for i, d in bag.dags.items()},
}))
"""


def test_airflow_parses_the_examples_with_nothing_heavy_and_no_network(
    home, tmp_path, register_project, make_project
):
    examples = ("angler", "iris-forest", *(f"sentiment/{name}" for name in SENTIMENT))
    for folder in examples:
        register_project(ROOT / "examples" / folder, Path(folder).name)
    register_project(make_project("name: tiny\n"), "tiny")
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "schnitzel_projects.py").write_text(
        '"""An Airflow DAG for each registered project."""\n'
        "from dags.projects import register\nregister(globals())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path / "airflow")}
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == {}
    assert found["heavy"] == []
    assert found["dags"]["tiny"] == ["check_project"]
    steps = ["end_run", "evaluate", "gate", "prepare", "promote", "register", "start_run", "train"]
    names = {"angler", "iris-forest", *SENTIMENT}
    assert {name: found["dags"][name] for name in names} == dict.fromkeys(names, steps)
    assert set(found["serialized"]) == {*names, "tiny"}
