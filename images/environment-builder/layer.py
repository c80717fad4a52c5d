# ruff: noqa: INP001 - run by its path, in the environment builder's image
"""Write a folder as a tar stream that depends on its files' names and contents only."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import IO


def write(folder: Path, into: IO[bytes]) -> int:
    """Write `folder` under its own absolute name: sorted, owned by root, of one time.

    Returns the sum of the files' sizes in bytes.
    """
    size = 0
    with tarfile.open(fileobj=into, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted([folder, *folder.rglob("*")], key=os.fsencode):
            info = tarfile.TarInfo(str(path).lstrip("/"))
            if path.is_symlink():
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
                tar.addfile(info)
            elif path.is_dir():
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
            elif path.is_file():
                status = path.stat()
                info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
                size += info.size
                with path.open("rb") as file:
                    tar.addfile(info, file)
    return size
