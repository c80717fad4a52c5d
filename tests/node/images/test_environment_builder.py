"""Environments built as images, in the image that builds them, against a real registry."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.run.ports import free_port
from support.run.process import Running
from support.run.wait import wait_for

LABELS = {"schnitzel.dev/platform": "ours", "schnitzel.dev/cluster": "tests"}


def options(index):
    return [f"--index-url {index.url}"]


@pytest.fixture
def small(builder, index):
    """A build that takes a few seconds: one small package of an index of its own."""
    index.publish("gadget", "1.0")
    return builder.request(requirements=["gadget"], options=options(index))


def test_an_environment_becomes_one_layer_on_the_server_image(builder, small, crane, images):
    made = builder.run(small)
    assert made.status == 0, made.err
    assert made.lock.startswith("gadget==1.0 \\\n    --hash=sha256:")
    manifest = crane("manifest", made.said["image"])
    server = crane("manifest", images["model-server"])
    assert manifest["layers"][:-1] == server["layers"]
    assert manifest["layers"][-1]["size"] == made.said["bytes"]
    config, servers = (
        crane("config", name)["config"] for name in (made.said["image"], images["model-server"])
    )
    assert config.pop("Labels") == servers.pop("Labels") | {
        "schnitzel.dev/lock": made.said["lock"],
        "schnitzel.dev/base": images["model-server"].partition("@")[2],
        "schnitzel.dev/python": made.said["python"],
    }
    assert config == servers
    assert re.fullmatch(r"3\.11\.\d+", made.said["python"])
    for step in ("choosing versions", "installing", "pushing"):
        assert f"==> {step}" in made.err


def test_what_is_there_already_is_left_alone(builder, small, index):
    first = builder.run(small)
    downloads = len(index.downloads)
    again = builder.run(small | {"lock": first.lock})
    assert again.status == 0, again.err
    assert again.said["image"] == first.said["image"]
    assert again.lock == first.lock
    assert len(index.downloads) == downloads
    assert "it is there already" in again.err


def test_the_same_lock_gives_the_same_image_wherever_it_is_built(builder, small):
    first = builder.run(small)
    other = builder.run(
        builder.request(**{**small, "tag": f"{small['tag']}-b", "lock": first.lock})
    )
    assert "==> installing" in other.err
    assert other.said["image"] == first.said["image"]


def test_a_lock_is_kept_to_when_newer_versions_come(builder, small, index, crane):
    first = builder.run(small)
    index.publish("gadget", "2.0")
    kept = builder.run({**small, "tag": f"{small['tag']}-b", "lock": first.lock})
    assert kept.said["lock"] == first.said["lock"]
    anew = builder.run({**small, "tag": f"{small['tag']}-c"})
    assert "gadget==2.0" in anew.lock
    assert anew.said["image"] != first.said["image"]


def test_a_new_server_image_takes_the_environment_without_a_build(
    builder, small, index, cluster, images, crane
):
    first = builder.run(small)
    newer = f"{cluster.fact('registry_push')}/model-server:{small['tag']}"
    command = [cluster.program("crane"), "mutate", "--insecure", images["model-server"]]
    command += ["--env", "NEW=1", "--label", "org.opencontainers.image.version=99", "--tag", newer]
    subprocess.run(command, check=True, capture_output=True)
    before = index.requests
    moved = builder.run(
        {**small, "base": newer, "tag": f"{small['tag']}-b", "lock": first.lock,
         "environment": first.said["image"]}
    )  # fmt: skip
    assert moved.status == 0, moved.err
    assert index.requests == before
    assert moved.said["lock"] == first.said["lock"]
    assert moved.said["image"] != first.said["image"]
    config = crane("config", moved.said["image"])
    assert "NEW=1" in config["config"]["Env"]
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == "99"
    layers = [crane("manifest", each.said["image"])["layers"][-1] for each in (first, moved)]
    assert layers[0] == layers[1]


def test_an_environment_with_another_lock_is_built_anew(builder, small, index):
    first = builder.run(small)
    index.publish("gadget", "2.0")
    request = {**small, "tag": f"{small['tag']}-b", "environment": first.said["image"]}
    other = builder.run(request)
    assert "==> installing" in other.err
    assert "gadget==2.0" in other.lock


def test_without_a_wheel_nothing_is_built_unless_it_is_allowed(builder, index):
    index.wheels["sourceonly-1.0.tar.gz"] = b"no archive"
    index.metadata["sourceonly-1.0.tar.gz"] = (
        b"Metadata-Version: 2.1\nName: sourceonly\nVersion: 1.0\n"
    )
    request = builder.request(requirements=["sourceonly==1.0"], options=options(index))
    refused = builder.run(request)
    assert (refused.status, refused.said["reason"]) == (1, "UnsupportedDependencies")
    assert "(sourceonly==1.0)" in refused.said["message"]
    assert "wheels only" in refused.said["message"]
    tried = builder.run(request | {"wheels_only": False})
    assert (tried.status, tried.said["reason"]) == (1, "EnvironmentUnbuildable")


def test_a_requirement_that_is_nowhere_is_named(builder, index):
    index.publish("gadget", "1.0")
    request = builder.request(requirements=["gadget", "nothing-like-it==3"], options=options(index))
    failed = builder.run(request)
    assert (failed.status, failed.said["reason"]) == (1, "EnvironmentUnbuildable")
    assert "nothing-like-it" in failed.said["message"]
    assert failed.out == ""
    assert "error: " in failed.err
    assert "\n\nhint: " in failed.err


def test_an_index_that_is_down_is_tried_again_later(builder):
    url = f"http://me:hunter2@127.0.0.1:{free_port()}/simple"
    env = {"UV_DEFAULT_INDEX": url, "UV_HTTP_RETRIES": "0"}
    failed = builder.run(builder.request(requirements=["gadget"]), env)
    assert (failed.status, failed.said["reason"]) == (75, "EnvironmentUnbuildable")
    assert "the package index does not answer" in failed.said["message"]
    assert "Is the package index up" in failed.said["hint"]
    assert "hunter2" not in json.dumps(failed.said) + failed.err + failed.out


def test_a_python_that_the_server_image_does_not_have_is_refused(builder, index):
    failed = builder.run(builder.request(python="3.9.1", requirements=["gadget"]))
    assert (failed.status, failed.said["reason"]) == (1, "PythonUnavailable")
    assert "3.9" in failed.said["message"]


def test_a_server_image_that_is_not_there_is_said(builder, cluster):
    base = f"{cluster.fact('registry_push')}/model-server:never"
    failed = builder.run(builder.request(base=base, requirements=["gadget"]))
    assert (failed.status, failed.said["reason"]) == (1, "ImageMissing")
    assert base in failed.said["message"]


def test_a_registry_that_speaks_plain_http_must_be_allowed(builder, small, cluster):
    # By its name: crane takes plain HTTP from private addresses as it is.
    port = cluster.fact("registry_push").rpartition(":")[2]
    request = small | {"push": f"registry.example:{port}/environments", "insecure": False}
    failed = builder.run(request)
    assert (failed.status, failed.said["reason"]) == (1, "ImageRegistryRefused")
    assert "insecure: true" in failed.said["hint"]


def test_a_registry_that_is_down_is_tried_again_later(builder, small):
    failed = builder.run(small | {"push": f"127.0.0.1:{free_port()}/environments"})
    assert (failed.status, failed.said["reason"]) == (75, "ImageRegistryUnreachable")


def test_too_little_room_is_said(builder, index):
    index.publish("gadget", "1.0")
    request = builder.request(requirements=["gadget"], options=options(index))
    failed = builder.run(request, room="16k")
    assert (failed.status, failed.said["reason"]) == (75, "EnvironmentUnbuildable")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """A registry that wants the login of me, hunter2."""
    port = free_port()
    hashed = subprocess.run(
        ["perl", "-e", r'print crypt("hunter2", "\$2y\$05\$" . "a" x 22)'],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    (tmp_path / "users").write_text(f"me:{hashed}\n")
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "kept")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "tests", "path": str(tmp_path / "users")}},
    }
    (tmp_path / "registry.json").write_text(json.dumps(config))
    command = ["docker-registry", "serve", str(tmp_path / "registry.json")]
    running = Running(command, tmp_path / "registry.log", {"PATH": "/usr/bin"}, tmp_path)
    try:
        wait_for(lambda: "listening" in running.tail() or _listens(port), "a registry", 20)
        yield f"127.0.0.1:{port}"
    finally:
        running.stop()


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_registry_that_wants_a_login_gets_it_from_the_secret(builder, small, guarded, tmp_path):
    request = small | {"push": f"{guarded}/environments", "labels": LABELS}
    refused = builder.run(request)
    assert (refused.status, refused.said["reason"]) == (75, "ImageRegistryRefused")
    assert "push_secret" in refused.said["hint"]
    login = {"auth": base64.b64encode(b"me:hunter2").decode()}
    (tmp_path / "registry-login").mkdir()
    path = tmp_path / "registry-login" / "config.json"
    path.write_text(json.dumps({"auths": {guarded: login}}))
    made = builder.run(request)
    assert made.status == 0, made.err
    assert made.said["image"].startswith(f"{guarded}/environments@sha256:")
    assert "hunter2" not in made.err + made.out
    kept = builder.remove(
        made.said["image"].partition("@")[2], repository=f"{guarded}/environments", labels=LABELS
    )
    assert (kept.status, kept.said["reason"]) == (1, "DeletionUnsupported")
    assert guarded in kept.said["message"]
    assert "delete.enabled" in kept.said["hint"]


def test_an_image_of_ours_is_removed_and_nobody_elses(builder, small, crane, cluster, images):
    theirs = LABELS | {"schnitzel.dev/platform": "theirs"}
    first = builder.run(small | {"labels": LABELS})
    again = {"lock": first.lock, "environment": first.said["image"]}
    other = builder.run({**small, **again, "tag": f"{small['tag']}-b", "labels": theirs})
    assert "taking the environment of" in other.err
    digests = [made.said["image"].partition("@")[2] for made in (first, other)]
    assert len(set(digests)) == 2
    done = builder.remove(*digests, f"sha256:{'0' * 64}", labels=LABELS)
    assert done.status == 0, done.err
    results = [json.loads(line)["result"] for line in done.out.splitlines()]
    assert results == ["removed", "foreign", "gone"]
    assert crane("manifest", other.said["image"])["layers"]
    with pytest.raises(subprocess.CalledProcessError):
        crane("manifest", first.said["image"])


def test_a_build_leaves_one_image_and_no_copy_of_the_server(builder, small, cluster):
    repository = f"{builder.push}-{small['tag']}"
    made = builder.run(small | {"push": repository, "labels": LABELS})
    listing = [cluster.program("crane"), "ls", "--insecure", repository]
    tags = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()
    assert tags == [small["tag"]], made.err


def test_whose_images_to_remove_must_be_said(builder):
    refused = builder.remove(f"sha256:{'0' * 64}", labels={})
    assert refused.status == 2
    assert "hint: give `labels`" in refused.err
