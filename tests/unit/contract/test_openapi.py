"""The API's schema is pinned in openapi.json: a change to it is seen, and made on purpose.

python tests/unit/contract/test_openapi.py    # write the schema anew after a change to the API
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from deployer.api import app
from deployer.controller.metrics import Metrics

PINNED = Path(__file__).parents[2] / "contract" / "openapi.json"


def schema() -> dict[str, Any]:
    # The schema is made of the routes alone; nothing of the engine is asked.
    controller: Any = SimpleNamespace(metrics=Metrics(), context=None)
    found: dict[str, Any] = app.make(controller, Path("tokens.json"), "", ["localhost"]).openapi()
    return found


def text() -> str:
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


def test_the_api_s_schema_is_the_pinned_one():
    assert json.loads(PINNED.read_text()) == schema(), (
        "the API's schema changed; if that is meant: python tests/unit/contract/test_openapi.py"
    )


def test_every_answer_s_shape_is_in_the_schema():
    unsaid = []
    for path, methods in schema()["paths"].items():
        for method, operation in methods.items():
            content = operation["responses"]["200"].get("content", {})
            shape = content.get("application/json", {}).get("schema", {})
            if path.startswith("/api/") and "text/plain" not in content and "$ref" not in shape:
                unsaid.append(f"{method} {path}")
    assert not unsaid


def test_the_pages_are_no_part_of_the_api():
    assert {path.split("/")[1] for path in schema()["paths"]} == {
        "api", "healthz", "metrics", "readyz", "webhooks",
    }  # fmt: skip


if __name__ == "__main__":
    PINNED.write_text(text())
