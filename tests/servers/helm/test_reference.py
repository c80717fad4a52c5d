"""values.yaml, values.schema.json and README.md of a chart say the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]


def run(folder):
    command = [sys.executable, "helm/reference.py", "--check"]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)


def test_readmes_and_schemas_are_as_the_comments_say():
    done = run(ROOT)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def copy(tmp_path):
    """The charts and their reference, to be spoilt."""
    from shutil import copytree

    copytree(ROOT / "helm", tmp_path / "helm")
    copytree(ROOT / "docs" / "reference", tmp_path / "docs" / "reference")
    return tmp_path


def told(folder):
    done = run(folder)
    assert done.returncode == 1
    return done.stderr


def test_a_changed_comment_makes_the_readme_stale(copy):
    path = copy / "helm" / "model-server" / "values.yaml"
    path.write_text(path.read_text().replace("# -- How many GPUs.", "# -- How many of them."))
    assert "README.md is stale: run `make charts`" in told(copy)


def test_a_value_without_a_schema_is_named(copy):
    path = copy / "helm" / "model-server" / "values.yaml"
    path.write_text(path.read_text() + "\n# -- New.\nbrandNew: 1\n")
    assert "brandNew is in only one of values.yaml and values.schema.json" in told(copy)


def test_a_value_without_a_comment_is_named(copy):
    path = copy / "helm" / "schnitzel" / "values.yaml"
    path.write_text(path.read_text().replace("  # -- The port of the API.\n", ""))
    assert "no comment stands above service.port" in told(copy)


def test_a_part_that_lets_unknown_fields_in_is_named(copy):
    path = copy / "helm" / "model-server" / "values.schema.json"
    schema = json.loads(path.read_text())
    del schema["properties"]["env"]["items"]["additionalProperties"]
    path.write_text(json.dumps(schema))
    assert "env/items lets unknown fields in" in told(copy)


@pytest.mark.parametrize("chart", ["model-server", "schnitzel", "seldon", "tfserving"])
def test_what_a_chart_has_by_default_its_own_schema_takes(charts, chart, folder):
    import fastjsonschema

    schema = json.loads((folder / chart / "values.schema.json").read_text())
    values = yaml.safe_load((folder / chart / "values.yaml").read_text())
    fastjsonschema.compile(schema)(values)
