import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def check(folder):
    command = [sys.executable, "-m", "dags", "check", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_good_project_is_described_as_json():
    done = check(ROOT / "examples" / "angler")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["name"], found["model"], found["owner"]) == ("angler", "angler", "web-safety")
    assert [step["name"] for step in found["steps"]][:2] == ["prepare", "train"]
    assert found["steps"][1]["needs"] == ["prepare"]


def test_a_bad_project_ends_with_2_and_a_hint(make_project):
    done = check(make_project("name: tiny\nowner: me\nsteps: {a: {command: ''}}\n"))
    assert done.returncode == 2
    assert done.stdout == ""
    error, _, hint = done.stderr.partition("\n\nhint: ")
    assert error.startswith("error: ")
    assert "project.yaml: steps.a.command" in error
    assert hint.startswith("correct it")
