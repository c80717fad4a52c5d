"""What the environment builder is made of, each part alone; and what images are made from."""

from __future__ import annotations

import io
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
DOCKERFILES = {path.parent.name: path.read_text() for path in ROOT.glob("images/*/Dockerfile")}


def tar_of(part, folder):
    written = io.BytesIO()
    part("environment-builder/layer").write(folder, written)
    return written.getvalue()


def make(folder):
    (folder / "bin").mkdir(parents=True)
    (folder / "lib" / "é").mkdir(parents=True)
    (folder / "lib" / "é" / ("n" * 120 + ".py")).write_text("x")
    (folder / "bin" / "run").write_text("#!")
    (folder / "bin" / "run").chmod(0o755)
    (folder / "bin" / "python").symlink_to("/usr/bin/python3.11")
    return folder


def test_a_layer_depends_on_names_and_contents_only(part, tmp_path):
    folder = make(tmp_path / "env")
    first = tar_of(part, folder)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (1, 1))
            path.chmod(
                path.stat().st_mode | 0o2070 if path.is_dir() else path.stat().st_mode | 0o60
            )
    assert tar_of(part, folder) == first
    (folder / "bin" / "run").write_text("#?")
    assert tar_of(part, folder) != first


def test_a_layer_puts_the_environment_where_it_was_made(part, tmp_path):
    folder = make(tmp_path / "env")
    with tarfile.open(fileobj=io.BytesIO(tar_of(part, folder))) as tar:
        members = {f"/{member.name}": member for member in tar}
        for member in members.values():
            assert (member.uid, member.gid, member.mtime) == (0, 0, 0)
    assert members[str(folder / "bin" / "python")].linkname == "/usr/bin/python3.11"
    assert members[str(folder / "bin" / "run")].mode == 0o755
    assert members[str(folder / "bin")].mode == 0o755
    assert str(tmp_path) not in members  # folders above are the base's own


NO_WHEEL = """\
error: No solution found when resolving dependencies
  cause: Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2, we can \
conclude that your requirements are unsatisfiable.

hint: Wheels are required for `docopt` because building from source is disabled
"""
NO_ANSWER = """\
error: Failed to fetch: `https://me:hunter2@packages.example/simple/scipy/`
  cause: error sending request for url (https://me:hunter2@packages.example/simple/scipy/)
  cause: client error (Connect)
"""


def test_a_package_without_a_wheel_is_named_with_what_to_do(part):
    why = part("environment-builder/packages").failure(
        NO_WHEEL, ["docopt==0.6.2"], wheels_only=True
    )
    assert (why.reason, why.transient) == ("UnsupportedDependencies", False)
    assert "(docopt==0.6.2)" in why.message
    assert "build.wheels_only" in why.hint


def test_an_index_that_does_not_answer_passes_and_shows_no_login(part):
    why = part("environment-builder/packages").failure(NO_ANSWER, ["scipy"], wheels_only=True)
    assert (why.reason, why.transient) == ("EnvironmentUnbuildable", True)
    assert "hunter2" not in why.message
    assert "retried automatically" in why.hint


def test_a_python_that_the_image_does_not_have_is_named(part):
    packages = part("environment-builder/packages")
    with pytest.raises(Exception, match=r"logged with Python 3\.4\.1") as caught:
        packages.find_python("3.4.1")
    error: Any = caught.value
    assert error.reason == "PythonUnavailable"
    assert "make images PYTHON_MINOR=3.4" in error.hint


