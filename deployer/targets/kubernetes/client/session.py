"""Send authenticated requests to one cluster, by a kubeconfig or a pod's own account.

The official `kubernetes` package reads the configuration and handles exec plugins, token refresh,
TLS and proxies. Bodies stay bytes: no model objects, which cost memory.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from deployer.errors import SettingsInvalid
from deployer.targets.kubernetes.client.errors import Unavailable

CONNECT_SECONDS: Final = 5.0
CONNECTIONS: Final = 64
"""Connections kept alive for one cluster; one for each of our threads is enough."""


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """The way to a cluster; by default that of `kubectl` (KUBECONFIG, then ~/.kube/config)."""

    kubeconfig: Path | None = None
    context: str | None = None
    in_cluster: bool = False


class Session:
    """A pool of connections to one API server, safe to use from many threads.

    Raises:
        SettingsInvalid: The configuration cannot be read or names no such context.
    """

    def __init__(self, access: ClusterAccess) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._load()

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        seconds: float = 10.0,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request, once. `seconds` bounds each wait for the server's next bytes.

        Raises:
            Unavailable: The server did not answer.
        """
        with self._lock:
            pool, authorization = self._pool, self._authorization()
        headers = {"Accept": "application/json", "User-Agent": "schnitzel"}
        if authorization:
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = content_type
        url = f"{self._url}{path}?{urlencode(query)}" if query else f"{self._url}{path}"
        try:
            return pool.urlopen(
                method,
                url,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=seconds),
                preload_content=not stream,
            )
        except (HTTPError, OSError) as error:
            raise self.lost(error) from error

    def lost(self, error: Exception) -> Unavailable:
        """Build the error of a request that found no server, or of an answer that broke off."""
        reached = not isinstance(
            error, (NewConnectionError, ConnectTimeoutError, NameResolutionError, ProxyError)
        )
        if isinstance(error, SSLError):
            return Unavailable(
                f"The cluster at {self.host} shows a certificate that is not trusted.",
                "Check certificate-authority in the cluster's kubeconfig.",
                reached=False,
            )
        return Unavailable(
            f"The cluster at {self.host} does not answer ({type(error).__name__}).",
            "Is its API server running, and reachable from here? kubectl version",
            reached=reached,
        )

    def renew(self) -> None:
        """Read the configuration and the credentials anew, after the server refused them."""
        old = self._pool
        with self._lock:
            self._load()
        old.clear()

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()

    def _load(self) -> None:
        from kubernetes.client.rest import RESTClientObject

        self._configuration = configuration = _configure(self._access)
        self._url: str = configuration.host.rstrip("/")
        self.host: str = urlsplit(self._url).netloc.rpartition("@")[2]
        self._pool: urllib3.PoolManager = RESTClientObject(configuration).pool_manager

    def _authorization(self) -> str:
        token = self._configuration.auth_settings().get("BearerToken")
        return str(token["value"]) if token else ""


def _configure(access: ClusterAccess) -> Any:
    from kubernetes import config
    from kubernetes.client import Configuration

    configuration = Configuration()
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.keep_alive = True
    try:
        if access.in_cluster:
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            file = str(access.kubeconfig) if access.kubeconfig else None
            config.load_kube_config(file, access.context, configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, ValueError) as error:
        where = "this pod's account" if access.in_cluster else (access.kubeconfig or "kubeconfig")
        raise SettingsInvalid(
            f"The cluster's configuration cannot be used ({where}): {_first_line(error)}",
            "Check clusters.NAME.kubeconfig and context in platform.yaml.",
        ) from error
    return configuration


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
