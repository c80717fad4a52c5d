"""A model's files, fetched as an init container does: from a real MLflow and a real S3."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from deployer.artifacts.cache import digest_of
from serving.artifact import fetch as artifact, proxy as artifactproxy
from serving.artifact.store import Unfetchable, safe_name

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
FILES = {
    "MLmodel": b"flavors: {}\n",
    "model.pkl": os.urandom(3_000_000),
    "empty": b"",
    "code/a b/\u00fc+&=.py": b"print('hello')\n",
    "code/a/x.txt": b"x",
    "code/a.txt": b"sorts before the folder",
}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


EMPTY = "an empty folder"
names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


TAKEN = {".", "..", EMPTY, *(name.partition("/")[0] for name in FILES)}
"""What is no name, and names of folders that are there."""


@given(st.dictionaries(names.filter(lambda n: n not in TAKEN and len(n.encode()) < 200),
                       st.binary(max_size=20), max_size=6))  # fmt: skip
def test_pods_and_the_deployer_compute_the_same_digest(files):
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = write(Path(name), {**FILES, **files} if files else {})
        (folder / EMPTY).mkdir()
        assert artifact.digest_of(folder) == digest_of(folder)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "a\\b", "a\0b", 3, "x" * 256])
def test_a_listing_cannot_lead_out_of_the_folder(name):
    with pytest.raises(Unfetchable, match="names a file that cannot be") as caught:
        safe_name(name, "s3://x")
    assert caught.value.reason == "ArtifactCorrupt"


def test_a_login_in_mlflows_address_is_a_login(monkeypatch):
    for name in ("TOKEN", "USERNAME", "PASSWORD"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    store = artifactproxy.Proxied("mlflow-artifacts:/m", "http://me:p%40ss@host:5000/base")
    assert base64.b64decode(store._authorization.removeprefix("Basic ")) == b"me:p@ss"
    assert store._url == f"http://host:5000/base{PROXY}"