@pytest.mark.parametrize(
    ("said", "reason", "transient"),
    [
        (
            "Error: GET https://r.example/v2/: UNAUTHORIZED: authentication required",
            "Refused",
            True,
        ),
        ("Error: HEAD x: unexpected status code 403 Forbidden", "Refused", True),
        ("Error: Get x: http: server gave HTTP response to HTTPS client", "Refused", False),
        ("Error: tls: failed to verify certificate: x509: unknown authority", "Refused", False),
        ("Error: GET x: MANIFEST_UNKNOWN: manifest unknown; map[Tag:1]", "ImageMissing", False),
        ("Error: dial tcp 10.0.0.1:5000: connect: connection refused", "Unreachable", True),
        ("Error: unexpected status code 503 Service Unavailable", "Unreachable", True),
    ],
)
def test_what_a_registry_says_becomes_a_reason(part, said, reason, transient):
    why = part("environment-builder/registry").refusal("r.example/envs:1", said)
    assert why.reason.endswith(reason)
    assert why.transient == transient
    assert "r.example" in why.message
    assert why.hint


def test_a_registrys_login_is_not_shown(part):
    said = "Error: Get https://me:hunter2@r.example/v2/: dial tcp: no such host"
    assert (
        "hunter2" not in part("environment-builder/registry").refusal("r.example/e:1", said).message
    )


@pytest.mark.parametrize(
    ("said", "reason", "hint"),
    [
        ("Error: DELETE x: UNSUPPORTED: The operation is unsupported.", "Unsupported", "delete"),
        ("Error: DELETE x: unexpected status code 405 Method Not Allowed", "Unsupported", "delete"),
        ("Error: DELETE x: DENIED: not yours", "Refused", "right to delete"),
        ("Error: DELETE x: unexpected status code 503", "Unreachable", "retried"),
    ],
)
def test_why_an_image_cannot_be_deleted_is_said(part, said, reason, hint):
    parts = part("environment-builder/registry")
    why = parts.undeletable("r.example/envs@sha256:1", parts.refusal("r.example/envs:1", said))
    assert why.reason.endswith(reason)
    assert hint in why.hint
    assert "r.example" in why.message


def test_images_are_named_by_what_goes_into_them(part, monkeypatch):
    build = part("build")
    before = {name: build.content_hash(name) for name in build.IMAGES}
    assert len(set(before.values())) == len(before) == len(DOCKERFILES)
    assert before == {name: build.content_hash(name) for name in build.IMAGES}
    monkeypatch.setenv("BASE", "another:1")
    assert all(build.content_hash(name) != before[name] for name in build.IMAGES)


def test_nothing_that_python_leaves_behind_goes_into_an_image(part):
    build = part("build")
    found = [path for name in build.IMAGES for path in build.inputs(name)]
    assert Path("serving/artifact/fetch.py") in found
    assert not [path for path in found if "__pycache__" in path.parts]


@pytest.mark.parametrize("name", sorted(DOCKERFILES))
def test_an_image_is_pinned_and_runs_as_nobody(name):
    text = DOCKERFILES[name]
    assert re.search(r"^ARG BASE=[\w./-]+:(?!latest)[\w.-]*\d[\w.-]*$", text, re.MULTILINE)
    assert re.findall(r"^USER .*", text, re.MULTILINE)[-1] == "USER 65532:65532"
    assert "--require-hashes" in text
    assert "index-url" not in text
    stages = [line for line in text.splitlines() if line.startswith("FROM ")]
    assert len(stages) > 2
    assert stages[-1] == "FROM base"


def test_all_images_share_their_first_layers():
    bases = {text[text.index("FROM ${BASE} AS base"):].partition("\n\n")[0]
             for text in DOCKERFILES.values()}  # fmt: skip
    assert len(bases) == 1


@pytest.mark.parametrize("name", ["serving", "deployer", "models", "mlflow", "airflow", "seldon"])
def test_every_requirement_has_its_hashes(name):
    text = (ROOT / f"requirements/{name}.txt").read_text()
    entries = re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(entries) >= 5
    assert not [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]


def test_the_servers_image_has_nothing_of_the_command_lines():
    text = (ROOT / "requirements/serving.txt").read_text()
    assert not re.search(r"^(typer|rich|httpx|pydantic|click|uvicorn)==", text, re.MULTILINE)
