"""Serve the API server's pods as scrape targets, in Prometheus's `http_sd` form.

Debian builds Prometheus without its Kubernetes discovery. This gives the same targets with the
same `__meta_kubernetes_pod_*` labels (prometheus.io/docs, "kubernetes_sd_config", role pod), so
that the relabelling is that of any cluster. Run by path: it needs nothing of the other modules.
"""

import argparse
import json
import re
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import urlopen


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--listen", "--server", "--authority", "--certificate", "--key"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    context = ssl.create_default_context(cafile=given.authority)
    context.load_cert_chain(given.certificate, given.key)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                url = f"{given.server}/api/v1/pods?resourceVersion=0"
                with urlopen(url, timeout=4, context=context) as answer:  # noqa: S310 - our server
                    body = json.dumps(list(_targets(json.load(answer)))).encode()
                status = 200
            except OSError as error:
                body, status = f"{error}\n".encode(), 503
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
            pass

    host, _, port = given.listen.rpartition(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


def _targets(pods: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One for each container port of a pod that has an address."""
    for pod in pods["items"]:
        address = pod["status"].get("podIP")
        if not address:
            continue
        common = {
            "__meta_kubernetes_namespace": pod["metadata"]["namespace"],
            "__meta_kubernetes_pod_name": pod["metadata"]["name"],
            "__meta_kubernetes_pod_ip": address,
            "__meta_kubernetes_pod_phase": pod["status"]["phase"],
            **_names("label", pod["metadata"].get("labels", {})),
            **_names("annotation", pod["metadata"].get("annotations", {})),
        }
        for container in pod["spec"]["containers"]:
            for port in container.get("ports", []):
                number = str(port["containerPort"])
                labels = {
                    "__meta_kubernetes_pod_container_name": container["name"],
                    "__meta_kubernetes_pod_container_port_name": port.get("name", ""),
                    "__meta_kubernetes_pod_container_port_number": number,
                }
                yield {"targets": [f"{address}:{number}"], "labels": common | labels}


def _names(kind: str, values: dict[str, str]) -> dict[str, str]:
    prefix = f"__meta_kubernetes_pod_{kind}_"
    return {prefix + re.sub(r"[^a-zA-Z0-9_]", "_", key): value for key, value in values.items()}


if __name__ == "__main__":
    main()
