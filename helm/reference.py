"""In: each chart's values.yaml with its comments. Out: its README's table, its schema's texts.

    python helm/reference.py [--check]

values.yaml says what a value means and what it is by default, values.schema.json what it may be.
This carries the first into the second and both into README.md, and refuses a value that only one
of them knows. The chart schnitzel also takes docs/reference/platform.schema.json, which must be
current before. With --check nothing is written, and a stale file is a failure.
"""

# ruff: noqa: INP001 - run by path

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HELM = Path(__file__).parent
SETTINGS = HELM.parent / "docs" / "reference" / "platform.schema.json"
KEY = re.compile(r"( *)([A-Za-z]\w*):")
COMMENT = re.compile(r" *# ?(?:-- )?(.*)")
TABLE = re.compile(r"(<!-- values: by make charts -->\n).*(<!-- end of values -->\n)", re.DOTALL)

Schema = dict[str, Any]


class Stale(Exception):  # noqa: N818 - named for what it is
    """What a chart says of its values does not hold together."""


def comments(text: str) -> dict[str, str]:
    """What the comment right above each key says, by the key's dotted path."""
    found, above, path = {}, list[str](), list[tuple[int, str]]()
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            above.append(COMMENT.fullmatch(line)[1].strip())  # type: ignore[index]
            continue
        if key := KEY.match(line):
            path = [(depth, name) for depth, name in path if depth < len(key[1])]
            path.append((len(key[1]), key[2]))
            if above:
                found[".".join(name for _, name in path)] = " ".join(above)
        above = []
    return found


def describe(schema: Schema, values: dict[str, Any], said: dict[str, str], at: str = "") -> None:
    """Put description and default into each property that values.yaml has.

    Raises:
        Stale: one of them has a value that the other lacks, or that nothing is said of.
    """
    properties = schema["properties"]
    if extra := sorted(set(values) ^ set(properties)):
        raise Stale(f"{at}{extra[0]} is in only one of values.yaml and values.schema.json")
    for name, value in values.items():
        place = f"{at}{name}"
        if place not in said:
            raise Stale(f"no comment stands above {place} in values.yaml")
        rest = {k: v for k, v in properties[name].items() if k not in ("description", "default")}
        properties[name] = {"description": said[place]} | rest
        if isinstance(value, dict) and "properties" in rest:
            describe(properties[name], value, said, f"{place}.")
        else:
            properties[name]["default"] = value


def check(schema: Any, at: str = "values") -> None:
    """Raises: Stale: somewhere unknown fields are let in, or a property is not described."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            check(item, f"{at}[{index}]")
    if not isinstance(schema, dict):
        return
    for name, item in schema.items():
        if name in ("not", "oneOf", "default", "examples"):
            continue
        if name == "properties" and isinstance(item, dict):
            for field, its in item.items():
                if "description" not in its and "$ref" not in its:
                    raise Stale(f"nothing is said of {at}.{field}")
                check(its, f"{at}.{field}")
            if schema.get("additionalProperties", True) is True:  # a schema of theirs is one, too
                raise Stale(f"{at} lets unknown fields in")
        else:
            check(item, f"{at}/{name}")


def rows(schema: Schema, at: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Path, kind, default and meaning of each value."""
    for name, its in schema.get("properties", {}).items():
        place = f"{at}{name}"
        if "default" in its or "properties" not in its:
            default = f"`{json.dumps(its['default'])}`" if "default" in its else ""
            yield f"`{place}`", kind(its), default, its["description"]
        inner = its.get("items", its)
        yield from rows(inner, f"{place}[]." if "items" in its else f"{place}.")


def kind(schema: Schema) -> str:
    """What a value may be, in short."""
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if "$ref" in schema:
        return "object"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    names = [f"list of {kind(schema['items'])}" if t == "array" else t for t in types]
    return " or ".join(names)


def update(chart: Path) -> dict[Path, str]:
    """What the files of a chart should be. Raises: Stale."""
    text = (chart / "values.yaml").read_text()
    path = chart / "values.schema.json"
    schema = json.loads(path.read_text())
    if "$defs" in schema:  # the schema of platform.yaml, which the Deployer prints
        settings = json.loads(SETTINGS.read_text())
        definitions = settings.pop("$defs")
        settings.pop("$schema", None)
        schema["$defs"] = definitions | {"PlatformFile": settings}
    describe(schema, yaml.safe_load(text), comments(text))
    check(schema)
    table = ["| Value | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    table += ["| " + " | ".join(c.replace("|", r"\|") for c in row) + " |" for row in rows(schema)]
    readme = chart / "README.md"
    lines = "\n".join(table)
    written, count = TABLE.subn(lambda m: f"{m[1]}{lines}\n{m[2]}", readme.read_text())
    if count != 1:
        raise Stale(f"{readme.name} has no place for the table of values")
    return {path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n", readme: written}


def main(arguments: list[str]) -> int:
    """0 if all is, or was made, as it should be."""
    status = 0
    for chart in sorted(path.parent for path in HELM.glob("*/Chart.yaml")):
        try:
            files = update(chart)
        except Stale as error:
            sys.stderr.write(f"helm/{chart.name}: {error}\n")
            return 1
        for path, text in files.items():
            if path.read_text() == text:
                continue
            if "--check" in arguments:
                sys.stderr.write(f"helm/{chart.name}/{path.name} is stale: run `make charts`\n")
                status = 1
            else:
                path.write_text(text)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
