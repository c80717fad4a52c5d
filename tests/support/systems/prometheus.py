"""A real Prometheus on loopback, from Debian's package, in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.run.ports import free_port
from support.run.process import Running
from support.run.wait import wait_for

MISSING = "no Prometheus; apt-get install prometheus"


class Prometheus:
    """What it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=30)

    @property
    def ready(self) -> bool:
        with suppress(httpx.TransportError):
            return self._client.get("/-/ready").status_code == 200
        return False

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query."""
        found: list[dict[str, Any]] = self._ask("query", query=promql)["result"]
        return found

    def series(self, selector: str) -> list[dict[str, str]]:
        """Return the labels of all series that a selector finds."""
        found: list[dict[str, str]] = self._ask("series", **{"match[]": selector})
        return found

    def close(self) -> None:
        self._client.close()

    def _ask(self, what: str, **parameters: str) -> Any:
        answer = self._client.get(f"/api/v1/{what}", params=parameters).json()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]


def program(name: str) -> str:
    """Find a program of the package; without it the test is skipped, or fails in CI."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return found


@contextmanager
def running_prometheus(folder: Path, *targets: str, listed: str = "") -> Iterator[Prometheus]:
    """Run one that scrapes each second these targets, and those that a page lists."""
    job: dict[str, Any] = {
        "job_name": "models",
        "static_configs": [{"targets": list(targets)}],
        "http_sd_configs": [{"url": listed, "refresh_interval": "1s"}] if listed else [],
    }
    every = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    config, port = folder / "prometheus.json", free_port()
    config.write_text(json.dumps({"global": every, "scrape_configs": [job]}), encoding="utf-8")
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    process = Running(command, folder / "prometheus.log", {"PATH": os.environ["PATH"]})
    found = Prometheus(f"http://127.0.0.1:{port}")
    try:
        wait_for(lambda: found.ready, "Prometheus ready")
        yield found
    finally:
        found.close()
        process.stop()
