"""Each stand-in says, of each of its parts, how far it is the real one."""

import pytest
from support import ROOT

FOLDERS = sorted(
    path for path in (ROOT / "tests/standins").iterdir() if path.is_dir() and path.name[0] != "_"
)
SMALL = {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_its_page_names_each_part(folder):
    page = (folder / "FIDELITY.md").read_text()
    parts = {path.name for path in folder.glob("*.py")} - SMALL
    parts |= {f"{path.parent.name}/" for path in folder.glob("*/Dockerfile")}
    parts |= {path.name for path in folder.glob("recorded/*")}
    assert parts
    assert {part for part in parts if f"`{part}`" not in page} == set()
