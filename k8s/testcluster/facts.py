"""Write facts.json, which is all that a test needs to know of a cluster."""

import json
from typing import Any

from stack.files import keep
from testcluster.layout import NODE_IP, Layout

GATEWAY = {"name": "schnitzel-gateway", "namespace": "schnitzel"}


def write(layout: Layout) -> None:
    """Say what there is; a reader sees the whole file or none."""
    keep(layout.facts, json.dumps(facts(layout), indent=1) + "\n")


def facts(layout: Layout) -> dict[str, Any]:
    """What tests read, by the names that they use."""
    always = {
        "control_plane_only": layout.control_plane_only,
        "state": str(layout.state),
        "kubeconfig": str(layout.kubeconfig),
        "audit_log": str(layout.audit_log),
        "logs": str(layout.logs),
        "bin": str(layout.bin),
    }
    if layout.control_plane_only:
        return always
    port = layout.ports["registry"]
    return always | {
        "node_ip": NODE_IP,
        "registry_host": f"{NODE_IP}:{port}",  # as this machine's docker and crane reach it
        "registry_push": f"{NODE_IP}:{port}",
        "registry_pull": f"localhost:{port}",
        "base_image": f"{NODE_IP}:{port}/base:bookworm",
        "gateway": GATEWAY,
        "gateway_url": layout.url("gateway"),
        "ca_bundle": "/etc/ssl/certs/ca-certificates.crt",
        "docker_host": f"unix://{layout.run}/docker.sock",
        "containerd": str(layout.run / "containerd.sock"),
        "mlflow_url": layout.url("mlflow"),
        "s3_endpoint": layout.url("s3"),
        "s3_credentials": str(layout.state / "s3-credentials.json"),
        "postgres_dsn_file": str(layout.state / "postgres-dsn"),
        "prometheus_url": layout.url("prometheus"),
    }
