"""Write the routes of deployments for Traefik, and read the weights that Traefik serves.

Traefik watches a folder of files, one per deployment; its API shows which weights are live. One
answer shows those of all deployments.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import yaml

from deployer import naming
from deployer.errors import GatewayUnavailable, TargetUnavailable
from stack.files import Stamp, stamp, stamps, write_private

LOOPBACK = "127.0.0.1"
FRESH_SECONDS = 0.05
"""How long an answer counts for a deployment whose weights are not live yet."""

STEADY_SECONDS = 2.0
"""How long an answer counts for a deployment whose weights are live."""

AWAY_SECONDS = 1.0
"""How long a failure counts: a Traefik that hangs delays one pass a second, and not each."""

SETTLES_SECONDS = 1.0
"""How long after a write Traefik may still serve what was written before: ten of its throttles."""

PAGE = 1000
HEALTH_CHECK = {"path": "/v2/health/ready", "interval": "500ms", "timeout": "2s"}

Share = tuple[Sequence[object], int]  # ports, and percent
Weights = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Route:
    """The route of a deployment as it should be.

    Attributes:
        shares: The ports and the weight of each predictor.
        since: When the route became as it should be.
        compared: Whether the file was found to have these shares.
        stamp: Its stamp then; None where there is to be none.
        returned: Whether these shares were live when they were written over others, which Traefik
            may yet take up in between.
    """

    shares: Mapping[str, Share]
    since: float
    compared: bool
    stamp: Stamp | None
    returned: bool = False

    @property
    def weights(self) -> Weights:
        """The weight of each predictor."""
        return {name: weight for name, (_, weight) in self.shares.items()}


class Gateway:
    """Routes of the local gateway.

    Args:
        folder: The folder that Traefik watches.
        url: The address at which requests arrive.
        api_url: The address of Traefik's API.
        servers: The host at which Traefik and the Deployer reach model servers.
        timer: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        api_url: str,
        servers: str = LOOPBACK,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self.servers = servers
        self._url = url.rstrip("/")
        self._client = httpx.Client(base_url=api_url.rstrip("/"), timeout=2, trust_env=False)
        self._timer = timer
        self._routes: dict[str, _Route] = {}
        self._lock = threading.Lock()
        self._live: Mapping[str, Weights] = {}
        self._read_at = float("-inf")
        self._failed: tuple[float, GatewayUnavailable] | None = None

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
        there = stamp(self._file(deployment))  # before the file is read
        known = self._routes.get(deployment)
        same = known if known and known.shares == shares else None
        if same and same.compared and same.stamp == there:
            return False
        wanted = config(deployment, model, environment, shares, self.servers)
        changed = self._write(deployment, wanted)
        if same and not changed:
            self._routes[deployment] = replace(same, compared=True, stamp=there)
            return False
        route = _Route(dict(shares), self._timer(), not changed, there)
        returned = changed and bool(shares) and self._live.get(deployment) == route.weights
        self._routes[deployment] = replace(route, returned=returned)
        return changed

    def _write(self, deployment: str, wanted: Mapping[str, Any]) -> bool:
        """Write a route file or, without a route, remove it; returns whether it changed."""
        path = self._file(deployment)
        text = yaml.safe_dump(wanted, sort_keys=True).encode() if wanted else None
        there = path.read_bytes() if path.exists() else None
        if there == text:
            return False
        if there is not None and not self._is_ours(deployment):
            if text is None:
                return False
            own = path.with_stem(f"own-{deployment}")
            raise TargetUnavailable(
                f"The route of {deployment} would overwrite {path}, which is a foreign file.",
                f"Give that file another name: {shlex.join(['mv', str(path), str(own)])}",
                transient=False,
            )
        if text is None:
            path.unlink(missing_ok=True)
            return True
        self._folder.mkdir(parents=True, exist_ok=True)
        write_private(path, text.decode())
        return True

    def written(self, deployment: str) -> dict[str, Any] | None:
        """Read the route file of a deployment; None if there is no readable one."""
        try:
            found = yaml.safe_load(self._file(deployment).read_text())
        except (OSError, ValueError, yaml.YAMLError):
            return None
        return found if isinstance(found, dict) else None

    def _is_ours(self, deployment: str) -> bool:
        """Decide whether a file routes this deployment and nothing else, as our files do."""
        http = (self.written(deployment) or {}).get("http")
        return isinstance(http, dict) and all(
            list(http.get(part) or ()) == [deployment] for part in ("routers", "middlewares")
        )

    def stamps(self) -> dict[str, Stamp]:
        """Return the stamp of each route file, by its deployment."""
        return {name.removesuffix(".yaml"): each for name, each in stamps(self._folder).items()}

    def live(self, deployment: str) -> Weights:
        """Read the weight in percent of each predictor that takes requests now.

        None does while an answer cannot tell weights that Traefik still has from the same weights
        that it has again.

        Raises:
            GatewayUnavailable: Traefik's API does not answer.
        """
        with self._lock:
            lasts = STEADY_SECONDS if self._is_live(deployment) else FRESH_SECONDS
            found = self._read_within(lasts).get(deployment, {})
            return {} if self._is_doubtful(deployment) else found

    def wanted(self, deployment: str) -> Weights:
        """Return the weights that the last call of `route` asked for."""
        route = self._routes.get(deployment)
        return route.weights if route else {}

    def look(self) -> Mapping[str, Weights]:
        """Read the weights of every deployment; raises as `live` does."""
        with self._lock:
            return self._read_within(STEADY_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _file(self, deployment: str) -> Path:
        return self._folder / f"{deployment}.yaml"

    def _is_live(self, deployment: str) -> bool:
        """Decide whether the last answer, given since the route was written, has its weights."""
        route = self._routes.get(deployment)
        if route is None or self._read_at <= route.since or self._is_doubtful(deployment):
            return False
        return self._live.get(deployment, {}) == route.weights

    def _is_doubtful(self, deployment: str) -> bool:
        """Decide whether what the last answer shows as live may be what was so once before."""
        route = self._routes.get(deployment)
        if route is None or not route.returned or self._live.get(deployment) != route.weights:
            return False
        return self._read_at <= route.since + SETTLES_SECONDS

    def _read_within(self, seconds: float) -> Mapping[str, Weights]:
        """Return the last answer if it is no older than `seconds`, else a new one."""
        now = self._timer()
        if now - self._read_at <= seconds:
            return self._live
        if self._failed and now - self._failed[0] <= AWAY_SECONDS:
            raise self._failed[1]
        try:
            self._live = self._read()
        except GatewayUnavailable as error:
            self._failed = self._timer(), error
            raise
        self._read_at, self._failed = now, None
        return self._live

    def _read(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        page = 1
        try:
            while page:
                answer = self._client.get(
                    "/api/http/services", params={"page": page, "per_page": PAGE}
                )
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
