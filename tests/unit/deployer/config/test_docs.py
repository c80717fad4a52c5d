"""What the pages show can be used as it stands."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deployer.config.sections import PlatformFile
from deployer.config.services import Broker
from deployer.schema import yaml_text
from deployer.spec.model import ServingSpec
from deployer.spec.resolve import Limits, parse_serving_file, resolve

DOCS = Path(__file__).resolve().parents[4] / "docs"


def blocks(page: str) -> list[tuple[str, str]]:
    """The YAML blocks of a page: what follows the word yaml, and the text."""
    return re.findall(r"(?ms)^```yaml([^\n]*)\n(.*?)^```", (DOCS / page).read_text())


def schema(name: str) -> jsonschema.Draft202012Validator:
    text = (DOCS / "reference" / f"{name}.schema.json").read_text()
    return jsonschema.Draft202012Validator(json.loads(text))


SPECS = [text for info, text in blocks("guides/serving-spec.md") if "platform" not in info]


def test_the_guide_shows_every_field() -> None:
    shown: set[str] = set()
    for text in SPECS:
        shown |= names(parse_serving_file(text))
    every = names(ServingSpec().model_dump()) | {"autoscaling.max", "autoscaling.min"}
    assert every - shown <= {"runtime"}, "docs/guides/serving-spec.md shows no example of these"


@pytest.mark.parametrize("text", SPECS)
def test_each_example_of_the_guide_is_a_serving_file_that_its_operator_allows(text: str) -> None:
    (allowed,) = [t for info, t in blocks("guides/serving-spec.md") if "platform" in info]
    limits = Limits.model_validate(yaml_text.load(allowed).values["limits"])
    resolve([("serving.yaml", parse_serving_file(text))], limits)
    schema("serving").validate(yaml_text.load(text).values)


def test_the_settings_page_shows_the_defaults_and_a_whole_cluster() -> None:
    found = [yaml_text.load(text).values for _, text in blocks("reference/settings.md")]
    first, second, third = found
    shown = PlatformFile.model_validate(first)
    assert shown == PlatformFile()
    assert names(PlatformFile().model_dump(mode="json")) - names(first) <= {
        f"environments.staging.{name}"
        for name in names(shown.environments["prod"].model_dump(mode="json"))
    }
    cluster = PlatformFile.model_validate(second).clusters["team"]
    assert names(cluster.model_dump(mode="json")) <= names(second["clusters"]["team"])
    broker = PlatformFile.model_validate(third).brokers["default"]
    assert broker == Broker(url_ref=broker.url_ref)
    assert names(broker.model_dump(mode="json")) <= names(third["brokers"]["default"])
    for document in found:
        schema("platform").validate(document)


def names(fields: dict[str, Any], prefix: str = "") -> set[str]:
    """Every dotted field of nested mappings, the sections included."""
    found = set()
    for name, value in fields.items():
        found.add(f"{prefix}{name}")
        if isinstance(value, dict):
            found |= names(value, f"{prefix}{name}.")
    return found
