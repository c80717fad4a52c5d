"""A model's files, fetched as an init container does: from a real MLflow and a real S3."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import obstore
import pytest
from hypothesis import strategies as st
from support.run.wait import wait_for
from support.systems import certificates as certificates_of
from support.systems.mlflow import MlflowServer
from support.systems.s3 import S3Server

from deployer.artifacts.cache import digest_of

ROOT = Path(__file__).parents[3]
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
FILES = {
    "MLmodel": b"flavors: {}\n",
    "model.pkl": os.urandom(3_000_000),
    "empty": b"",
    "code/a b/\u00fc+&=.py": b"print('hello')\n",
    "code/a/x.txt": b"x",
    "code/a.txt": b"sorts before the folder",
}
# MLflow's server takes no such path.
S3_ONLY = {"code/50%20#1?.txt": b"y"}


class Fetched(NamedTuple):
    """What came of one start of the init container."""

    status: int
    said: dict[str, Any]
    output: str
    folder: Path


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def predictor_file(tmp_path: Path, **settings: Any) -> Path:
    content = {
        "predictor": "p",
        "model": "m",
        "model_version": "1",
        "artifact": str(tmp_path / "volume" / "model"),
        "python": "/opt/env/bin/python",
        "host": "0.0.0.0",  # noqa: S104 - as in a pod; nothing listens here
        "port": 8080,
        "state_file": str(tmp_path / "state.json"),
        "termination_file": str(tmp_path / "termination-log"),
        **settings,
    }
    path = tmp_path / "predictor.json"
    path.write_text(json.dumps(content))
    return path


def environment(**variables: str) -> dict[str, str]:
    ours = ("AWS_", "MLFLOW_", "HTTP", "http", "NO_", "no_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**clean, "NO_PROXY": "*", **variables}


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., Fetched]:
    """Run the init container's program, as often as the test likes, on the same volume."""

    def run(variables: dict[str, str] | None = None, **settings: Any) -> Fetched:
        log = tmp_path / "termination-log"
        log.write_text("")
        done = subprocess.run(
            [sys.executable, "-m", "serving.artifact", predictor_file(tmp_path, **settings)],
            capture_output=True, text=True, check=False, cwd=ROOT, timeout=120,
            env=environment(**variables or {}),
        )  # fmt: skip
        said = json.loads(log.read_text())
        assert json.loads(done.stdout) == said
        output = done.stdout + done.stderr
        return Fetched(done.returncode, said, output, tmp_path / "volume" / "model")

    return run


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    files = {"other/readme.txt": b"x", **{f"good/{name}": FILES[name] for name in FILES}}
    try:
        server.start()
        for path, content in files.items():
            answer = server.client.put(f"{PROXY}/{quote(path)}", content=content)
            assert answer.status_code == 200, answer.text
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A private authority, and a certificate of it for 127.0.0.1."""
    return certificates_of.make(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


@pytest.fixture(scope="session")
def s3(
    tmp_path_factory: pytest.TempPathFactory, certificates: dict[str, Path]
) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("s3")
    server = S3Server(folder, certificates["server.crt"], certificates["server.key"]).start()
    try:
        bucket = server.bucket("models")
        wait_for(lambda: put(bucket, "warm", b"up"), "S3 that takes an object")
        for name, content in (FILES | S3_ONLY).items():
            assert put(bucket, f"1/good/{name}", content)
        assert put(bucket, "1/good-too/MLmodel", b"of another artifact")
        yield server
    finally:
        server.close()


def put(bucket: Any, key: str, content: bytes) -> bool:
    try:
        obstore.put(bucket, key, content)
    except obstore.exceptions.BaseError:
        return False
    return True


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mlflow-artifacts://evil.example/m", "names evil.example, and our MLflow is mlflow:5000"),
        ("gs://bucket/m", "pods fetch from mlflow-artifacts: and s3: only"),
        ("", "pods fetch from"),
    ],
)  # fmt: skip
def test_an_address_that_is_not_for_pods_is_refused_for_good(fetch, uri, said):
    fetched = fetch(artifact_uri=uri, tracking_uri="http://mlflow:5000")
    assert fetched.status == 1
    assert fetched.said["reason"] == "ArtifactUnreachable"
    assert said in fetched.said["message"]
    assert fetched.said["hint"]


def test_without_mlflows_address_nothing_can_be_asked_of_it(fetch):
    fetched = fetch(artifact_uri="mlflow-artifacts:/m")
    assert (fetched.status, fetched.said["reason"]) == (1, "ArtifactUnreachable")
    assert "tracking_uri" in fetched.said["hint"]


def test_a_server_of_an_artifact_not_there_is_asked_again_later(fetch):
    for settings in (
        {"artifact_uri": "mlflow-artifacts:/m", "tracking_uri": "http://127.0.0.1:1"},
        {"artifact_uri": "s3://bucket/m"},
    ):
        variables = {
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }
        fetched = fetch(variables, **settings)
        assert (fetched.status, fetched.said["reason"]) == (75, "ArtifactUnreachable")
        assert fetched.output.count("error: ") == 1
        assert "\n\nhint: " in fetched.output


def test_all_files_come_from_mlflow_and_a_restart_fetches_nothing(fetch, mlflow, tmp_path):
    where = {"artifact_uri": "mlflow-artifacts:/good", "tracking_uri": mlflow.url}
    fetched = fetch(**where)
    assert fetched.status == 0, fetched.output
    assert contents(fetched.folder) == FILES
    expected = digest_of(write(tmp_path / "expected", FILES))
    assert fetched.said["digest"] == expected
    assert fetched.said["bytes"] == sum(map(len, FILES.values()))

    # Nothing is asked of anybody: nobody is there.
    nowhere = {**where, "tracking_uri": "http://127.0.0.1:1"}
    again = fetch(**nowhere, artifact_digest=expected)
    assert (again.status, again.said["bytes"], again.said["digest"]) == (0, 0, expected)


def test_all_files_come_from_s3_large_ones_in_parts(fetch, s3):
    large = os.urandom(1 << 20) * 70
    put(s3.bucket("models"), "2/large/MLmodel", b"x")
    put(s3.bucket("models"), "2/large/weights.bin", large)
    fetched = fetch(s3.variables, artifact_uri="s3://models/2/large")
    assert fetched.status == 0, fetched.output
    assert fetched.said["bytes"] == len(large) + 1
    came = (fetched.folder / "weights.bin").read_bytes()
    assert hashlib.sha256(came).digest() == hashlib.sha256(large).digest()


def test_an_artifact_in_s3_is_its_own_folder_and_no_other(fetch, s3):
    fetched = fetch(s3.variables, artifact_uri="s3://models/1/good/")
    assert fetched.status == 0, fetched.output
    assert contents(fetched.folder) == FILES | S3_ONLY


def test_a_private_authority_is_trusted_when_it_is_named(fetch, s3, certificates, tmp_path):
    another = certificates_of.make(tmp_path, "IP:127.0.0.1", "Somebody")["ca.crt"]
    variables = {**s3.variables, "MLFLOW_S3_ENDPOINT_URL": s3.tls_url}
    variables.pop("AWS_ENDPOINT_URL_S3")
    distrusted = fetch(
        {**variables, "SSL_CERT_FILE": str(another)}, artifact_uri="s3://models/1/good"
    )
    assert distrusted.status == 75
    assert "an authority that is not trusted here" in distrusted.said["message"]
    variables["SSL_CERT_FILE"] = str(certificates["ca.crt"])
    fetched = fetch(variables, artifact_uri="s3://models/1/good")
    assert fetched.status == 0, fetched.output


def test_other_files_than_before_are_refused_and_not_kept(fetch, mlflow):
    fetched = fetch(
        artifact_uri="mlflow-artifacts:/good", tracking_uri=mlflow.url, artifact_digest="0" * 64
    )
    assert (fetched.status, fetched.said["reason"]) == (1, "ArtifactCorrupt")
    assert "are not those that were served before" in fetched.said["message"]
    assert list(fetched.folder.parent.iterdir()) == []


def test_files_that_changed_on_the_volume_are_fetched_anew(fetch, mlflow):
    where = {"artifact_uri": "mlflow-artifacts:/good", "tracking_uri": mlflow.url}
    (fetch(**where).folder / "model.pkl").write_bytes(b"half of i")
    retried = fetch(**where)
    assert retried.status == 0, retried.output
    assert contents(retried.folder) == FILES


@pytest.mark.parametrize("name", ["nothing", "other"])
def test_where_there_is_no_model_that_is_said(fetch, mlflow, s3, name):
    for settings in (
        {"artifact_uri": f"mlflow-artifacts:/{name}", "tracking_uri": mlflow.url},
        {"artifact_uri": f"s3://models/{name}"},
    ):
        fetched = fetch(s3.variables, **settings)
        assert (fetched.status, fetched.said["reason"]) == (1, "ArtifactMissing")
        assert "no MLmodel file is there" in fetched.said["message"]


def test_a_bucket_that_is_not_there_is_a_missing_artifact(fetch, s3):
    fetched = fetch(s3.variables, artifact_uri="s3://no-such-bucket/m")
    assert (fetched.status, fetched.said["reason"]) == (1, "ArtifactMissing")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_s3_that_refuses_is_explained_without_the_secret(fetch, s3, name):
    variables = {**s3.variables, name: "an-other-secret"}
    fetched = fetch(variables, artifact_uri="s3://models/1/good")
    assert (fetched.status, fetched.said["reason"]) == (75, "ArtifactUnreachable")
    assert "S3 refuses us" in fetched.said["message"]
    assert "artifacts.secret" in fetched.said["hint"]
    assert s3.secret_key not in fetched.output
    assert "an-other-secret" not in fetched.output


@pytest.mark.skipif(os.getuid() != 0, reason="a small volume is mounted: needs root")
def test_too_little_room_is_said_before_anything_is_fetched(fetch, mlflow, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", volume], check=True)
    try:
        fetched = fetch(artifact_uri="mlflow-artifacts:/good", tracking_uri=mlflow.url)
    finally:
        subprocess.run(["umount", volume], check=True)
    assert (fetched.status, fetched.said["reason"]) == (75, "ArtifactUnreachable")
    assert "they have 2.9 MiB, and 1.0 MiB are free" in fetched.said["message"]
    assert "Make room" in fetched.said["hint"]


class Gate:
    """A proxy before MLflow that asks for a login, and can hold, break or send on an answer."""

    def __init__(self, behind: str, login: str = "") -> None:
        self.hold, self.held = threading.Event(), threading.Event()
        self.hold.set()
        self.cut = 0
        self.elsewhere = ""
        self.authorizations: list[str | None] = []
        gate = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gate.authorizations.append(self.headers.get("authorization"))
                if login and gate.authorizations[-1] != login:
                    self.send_response(401)
                    self.end_headers()
                    return
                if gate.elsewhere:
                    self.send_response(302)
                    self.send_header("location", gate.elsewhere + self.path)
                    self.end_headers()
                    return
                answer = httpx.get(behind + self.path, trust_env=False)
                self.send_response(answer.status_code)
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                if "?" in self.path or not answer.content:
                    self.wfile.write(answer.content)
                    return
                self.wfile.write(answer.content[:1])
                gate.held.set()
                gate.hold.wait(600)
                if gate.cut and len(answer.content) > 1:
                    gate.cut -= 1
                    return
                self.wfile.write(answer.content[1:])

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def gate(mlflow: MlflowServer) -> Iterator[Callable[..., Gate]]:
    gates: list[Gate] = []

    def make(login: str = "") -> Gate:
        gates.append(Gate(mlflow.url, login))
        return gates[-1]

    yield make
    for each in gates:
        each.close()


@pytest.mark.parametrize(
    ("variables", "login"),
    [
        ({"MLFLOW_TRACKING_TOKEN": "t0k3n-value"}, "Bearer t0k3n-value"),
        (
            {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "pa55-value"},
            "Basic " + base64.b64encode(b"me:pa55-value").decode(),
        ),
    ],
)
def test_mlflow_behind_a_login(fetch, gate, variables, login):
    where = {"artifact_uri": "mlflow-artifacts:/good", "tracking_uri": gate(login).url}
    refused = fetch(**where)
    assert (refused.status, refused.said["reason"]) == (75, "ArtifactUnreachable")
    assert "MLflow refuses us (401)" in refused.said["message"]
    assert "MLFLOW_TRACKING_TOKEN" in refused.said["hint"]
    fetched = fetch(variables, **where)
    assert fetched.status == 0, fetched.output
    assert contents(fetched.folder) == FILES


def test_a_redirect_does_not_carry_the_credentials_away(fetch, gate):
    stranger, before = gate(), gate()
    before.elsewhere = stranger.url
    where = {"artifact_uri": "mlflow-artifacts:/good", "tracking_uri": before.url}
    fetched = fetch({"MLFLOW_TRACKING_TOKEN": "t0k3n-value"}, **where)
    assert fetched.status == 0, fetched.output
    assert set(before.authorizations) == {"Bearer t0k3n-value"}
    assert set(stranger.authorizations) == {None}


def test_an_answer_cut_short_is_fetched_again(fetch, gate):
    before = gate()
    before.cut = 2
    fetched = fetch(artifact_uri="mlflow-artifacts:/good", tracking_uri=before.url)
    assert fetched.status == 0, fetched.output
    assert "Trying again" in fetched.output
    assert contents(fetched.folder) == FILES


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_in_the_middle_it_begins_anew(fetch, gate, tmp_path, number):
    before = gate()
    before.hold.clear()
    where = {"artifact_uri": "mlflow-artifacts:/good", "tracking_uri": before.url}
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.artifact", predictor_file(tmp_path, **where)],
        cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert before.held.wait(60)
        process.send_signal(number)
        assert process.wait(60) in (-signal.SIGKILL, 75)
    finally:
        process.kill()
        process.wait()
    volume = tmp_path / "volume"
    assert [path.name for path in volume.iterdir() if not path.name.startswith(".")] == []
    before.hold.set()
    fetched = fetch(**where)
    assert fetched.status == 0, fetched.output
    assert {path.name for path in volume.iterdir()} == {"model", ".model.digest"}
    assert contents(fetched.folder) == FILES


def test_a_saved_model_that_is_to_be_served_must_be_there(fetch, mlflow):
    settings = {"artifact_uri": "mlflow-artifacts:/good", "tracking_uri": mlflow.url}
    backend = {"kind": "tfserving", "url": "http://127.0.0.1:8501", "saved_model": "saved_model"}
    missing = fetch(**settings, backend=backend)
    assert missing.status == 1
    assert missing.said["reason"] == "ArtifactMissing"
    assert missing.said["message"] == (
        "The model's files have no SavedModel in the folder 'saved_model'."
    )
    write(missing.folder, {"saved_model/saved_model.pb": b"x"})
    digest = digest_of(missing.folder)
    missing.folder.with_name(".model.digest").write_text(digest)  # as if it had come so
    assert fetch(**settings, backend=backend).status == 0


def wheels(tmp_path: Path, variables: dict[str, str], **request: Any) -> Fetched:
    """Run the init container of an environment's build."""
    folder, log = tmp_path / "wheels", tmp_path / "termination-log"
    folder.mkdir(parents=True)
    asked = json.dumps({"tracking_uri": "", "folder": str(folder), **request})
    command = [sys.executable, "-m", "serving.artifact.wheels", asked, "--termination-file", log]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120,
        env=environment(**variables),
    )  # fmt: skip
    said = json.loads(log.read_text())
    assert json.loads(done.stdout) == said
    return Fetched(done.returncode, said, done.stdout + done.stderr, folder)


