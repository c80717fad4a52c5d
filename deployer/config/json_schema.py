"""Render the published JSON Schemas of serving.yaml and platform.yaml."""

import json
from typing import Any, Final

from pydantic import BaseModel

from deployer.config.sections import PlatformFile
from deployer.spec.model import ServingSpec

SCHEMAS: Final[dict[str, type[BaseModel]]] = {"platform": PlatformFile, "serving": ServingSpec}
"""The models by the name of their schema, which is kept in docs/reference/NAME.schema.json."""


def render(name: str) -> str:
    """Render a schema for publication: JSON Schema 2020-12, ending with a line break."""
    schema = _bounded(SCHEMAS[name].model_json_schema())
    published = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"{name}.yaml",
    }
    return json.dumps(published, indent=2, ensure_ascii=False) + "\n"


_BOUNDS: Final = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
}


def _bounded(schema: Any) -> Any:
    """Move a bound of a duration or quantity to the number, as it does not hold for the text."""
    if isinstance(schema, list):
        return [_bounded(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _bounded(value) for key, value in schema.items() if key not in _BOUNDS}
    bounds = {name: schema[key] for key, name in _BOUNDS.items() if key in schema}
    if bounds:
        plain["anyOf"] = [
            choice if choice["type"] == "string" else choice | bounds for choice in plain["anyOf"]
        ]
        for choice in plain["anyOf"]:
            if "exclusiveMinimum" in choice:
                choice.pop("minimum", None)
    return plain
