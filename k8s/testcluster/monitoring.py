"""Run Prometheus, which finds our pods, and others by annotation, and asks them."""

import json
import sys
from pathlib import Path
from typing import Any

from testcluster.layout import NODE_IP, Layout
from testcluster.programs import Program, answers

_POD = "__meta_kubernetes_pod_"
_ASKED = f"{_POD}annotation_prometheus_io_scrape"
_MANAGED = f"{_POD}label_app_kubernetes_io_managed_by"


def programs(layout: Layout) -> tuple[Program, Program]:
    """Prometheus, for pods that we manage at their port `http` and those annotated as is usual."""
    return _discovery(layout), _prometheus(layout)


def _discovery(layout: Layout) -> Program:
    url, pki = layout.url("pod-discovery"), layout.pki
    script = Path(__file__).with_name("poddiscovery.py")
    command: list[str | Path] = [
        *(sys.executable, script, "--listen", url.removeprefix("http://")),
        *("--server", layout.url("apiserver", "https"), "--authority", pki / "ca.crt"),
        *("--certificate", pki / "prometheus.crt", "--key", pki / "prometheus.key"),
    ]
    return Program("pod-discovery", command, lambda: answers(url), reads=[script])


def _prometheus(layout: Layout) -> Program:
    discovery = [{"url": layout.url("pod-discovery"), "refresh_interval": "2s"}]
    jobs = [
        {"job_name": "pods", "http_sd_configs": discovery, "relabel_configs": _relabel()},
        _fixed("gateway", layout.ports["gateway-ping"]),
    ]
    settings = {"global": {"scrape_interval": "5s", "scrape_timeout": "4s"}, "scrape_configs": jobs}
    config = layout.config("prometheus.json", json.dumps(settings, indent=1))
    command: list[str | Path] = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={layout.state}/prometheus",
        "--storage.tsdb.retention.time=2d",
        f"--web.listen-address={NODE_IP}:{layout.ports['prometheus']}",
        "--log.level=warn",
    ]
    ready = layout.url("prometheus") + "/-/ready"
    return Program("prometheus", command, lambda: answers(ready), reads=[config])


def _fixed(name: str, port: int) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": [f"{NODE_IP}:{port}"]}]}


def _relabel() -> list[dict[str, Any]]:
    port, path = f"{_POD}annotation_prometheus_io_port", f"{_POD}annotation_prometheus_io_path"
    return [
        _keep([_ASKED, _MANAGED], "true;.*|;schnitzel"),
        _keep([f"{_POD}phase"], "Pending|Running"),
        # The port that is annotated, else the one called http.
        _keep([port, f"{_POD}container_port_name"], r"\d+;.*|;http"),
        {
            "source_labels": [f"{_POD}ip", port],
            "regex": r"(.+);(\d+)",
            "replacement": "$1:$2",
            "target_label": "__address__",
        },
        {"source_labels": [path], "regex": "(.+)", "target_label": "__metrics_path__"},
        {"regex": f"{_POD}label_schnitzel_dev_(.+)", "action": "labelmap"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": [f"{_POD}name"], "target_label": "pod"},
    ]


def _keep(sources: list[str], pattern: str) -> dict[str, Any]:
    return {"source_labels": sources, "regex": pattern, "action": "keep"}
