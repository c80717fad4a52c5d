"""Write the JSON Schema of project.yaml: `python -m dags.project.schema [FILE]`."""

import json
import sys
from pathlib import Path

from dags.project.definition import Project

PUBLISHED = Path("docs/reference/project.schema.json")


def text() -> str:
    """Render the schema for publication, for editors and for `schnitzel project check`."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema = dialect | Project.model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else PUBLISHED).write_text(text(), encoding="utf-8")
