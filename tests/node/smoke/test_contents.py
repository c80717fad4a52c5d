"""What is in the images, and that each runs as nobody on a root that cannot be written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest
from support.systems.cluster import Cluster
from support.systems.images import NAMES, built, docker, push_reference


@pytest.fixture
def run(cluster: Cluster) -> Callable[..., subprocess.CompletedProcess[str]]:
    def start(name: str, *command: str, entrypoint: str = ""):
        image = push_reference(cluster, built(cluster, name)[name])
        return subprocess.run(
            [
                *(docker(), "run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp"),
                *("--cap-drop=ALL", "--security-opt=no-new-privileges"),
                *([f"--entrypoint={entrypoint}"] if entrypoint else []),
                *(image, *command),
            ],
            env={**os.environ, "DOCKER_HOST": cluster.fact("docker_host")},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    return start


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_what_it_is(cluster, crane, name):
    config = crane("config", push_reference(cluster, built(cluster, name)[name]))["config"]
    assert config["User"] == "65532:65532"
    labels = {
        key.removeprefix("org.opencontainers.image."): config["Labels"][key]
        for key in config["Labels"]
    }
    assert labels["title"].startswith("Schnitzel ")
    assert labels["licenses"] == "Apache-2.0"
    assert labels["version"]
    assert labels["revision"]
    assert labels["base.name"]


@pytest.mark.parametrize("name", NAMES)
def test_an_image_has_no_build_tools(run, name):
    tools = "for tool in gcc cc make git curl wget; do command -v $tool; done; true"
    assert run(name, "-c", tools, entrypoint="/bin/sh").stdout == ""
    if name != "environment-builder":
        done = run(name, "-c", "import pip", entrypoint="/opt/schnitzel/bin/python")
        assert "No module named 'pip'" in done.stderr


def test_the_server_says_how_it_is_to_be_started(run):
    done = run("model-server", "/nowhere.json")
    assert done.returncode == 2
    assert done.stderr.startswith("error: /nowhere.json cannot be read")


def test_the_builder_says_how_it_is_to_be_started(run):
    done = run("environment-builder")
    assert done.returncode == 2
    assert "error: [Errno 2] No such file or directory: '/etc/build/request.json'" in done.stderr


def test_the_deployer_starts_and_has_its_charts(run):
    assert "gateway.port" in run("deployer", "settings").stdout
    looks = (
        "import deployer.service, deployer.targets.kubernetes.render.charts as r; print(r._own())"
    )
    done = run("deployer", "-c", looks, entrypoint="/opt/schnitzel/bin/python")
    assert done.stdout.strip() == "/opt/schnitzel/share/schnitzel/helm", done.stderr
    charts = run("deployer", "/opt/schnitzel/share/schnitzel/helm", entrypoint="/bin/ls").stdout
    assert "model-server" in charts.split()
