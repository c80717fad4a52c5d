"""What a node keeps its images in: valid for the next one, whatever was killed; or thrown away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT
from support.systems.cluster import require_possible

sys.path.insert(0, str(ROOT / "k8s"))

from testcluster import builds, cgroups, images, node, programs, removal, roots
from testcluster.layout import Layout, default_cache
from testcluster.programs import running

# Programs outlive the process that starts them, by design.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
BLOBS = "docker/registry/v2/blobs/sha256"


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    """A cluster of which only containerd runs, with a container that no longer does."""
    require_possible("containerd")
    found = Layout(tmp_path / "state")
    builds.ensure(found.cache, [build for build in builds.BUILDS if build.module == "pause"])
    try:
        _begin(found)
        yield found
    finally:
        removal.remove(found)
        roots.remove(found)


def _begin(layout: Layout) -> None:
    """Come to where the node's containerd runs and has an image."""
    for folder in (layout.state, layout.run):
        folder.mkdir(parents=True, exist_ok=True)
    roots.prepare(layout)
    programs.ensure(layout, node.containerd(layout))
    images.ensure_pause(layout)


def _end(layout: Layout) -> None:
    """Kill everything at once, as the end of a machine's patience does, and clean up."""
    for pid in cgroups.members(layout.cgroup):
        os.kill(pid, signal.SIGKILL)
    removal.remove(layout)


def _ctr(layout: Layout, *arguments: str) -> str:
    command = ["ctr", "-a", str(node.socket(layout)), "-n", "k8s.io", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _pulled(layout: Layout) -> str:
    """When the image came, in nanoseconds: a second import is later."""
    [line] = _ctr(layout, "snapshots", "ls").splitlines()[1:]
    return _ctr(layout, "snapshots", "info", line.split()[0])


def _registry(layout: Layout, content: bytes, digest: str) -> Path:
    blob = roots.folder(layout, "registry") / BLOBS / digest[:2] / digest / "data"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(content)
    return blob


def test_images_stay_and_containers_go(layout: Layout, capsys: pytest.CaptureFixture[str]):
    before = _pulled(layout)
    _ctr(layout, "containers", "create", images.pause(layout), "left")
    assert len(_ctr(layout, "snapshots", "ls").splitlines()) == 3  # and the heading
    _end(layout)
    assert not layout.state.exists()
    assert removal.mounts(layout) == []
    capsys.readouterr()
    _begin(layout)
    assert "thrown away" not in capsys.readouterr().out
    assert _ctr(layout, "containers", "ls", "-q") == ""
    assert _pulled(layout) == before
    assert running(layout, "clearing") is None


def _damage(layout: Layout) -> None:
    database = roots.folder(layout, "containerd") / "io.containerd.metadata.v1.bolt/meta.db"
    with database.open("r+b") as file:
        file.write(os.urandom(database.stat().st_size))


def _lose_layers(layout: Layout) -> None:
    folder = roots.folder(layout, "containerd") / "io.containerd.snapshotter.v1.overlayfs"
    (folder / "metadata.db").write_bytes(b"no database")


def _other_version(layout: Layout) -> None:
    (layout.roots / "containerd/version").write_text("containerd 0.1")


def _other_boot(layout: Layout) -> None:
    (layout.roots / "boot").write_text("another")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_damage, "containerd"),
        (_lose_layers, "containerd"),
        (_other_version, "another version of containerd wrote them"),
        (_other_boot, "the machine went off while they were in use"),
    ],
)
def test_what_cannot_be_trusted_is_thrown_away_with_a_line_of_why(
    layout: Layout, capsys: pytest.CaptureFixture[str], harm, why: str
):
    before = _pulled(layout)
    _end(layout)
    harm(layout)
    capsys.readouterr()
    _begin(layout)
    told = capsys.readouterr().out
    assert "==> the images kept for containerd are thrown away: " in told
    assert why in told
    assert _pulled(layout) != before


def test_a_registry_that_was_killed_while_it_wrote_begins_anew(
    layout: Layout, capsys: pytest.CaptureFixture[str]
):
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc"
    whole = _registry(layout, b"abc", digest)
    roots.prepare_registry(layout)
    assert whole.exists()
    half = _registry(layout, b"ab", "f" * 64)
    roots.prepare_registry(layout)
    assert not half.exists()
    assert not whole.exists()
    assert "was being written" in capsys.readouterr().out


def test_images_of_too_many_commits_are_thrown_away(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for over, thrown_away in ((0, False), (1, True)):
        _end(layout)  # containerd collects its garbage at times of its own: less each time
        size = sum(roots.sizes(layout))
        assert size > (layout.bin / "pause").stat().st_size / 4  # it is compressed
        monkeypatch.setattr(roots, "LIMIT", size - over)
        capsys.readouterr()
        _begin(layout)
        assert ("larger than" in capsys.readouterr().out) is thrown_away


def test_images_of_a_cluster_whose_folder_is_gone_are_deleted(layout: Layout, tmp_path: Path):
    other = layout.roots.with_name("0123abcd")
    for folder, stays in ((tmp_path / "state", True), (tmp_path / "gone/state", False)):
        other.mkdir(exist_ok=True)
        (other / "state").write_text(str(folder))
        roots.prepare(layout)
        assert other.exists() is stays
    assert layout.roots.exists()


def test_down_deletes_them_when_it_is_told_to(layout: Layout):
    _end(layout)
    assert roots.folder(layout, "containerd").exists()
    roots.remove(layout)
    assert not layout.roots.exists()
    assert layout.cache == default_cache()
    shutil.rmtree(layout.state, ignore_errors=True)
