"""Install the Gateway API's CRDs, and run Traefik as their controller with a Gateway for all."""

import json
from pathlib import Path
from typing import Any

from stack.components.traefik import IDLE_BACKEND_SECONDS, binary
from testcluster import builds
from testcluster.facts import GATEWAY
from testcluster.kubectl import apply, kubectl
from testcluster.layout import NODE_IP, Layout
from testcluster.programs import Program
from testcluster.stamps import once


def crds(layout: Layout) -> None:
    """Have the API server know routes."""
    folder = builds.gateway_crds(layout.cache)
    flags = ("--server-side", "--force-conflicts", "--field-manager=testcluster")
    names = ("gatewayclasses", "gateways", "httproutes")
    wait = ("wait", "--for=condition=Established", "--timeout=30s")

    def make() -> None:
        kubectl(layout, "apply", *flags, "-f", str(folder))
        kubectl(layout, *wait, *(f"crd/{name}.gateway.networking.k8s.io" for name in names))

    once(layout, "gateway-crds", folder.name, make)


def objects(layout: Layout) -> None:
    """Make the Gateway."""
    made = _gateway(layout.ports["gateway"])
    once(layout, "gateway", json.dumps(made), lambda: apply(layout, made))


def program(layout: Layout) -> Program:
    """Traefik on the node, which reaches pods by their own addresses."""
    kubeconfig = layout.state / "config/traefik.kubeconfig"
    ping = f"{NODE_IP}:{layout.ports['gateway-ping']}"
    settings = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO", "noColor": True},
        "entryPoints": {
            "web": {"address": f"{NODE_IP}:{layout.ports['gateway']}"},
            "traefik": {"address": ping},
        },
        "serversTransport": {
            "maxIdleConnsPerHost": 256,
            "forwardingTimeouts": {"idleConnTimeout": f"{IDLE_BACKEND_SECONDS}s"},
        },
        "ping": {},
        "metrics": {"prometheus": {}},
        "providers": {
            "providersThrottleDuration": "100ms",
            "kubernetesGateway": {"statusAddress": {"ip": NODE_IP}},
        },
    }
    config = layout.config("traefik.json", json.dumps(settings, indent=1))
    command: list[str | Path] = [binary(), f"--configFile={config}"]
    return Program(
        "traefik",
        command,
        lambda: _programmed(layout),
        reads=[config, kubeconfig],
        environment={"KUBECONFIG": str(kubeconfig)},
    )


def _programmed(layout: Layout) -> bool:
    path = '-o=jsonpath={.status.conditions[?(@.type=="Programmed")].status}'
    arguments = ("get", "gateway", "-n", GATEWAY["namespace"], GATEWAY["name"], path)
    return kubectl(layout, *arguments, check=False).stdout == "True"


def _gateway(port: int) -> list[dict[str, Any]]:
    api = "gateway.networking.k8s.io/v1"
    listener = {
        "name": "web",
        "protocol": "HTTP",
        "port": port,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GATEWAY["namespace"]}},
        {
            "apiVersion": api,
            "kind": "GatewayClass",
            "metadata": {"name": "traefik"},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": api,
            "kind": "Gateway",
            "metadata": GATEWAY,
            "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
        },
    ]
