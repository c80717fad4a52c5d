"""values.yaml, values.schema.json and README.md of a chart say the same."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]


def check(folder):
    """The exit code of `python helm/reference.py --check` in a folder."""
    spec = spec_from_file_location("reference", folder / "helm" / "reference.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(["--check"])


def test_readmes_and_schemas_are_as_the_comments_say(capsys):
    assert check(ROOT) == 0, capsys.readouterr().err


@pytest.fixture
def copy(tmp_path):
    """The charts and their reference, to be spoilt."""
    from shutil import copytree

    copytree(ROOT / "helm", tmp_path / "helm")
    copytree(ROOT / "docs" / "reference", tmp_path / "docs" / "reference")
    return tmp_path


@pytest.fixture
def told(copy, capsys):
    """What the check says of the spoilt charts."""

    def say():
        assert check(copy) == 1
        return capsys.readouterr().err

    return say


def test_a_changed_comment_makes_the_readme_stale(copy, told):
    path = copy / "helm" / "model-server" / "values.yaml"
    path.write_text(path.read_text().replace("# -- How many GPUs.", "# -- How many of them."))
    assert "README.md is stale: run `make charts`" in told()


def test_a_value_without_a_schema_is_named(copy, told):
    path = copy / "helm" / "model-server" / "values.yaml"
    path.write_text(path.read_text() + "\n# -- New.\nbrandNew: 1\n")
    assert "brandNew is in only one of values.yaml and values.schema.json" in told()


def test_a_value_without_a_comment_is_named(copy, told):
    path = copy / "helm" / "schnitzel" / "values.yaml"
    path.write_text(path.read_text().replace("  # -- The port of the API.\n", ""))
    assert "no comment stands above service.port" in told()


def test_a_part_that_lets_unknown_fields_in_is_named(copy, told):
    path = copy / "helm" / "model-server" / "values.schema.json"
    schema = json.loads(path.read_text())
    del schema["properties"]["env"]["items"]["additionalProperties"]
    path.write_text(json.dumps(schema))
    assert "env/items lets unknown fields in" in told()


@pytest.mark.parametrize("chart", ["model-server", "schnitzel", "seldon", "tfserving"])
def test_what_a_chart_has_by_default_its_own_schema_takes(charts, chart, folder):
    import fastjsonschema

    schema = json.loads((folder / chart / "values.schema.json").read_text())
    values = yaml.safe_load((folder / chart / "values.yaml").read_text())
    fastjsonschema.compile(schema)(values)
