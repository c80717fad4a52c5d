"""A private authority for tests, and a certificate of it."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make(folder: Path, name: str, authority: str = "Tests") -> dict[str, Path]:
    """Make `ca.crt`, `server.crt` and `server.key`, for a name such as DNS:localhost."""
    (folder / "names").write_text(f"subjectAltName={name}\n")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    sign = ["openssl", "x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key"]
    for command in (
        [*new, "-x509", "-subj", f"/CN={authority}", "-keyout", "ca.key", "-out", "ca.crt"],
        [*new, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr"],
        [
            *(*sign, "-CAcreateserial", "-extfile", "names"),
            *("-in", "server.csr", "-out", "server.crt"),
        ],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return {name: folder / name for name in ("ca.crt", "server.crt", "server.key")}
