import hashlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import httpx
import obstore
import pytest
from support.fixtures.artifacts import FILES, VERSION, content, settled
from support.run.wait import wait_for
from support.systems.mlflow import MlflowServer
from support.systems.s3 import S3Server

from deployer.artifacts.cache import Artifacts, digest_of
from deployer.artifacts.sources import PROXY
from deployer.errors import ArtifactMissing, ArtifactUnreachable

DEEP = "data/deep/er.bin"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with closing(MlflowServer(tmp_path_factory.mktemp("mlflow")).start()) as server:
        url = server.url
        with httpx.Client(base_url=url, trust_env=False) as client:
            for name, body in FILES.items():
                path = quote(f"{PROXY}/0/models/m-1/artifacts/{name}")
                client.put(path, content=body).raise_for_status()
        yield url


def test_a_real_mlflow_hands_out_its_artifacts(mlflow: str, tmp_path: Path, folder: Path) -> None:
    uri = "mlflow-artifacts:/0/models/m-1/artifacts"
    with closing(Artifacts(tmp_path / "cache", mlflow)) as artifacts:
        state = settled(lambda: artifacts.ensure(VERSION, uri))
        assert content(state) == FILES
        assert state.digest == digest_of(folder)
        assert artifacts.read_file(uri, "MLmodel") == FILES["MLmodel"]
        assert artifacts.read_file(uri, "serving.yaml") is None
        assert artifacts.file_digest(uri, DEEP) == hashlib.sha256(FILES[DEEP]).hexdigest()
        assert artifacts.file_digest(uri, f"{DEEP}.not") == ""
        missing = settled(lambda: artifacts.ensure(VERSION, f"{uri}/nothing"))
        assert isinstance(missing.error, ArtifactMissing)


def test_another_store_is_read_by_mlflows_own_client(
    mlflow: str, tmp_path: Path, folder: Path
) -> None:
    # An address with a host in it is one that only MLflow's client resolves.
    uri = f"mlflow-artifacts://{mlflow.removeprefix('http://')}/0/models/m-1/artifacts"
    with closing(Artifacts(tmp_path / "cache", mlflow)) as artifacts:
        state = settled(lambda: artifacts.ensure(VERSION, uri))
        assert content(state) == FILES
        assert state.digest == digest_of(folder)
        assert artifacts.read_file(uri, "MLmodel") == FILES["MLmodel"]
        assert artifacts.read_file(uri, "serving.yaml") is None
        assert artifacts.file_digest(uri, DEEP) == hashlib.sha256(FILES[DEEP]).hexdigest()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with closing(S3Server(tmp_path_factory.mktemp("s3")).start()) as server:
        bucket = server.bucket("models")

        def put(key: str, body: bytes) -> bool:
            with suppress(Exception):  # it takes no object in its first second
                obstore.put(bucket, key, body)
                return True
            return False

        wait_for(lambda: put("warm", b"up"), "S3 that takes an object")
        for name, body in FILES.items():
            assert put(f"1/good/{name}", body)
        assert put("1/good-too/MLmodel", b"of another artifact")
        yield server


def test_s3_is_read_without_mlflow(
    s3: S3Server, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    uri = "s3://models/1/good"
    with closing(Artifacts(tmp_path / "cache", "http://127.0.0.1:9")) as artifacts:
        state = settled(lambda: artifacts.ensure(VERSION, uri))
        assert content(state) == FILES
        assert state.digest == digest_of(folder)
        assert artifacts.read_file(uri, "MLmodel") == FILES["MLmodel"]
        assert artifacts.read_file(uri, "serving.yaml") is None
        for absent in ("s3://models/1/goo", "s3://a-bucket-that-is-not/there"):
            missing = settled(lambda absent=absent: artifacts.ensure(VERSION, absent))  # type: ignore[misc]
            assert isinstance(missing.error, ArtifactMissing)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with closing(Artifacts(tmp_path / "other", "http://127.0.0.1:9")) as artifacts:
        state = settled(lambda: artifacts.ensure(VERSION, uri))
        assert isinstance(state.error, ArtifactUnreachable)
        assert "SignatureDoesNotMatch" in state.error.message
        assert "AWS_SECRET_ACCESS_KEY" in state.error.hint
