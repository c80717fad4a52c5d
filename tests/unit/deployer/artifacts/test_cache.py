import contextlib
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.fixtures.artifacts import FILES, VERSION, content, settled

from deployer.artifacts.cache import Artifacts, artifact_key, digest_of
from deployer.errors import ArtifactCorrupt, ArtifactMissing, ArtifactUnreachable


def test_a_folder_of_this_machine_is_copied_whole(artifacts: Artifacts, folder: Path) -> None:
    first = artifacts.ensure(VERSION, str(folder))
    assert first.phase == "fetching"
    state = settled(lambda: artifacts.ensure(VERSION, str(folder)))
    assert content(state) == FILES
    assert state.digest == digest_of(folder)
    other = settled(lambda: artifacts.ensure(VERSION, folder.as_uri()))
    assert other.digest == state.digest


def test_it_is_fetched_once_and_then_kept(
    artifacts: Artifacts, folder: Path, tmp_path: Path
) -> None:
    before = settled(lambda: artifacts.ensure(VERSION, str(folder)))
    (folder / "model.pkl").write_bytes(b"another")
    with closing(Artifacts(tmp_path / "cache", "http://127.0.0.1:9")) as others:
        after = settled(lambda: others.ensure(VERSION, str(folder), before.digest))
    assert (after.phase, after.digest, after.path) == ("ready", before.digest, before.path)


def test_a_version_made_anew_is_never_served_from_an_old_copy(
    artifacts: Artifacts, folder: Path
) -> None:
    before = settled(lambda: artifacts.ensure(VERSION, str(folder)))
    (folder / "model.pkl").write_bytes(b"another")
    anew = replace(VERSION, created=VERSION.created + 1)
    after = settled(lambda: artifacts.ensure(anew, str(folder)))
    assert after.path != before.path
    assert content(after)["model.pkl"] == b"another"
    assert artifact_key(VERSION, "a") != artifact_key(VERSION, "b")


def test_a_copy_that_was_damaged_is_fetched_again(
    artifacts: Artifacts, folder: Path, tmp_path: Path
) -> None:
    before = settled(lambda: artifacts.ensure(VERSION, str(folder)))
    assert before.path is not None
    (before.path / "model.pkl").write_bytes(b"")
    with closing(Artifacts(tmp_path / "cache", "http://127.0.0.1:9")) as others:
        after = settled(lambda: others.ensure(VERSION, str(folder), before.digest))
    assert content(after) == FILES


def test_an_emptied_cache_is_filled_again(artifacts: Artifacts, folder: Path) -> None:
    before = settled(lambda: artifacts.ensure(VERSION, str(folder)))
    assert before.path is not None
    shutil.rmtree(before.path.parent)
    assert content(settled(lambda: artifacts.ensure(VERSION, str(folder)))) == FILES


def test_files_that_changed_since_they_were_served_are_refused(
    artifacts: Artifacts, folder: Path
) -> None:
    state = settled(lambda: artifacts.ensure(VERSION, str(folder), "0" * 64))
    assert isinstance(state.error, ArtifactCorrupt)
    assert state.path is None
    assert "000000000000" in state.error.message
    assert not state.error.transient
    artifacts.forget(VERSION, str(folder))
    assert settled(lambda: artifacts.ensure(VERSION, str(folder))).phase == "ready"


@pytest.mark.parametrize("uri", ["/not/there", "file:///not/there"])
def test_nothing_there_is_named(artifacts: Artifacts, uri: str) -> None:
    state = settled(lambda: artifacts.ensure(VERSION, uri))
    assert isinstance(state.error, ArtifactMissing)
    assert uri in state.error.message


def test_a_folder_without_a_model_is_not_taken_for_one(
    artifacts: Artifacts, folder: Path, tmp_path: Path
) -> None:
    (folder / "MLmodel").unlink()
    state = settled(lambda: artifacts.ensure(VERSION, str(folder)))
    assert isinstance(state.error, ArtifactMissing)
    assert [path for path in (tmp_path / "cache" / "artifacts").iterdir() if path.is_dir()] == []


