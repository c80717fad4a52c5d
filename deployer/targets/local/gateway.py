"""Write the routes of deployments for Traefik, and read the weights that Traefik serves.

Traefik watches a folder of files, one per deployment; its API shows which weights are live.
"""

from __future__ import annotations

import os
import shlex
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from deployer import naming
from deployer.errors import GatewayUnavailable, TargetUnavailable

LOOPBACK = "127.0.0.1"
FRESH_SECONDS = 0.05
HEALTH_CHECK = {"path": "/v2/health/ready", "interval": "500ms", "timeout": "2s"}

Share = tuple[Sequence[object], int]  # ports, and percent


class Gateway:
    """Routes of the local gateway.

    Args:
        folder: The folder that Traefik watches.
        url: The address at which requests arrive.
        api_url: The address of Traefik's API.
        servers: The host at which Traefik and the Deployer reach model servers.
    """

    def __init__(self, folder: Path, url: str, api_url: str, servers: str = LOOPBACK) -> None:
        self._folder = folder
        self.servers = servers
        self._url = url.rstrip("/")
        self._client = httpx.Client(base_url=api_url.rstrip("/"), timeout=2, trust_env=False)
        self._lock = threading.Lock()
        self._live: dict[str, dict[str, int]] = {}
        self._read_at = 0.0

    def url(self, model: str, environment: str) -> str:
        """Return the address of a deployment, with a slash at its end."""
        return f"{self._url}/{environment}/{naming.url_segment(model)}/"

    def route(
        self, deployment: str, model: str, environment: str, shares: Mapping[str, Share]
    ) -> bool:
        """Split requests over predictors; without shares, remove the route.

        Args:
            deployment: The deployment's id.
            model: The registered model's name.
            environment: The environment's name.
            shares: For each predictor the ports of its replicas and its weight in percent, above 0.

        Returns:
            Whether the route file changed.

        Raises:
            TargetUnavailable: A foreign file has the route's name, and stays as it is.
        """
        path = self._folder / f"{deployment}.yaml"
        wanted = config(deployment, model, environment, shares, self.servers)
        text = yaml.safe_dump(wanted, sort_keys=True).encode() if wanted else None
        there = path.read_bytes() if path.exists() else None
        if there == text:
            return False
        if there is not None and not self._is_ours(deployment):
            if text is None:
                return False
            own = path.with_stem(f"own-{deployment}")
            raise TargetUnavailable(
                f"The route of {deployment} would overwrite {path}, which is somebody else's.",
                f"Give that file another name: {shlex.join(['mv', str(path), str(own)])}",
                transient=False,
            )
        if text is None:
            path.unlink(missing_ok=True)
            return True
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.decode())
        return True

    def written(self, deployment: str) -> dict[str, Any] | None:
        """Read the route file of a deployment; None if there is no readable one."""
        try:
            found = yaml.safe_load((self._folder / f"{deployment}.yaml").read_text())
        except (OSError, ValueError, yaml.YAMLError):
            return None
        return found if isinstance(found, dict) else None

    def _is_ours(self, deployment: str) -> bool:
        """Decide whether a file routes this deployment and nothing else, as our files do."""
        http = (self.written(deployment) or {}).get("http")
        return isinstance(http, dict) and all(
            list(http.get(part) or ()) == [deployment] for part in ("routers", "middlewares")
        )

    def live(self, deployment: str) -> dict[str, int]:
        """Read the weight in percent of each predictor that takes requests now.

        Raises:
            GatewayUnavailable: Traefik's API does not answer.
        """
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                self._live = self._read()
                self._read_at = time.monotonic()
            return self._live.get(deployment, {})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _read(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        page = 1
        try:
            while page:
                answer = self._client.get("/api/http/services", params={"page": page})
                answer.raise_for_status()
                for service in answer.json():
                    name, _, provider = str(service.get("name", "")).partition("@")
                    weighted = service.get("weighted")
                    if provider == "file" and weighted:
                        found[name] = {
                            part["name"].partition("@")[0]: int(part.get("weight", 1))
                            for part in weighted.get("services", [])
                        }
                # Traefik names the next page in a header; the last one names page 1.
                following = int(answer.headers.get("x-next-page", "1"))
                page = following if following > page else 0
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise GatewayUnavailable(
                f"The gateway's API does not answer ({type(error).__name__}).", "schnitzel doctor"
            ) from error
        return found


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file, so that a reader or a crash finds the whole old text or the whole new one."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)  # noqa: PTH101 - it is a name, not yet a path
        os.replace(name, path)  # noqa: PTH105 - likewise
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def config(
    deployment: str, model: str, environment: str, shares: Mapping[str, Share], host: str
) -> dict[str, Any]:
    """Build the route of a deployment for Traefik; empty if no predictor takes requests."""
    if not shares:
        return {}
    prefix = f"/{environment}/{naming.url_segment(model)}"
    services: dict[str, Any] = {
        deployment: {
            "weighted": {
                "services": [
                    {"name": name, "weight": weight} for name, (_, weight) in sorted(shares.items())
                ]
            }
        }
    }
    for name, (ports, _) in shares.items():
        servers = [{"url": f"http://{host}:{port}"} for port in ports]
        services[name] = {"loadBalancer": {"servers": servers}}
        if len(ports) > 1:  # Traefik leaves out a replica that is not ready while another is
            services[name]["loadBalancer"]["healthCheck"] = HEALTH_CHECK
    return {
        "http": {
            "routers": {
                deployment: {
                    "rule": f"Path(`{prefix}`) || PathPrefix(`{prefix}/`)",
                    "service": deployment,
                    "middlewares": [deployment],
                    "entryPoints": ["web"],
                }
            },
            "middlewares": {deployment: {"stripPrefix": {"prefixes": [prefix]}}},
            "services": services,
        }
    }
