"""A Deployer that does not know a record's format ends at its start, and leaves all as it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml
from support import recorded
from support.run.ports import free_port
from support.run.process import Running
from support.systems.cluster import Cluster

from deployer.targets.kubernetes.records import crd
from stack import credentials
from stack.paths import Layout

PLATFORM = "unknownformat"


def start(home: Path, real: Cluster, namespace: str) -> Running:
    """Start a Deployer whose one environment is the namespace."""
    settings = {
        "mlflow": {"url": "http://127.0.0.1:9"},
        "deployer": {"port": free_port()},
        "clusters": {
            "tests": {
                "kubeconfig": str(real.kubeconfig),
                "gateway": {"name": "none", "namespace": namespace, "url": "http://127.0.0.1:9/"},
                "registry": {"push": "registry.invalid/envs", "pull": "registry.invalid/envs"},
                "server_image": "registry.invalid/model-server:1",
                "build": {"namespace": namespace, "image": "registry.invalid/builder:1"},
            }
        },
        "environments": {
            namespace: {"alias": "champion", "target": "kubernetes", "cluster": "tests"}
        },
    }
    (home / "platform.yaml").write_text(yaml.safe_dump(settings))
    credentials.ensure(Layout(home))
    env = os.environ | {"SCHNITZEL_HOME": str(home), "SCHNITZEL_PLATFORM_ID": PLATFORM}
    return Running([sys.executable, "-m", "deployer", "run"], home / "deployer.log", env)


def test_a_record_that_is_not_known_ends_the_start_and_gives_the_lease_back(
    real: Cluster, namespace: str, tmp_path: Path
):
    kept = crd.manifest(recorded.everything(), PLATFORM, namespace)
    kept["metadata"]["annotations"][crd.FORMAT_NOTE] = "999"
    real.apply(kept, namespace=namespace)
    name = kept["metadata"]["name"]
    before = real.get("modeldeployment", name, "-n", namespace)

    home = tmp_path / "home"
    home.mkdir()
    deployer = start(home, real, namespace)
    try:
        status = deployer.process.wait(120)
    finally:
        deployer.stop()

    said = deployer.tail()
    assert status not in (0, -9), said
    assert f"{namespace}/{name}" in said
    assert "is not known here" in said
    assert "Traceback" not in said
    assert real.get("modeldeployment", name, "-n", namespace) == before
    [lease] = real.get("leases", "-n", namespace)["items"]
    assert not lease["spec"].get("holderIdentity"), lease