def test_a_small_file_is_read_and_a_large_one_refused(artifacts: Artifacts, folder: Path) -> None:
    assert artifacts.read_file(str(folder), "MLmodel") == FILES["MLmodel"]
    assert artifacts.read_file(str(folder), "serving.yaml") is None
    with pytest.raises(ArtifactCorrupt, match=r"model.pkl has more than"):
        artifacts.read_file(str(folder), "model.pkl")


def test_mlflow_that_is_down_is_a_passing_cause(artifacts: Artifacts) -> None:
    uri = "mlflow-artifacts:/0/models/m-1/artifacts"
    state = settled(lambda: artifacts.ensure(VERSION, uri))
    assert isinstance(state.error, ArtifactUnreachable)
    assert state.error.transient
    assert uri in state.error.message
    with pytest.raises(ArtifactUnreachable):
        artifacts.read_file(uri, "serving.yaml")


def test_the_digest_sees_names_and_contents_and_nothing_else(tmp_path: Path) -> None:
    def made(name: str, files: dict[str, bytes]) -> str:
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_bytes(text)
        return digest_of(tmp_path / name)

    one = made("one", {"a": b"1", "b/c": b"2"})
    assert made("two", {"b/c": b"2", "a": b"1"}) == one
    assert made("three", {"a": b"2", "b/c": b"1"}) != one
    assert made("four", {"a": b"1", "b": b"2"}) != one
    assert made("five", {"a": b"12", "b/c": b""}) != one


@contextlib.contextmanager
def misbehaving(listing: object, body: bytes = b"", length: int | None = None) -> Iterator[str]:
    """A server that says what no MLflow should: what we do then is what is tested."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listed = "?path=" in self.path
            answer = listing if isinstance(listing, bytes) else json.dumps(listing).encode()
            answer = answer if listed else body
            self.send_response(200)
            self.send_header("content-length", str(len(answer) if listed else length or len(body)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def listing(*names: str, size: int | None = None) -> object:
    return {"files": [{"path": name, "is_dir": False, "file_size": size} for name in names]}


@pytest.mark.parametrize(
    ("listed", "error"),
    [
        (listing("MLmodel", "../../../escaped"), ArtifactCorrupt),
        (listing("MLmodel", ".."), ArtifactCorrupt),
        (listing("MLmodel", "/etc/passwd"), ArtifactCorrupt),
        (listing("MLmodel", "a\0b"), ArtifactCorrupt),
        (listing("MLmodel", "x" * 300), ArtifactCorrupt),
        (listing("MLmodel", ""), ArtifactCorrupt),
        ({"files": [{"path": "deeper", "is_dir": True}]}, ArtifactCorrupt),
        (listing("MLmodel", size=99), ArtifactCorrupt),
        ({"files": "MLmodel"}, ArtifactUnreachable),
        ([], ArtifactUnreachable),
        (b"<html>", ArtifactUnreachable),
        ({}, ArtifactMissing),
    ],
)
def test_a_hostile_listing_writes_nothing(
    tmp_path: Path, listed: object, error: type[Exception]
) -> None:
    uri = "mlflow-artifacts:/0/models/m-1/artifacts"
    with (
        misbehaving(listed, b"0123456789") as url,
        closing(Artifacts(tmp_path / "cache", url)) as artifacts,
    ):
        state = settled(lambda: artifacts.ensure(VERSION, uri))
    assert type(state.error) is error
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert files == []


def test_a_download_that_breaks_off_is_not_taken_for_the_file(tmp_path: Path) -> None:
    uri = "mlflow-artifacts:/0/models/m-1/artifacts"
    with (
        misbehaving(listing("MLmodel", size=100), b"0123456789", length=100) as url,
        closing(Artifacts(tmp_path / "cache", url)) as artifacts,
    ):
        state = settled(lambda: artifacts.ensure(VERSION, uri))
    assert isinstance(state.error, ArtifactUnreachable)
    assert state.error.transient
