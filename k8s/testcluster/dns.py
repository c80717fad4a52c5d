"""Run CoreDNS on the node, behind the Service `kube-dns`, as pods expect it."""

import json
from pathlib import Path
from typing import Any

from testcluster.kubectl import apply
from testcluster.layout import DNS_SERVICE_IP, NODE_IP, Layout
from testcluster.programs import Program, answers
from testcluster.stamps import once


def program(layout: Layout) -> Program:
    """CoreDNS: the cluster's names from the API server, all others from this machine's servers."""
    kubeconfig = layout.state / "config/coredns.kubeconfig"
    ready = f"{NODE_IP}:{layout.ports['dns-ready']}"
    config = layout.config(
        "Corefile",
        f"""\
.:{layout.ports["dns"]} {{
    bind {NODE_IP}
    ready {ready}
    errors
    cache 5
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }}
    forward . /etc/resolv.conf
}}
""",
    )
    command: list[str | Path] = [layout.bin / "coredns", "-conf", config]
    return Program(
        "coredns", command, lambda: answers(f"http://{ready}/ready"), reads=[config, kubeconfig]
    )


def service(layout: Layout) -> None:
    """Make the Service at the address that pods have in resolv.conf."""
    objects = _service(layout.ports["dns"])
    once(layout, "dns", json.dumps(objects), lambda: apply(layout, objects))


def _service(port: int) -> list[dict[str, Any]]:
    metadata = {"name": "kube-dns", "namespace": "kube-system"}
    protocols = {"dns": "UDP", "dns-tcp": "TCP"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "clusterIP": DNS_SERVICE_IP,
                "ports": [
                    {"name": name, "port": 53, "targetPort": port, "protocol": protocol}
                    for name, protocol in protocols.items()
                ],
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata | {"labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [NODE_IP], "conditions": {"ready": True}}],
            "ports": [
                {"name": name, "port": port, "protocol": protocol}
                for name, protocol in protocols.items()
            ],
        },
    ]
