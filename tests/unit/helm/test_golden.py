"""What each case renders to, in full: a change of it is a change that somebody looks at.

After such a change: `UPDATE_GOLDEN=1 pytest tests/unit/helm/test_golden.py`, and read the diff.
"""

import os
from pathlib import Path

import yaml

HERE = Path(__file__).parent


class Dumper(yaml.SafeDumper):
    """Texts of several lines as such."""


def as_block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, as_block)


def test_a_case_renders_to_what_was_agreed(render, chart, case):
    golden = HERE / "golden" / chart / f"{case}.yaml"
    text = yaml.dump_all(
        render(chart, case), Dumper=Dumper, sort_keys=False, width=100, allow_unicode=True
    )
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert golden.read_text() == text
