"""Read the last log lines of a predictor, replica by replica."""

from __future__ import annotations

from pathlib import Path


def read(folder: Path, predictor: str, lines: int) -> str:
    """Read the last lines of each replica's log; "" without logs.

    Several logs are headed by the names of their replicas. The process that runs a model may write
    to the folder, in a container that holds less than ours: a symbolic link there would show a file
    that the process itself cannot read, so `read` skips links.
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