@pytest.mark.parametrize("place", ["mlflow", "s3"])
def test_a_build_is_given_the_wheels_of_a_model_and_nothing_else(place, request, tmp_path):
    store = request.getfixturevalue(place)
    where: dict[str, Any] = {"artifact_uri": "mlflow-artifacts:/good"}
    variables: dict[str, str] = {}
    if place == "mlflow":
        where["tracking_uri"] = store.url
    else:
        where, variables = {"artifact_uri": "s3://models/1/good"}, store.variables
    path = "code/a/x.txt"
    wheel = {"path": path, "name": "x.whl", "sha256": hashlib.sha256(FILES[path]).hexdigest()}
    fetched = wheels(tmp_path, variables, wheels=[wheel], **where)
    assert (fetched.status, fetched.said) == (0, {"wheels": 1, "bytes": 1})
    assert contents(fetched.folder) == {"x.whl": FILES[path]}

    other = {**wheel, "sha256": "0" * 64}
    refused = wheels(tmp_path / "other", variables, wheels=[other], **where)
    assert (refused.status, refused.said["reason"]) == (1, "ArtifactCorrupt")
    assert f"{path} at {where['artifact_uri']} is not the wheel" in refused.said["message"]
    assert contents(refused.folder) == {}

    absent = {**wheel, "path": "code/absent.whl"}
    gone = wheels(tmp_path / "gone", variables, wheels=[absent], **where)
    assert (gone.status, gone.said["reason"]) == (1, "ArtifactMissing")
    assert "code/absent.whl" in gone.said["message"]
