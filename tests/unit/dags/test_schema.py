import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from dags.project import schema

ROOT = Path(__file__).parents[3]
VALIDATOR = Draft202012Validator(json.loads(schema.text()))


def test_the_published_schema_is_current():
    assert (ROOT / schema.PUBLISHED).read_text() == schema.text(), (
        "run: python -m dags.project.schema"
    )


@pytest.mark.parametrize(
    "project",
    sorted(p for each in ("*", "sentiment/*") for p in ROOT.glob(f"examples/{each}/project.yaml")),
    ids=str,
)
def test_the_examples_follow_the_schema(project):
    VALIDATOR.validate(yaml.safe_load(project.read_text()))


def test_an_unknown_field_breaks_the_schema():
    good = {"name": "a", "owner": "b", "steps": {"only": {"command": "x"}}}
    VALIDATOR.validate(good)
    with pytest.raises(ValidationError):
        VALIDATOR.validate({**good, "sheduel": "@daily"})
