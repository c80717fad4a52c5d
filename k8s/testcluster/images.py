"""Build the two images that all others are built on, with debootstrap and a binary of ours.

No image is pulled from anywhere. Both are kept as archives of the form that `docker save` writes,
which docker, containerd and crane read.
"""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testcluster.console import step
from testcluster.errors import ClusterError
from testcluster.layout import Layout
from testcluster.locks import locked

BASE = "localhost/base:bookworm"
BASE_USUALLY = "2 min"
_PACKAGES = "python3,python3-venv,ca-certificates"
# What an image of servers does not need; a third of debootstrap's result.
_LEFT_OUT = (
    *("./var/cache/apt/*", "./var/lib/apt/lists/*", "./var/log/*", "./usr/share/doc/*"),
    *("./usr/share/man/*", "./usr/share/locale/*", "./usr/share/info/*", "./dev/*"),
)


def ensure_base(cache: Path) -> None:
    """Make the base image's archive if it is not in the cache."""
    archive = base_archive(cache)
    if archive.exists():
        return
    with locked(cache / "locks/base"):
        if not archive.exists():
            with step("making the base image with debootstrap", BASE_USUALLY):
                _make_base(archive)


def base_archive(cache: Path) -> Path:
    """Where the base image is kept."""
    digest = hashlib.sha256(repr((_PACKAGES, _LEFT_OUT)).encode()).hexdigest()[:12]
    return cache / "images" / f"base-bookworm-{digest}.tar"


def _make_base(archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".base-", dir=archive.parent) as folder:
        root, layer = Path(folder) / "root", Path(folder) / "layer.tar"
        log = archive.with_suffix(".log")
        with log.open("wb") as output:
            made = subprocess.run(
                [
                    *("nice", "-n", "5", "debootstrap", "--variant=minbase"),
                    *(f"--include={_PACKAGES}", "bookworm", str(root)),
                ],
                check=False,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if made.returncode != 0:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise ClusterError(f"debootstrap failed:\n{last}", f"Read {log}.")
        subprocess.run(
            [
                *("tar", "-C", str(root), "--sort=name", "--numeric-owner", "--mtime=@0"),
                *(f"--exclude={path}" for path in _LEFT_OUT),
                *("-cf", str(layer), "."),
            ],
            check=True,
        )
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        _write_archive(archive, BASE, layer, {"Env": [path], "Cmd": ["/bin/bash"]})


def identifier(archive: Path) -> str:
    """What Docker calls the image in an archive."""
    with tarfile.open(archive) as tar, tar.extractfile("config.json") or io.BytesIO() as config:
        return f"sha256:{hashlib.sha256(config.read()).hexdigest()}"


def pause(layout: Layout) -> str:
    """The name of the image that holds a pod's namespaces; another content has another name."""
    return f"localhost/pause:{(layout.bin / 'pause').resolve().name.rpartition('-')[2]}"


def ensure_pause(layout: Layout) -> None:
    """Give containerd that image if it does not have it."""
    name, binary = pause(layout), layout.bin / "pause"
    if _ctr(layout, "images", "ls", "-q", f"name=={name}").strip():
        return
    with tempfile.TemporaryDirectory(prefix="pause-", dir=layout.state) as folder:
        layer, archive = Path(folder) / "layer.tar", Path(folder) / "pause.tar"
        with tarfile.open(layer, "w") as tar, binary.open("rb") as file:
            info = tarfile.TarInfo("pause")
            info.size, info.mode = binary.stat().st_size, 0o755
            tar.addfile(info, file)
        _write_archive(archive, name, layer, {"Entrypoint": ["/pause"], "User": "65535:65535"})
        _ctr(layout, "images", "import", str(archive))


def _ctr(layout: Layout, *arguments: str) -> str:
    command = ["ctr", "-a", str(layout.run / "containerd.sock"), "-n", "k8s.io", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterError(f"containerd: {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _write_archive(path: Path, name: str, layer: Path, config: Mapping[str, Any]) -> None:
    """Write an image of one layer, with no time of its own, so that its digest is its content's."""
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    image = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "k8s/testcluster"}],
    }
    manifest: Sequence[Mapping[str, Any]] = [
        {"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}
    ]
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with tarfile.open(new, "w") as tar:
        for entry, document in (("config.json", image), ("manifest.json", manifest)):
            content = json.dumps(document).encode()
            info = tarfile.TarInfo(entry)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo("layer.tar")
        info.size = layer.stat().st_size
        with layer.open("rb") as file:
            tar.addfile(info, file)
    new.rename(path)
