"""In: the folder of model servers' logs. Out: a predictor's last lines, replica by replica."""

from __future__ import annotations

from pathlib import Path


def read(folder: Path, predictor: str, lines: int) -> str:
    """The last lines of each replica's log, headed by its name if there are several; "" if none.

    What runs a model may write to the folder, in a container that holds less than ours: a link in
    it would have us show a file that it cannot read itself, and is no log.
    """
    files = [folder / f"{predictor}.log", *sorted(folder.glob(f"{predictor}.*.log"))]
    found = {
        file.stem: _tail(file, lines) for file in files if file.is_file() and not file.is_symlink()
    }
    if len(found) == 1:
        return next(iter(found.values()))
    return "".join(f"==> {replica} <==\n{text}" for replica, text in found.items())


def _tail(file: Path, lines: int) -> str:
    return "".join(file.read_text(errors="replace").splitlines(keepends=True)[-lines:])
