"""Configure model servers to consume queues, and tell each its share of the messages."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from deployer.errors import TargetUnavailable
from deployer.state.predictor import Predictor
from deployer.targets.local.counts import SECONDS
from deployer.targets.queue_servers import PATH
from deployer.targets.shares import Share


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """The files by which a model server finds a broker and trusts it."""

    url: Path
    certificates: Path | None = None


class _About(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def environment(self) -> str: ...


class Consumers:
    """The brokers of the platform, and the key to the shares of its model servers.

    Args:
        brokers: The files of each broker, by its name.
        key: Returns the secret from which the token of each predictor is derived.
    """

    def __init__(self, brokers: Mapping[str, BrokerFiles], key: Callable[[], bytes]) -> None:
        self._brokers = brokers
        self._key = key

    def section(self, about: _About, predictor: Predictor) -> dict[str, Any]:
        """Build what a model server's configuration says of its queue; nothing without one."""
        if predictor.spec.runtime != "queue":
            return {}
        queue = predictor.spec.queue.named(about.model, about.environment)
        files = self._brokers.get(queue.broker)
        section = {
            "source": queue.source,
            "results": [one.model_dump() for one in queue.results],
            "dead_letter": queue.dead_letter,
            "prefetch": queue.prefetch,
            "attempts": queue.attempts,
            "share": [0.0, 0.0],
            "url_file": str(files.url) if files else "",
            "ca_file": str((files and files.certificates) or ""),
        }
        digest = hashlib.sha256(self._token(predictor.name).encode()).hexdigest()
        return {"queue": section, "admin_token_digest": digest}

    def put(self, host: str, server: Mapping[str, Any], share: Share) -> None:
        """Tell a running model server its share.

        Args:
            host: The host of the model servers.
            server: The configuration of the server's last start.
            share: Its share of the messages.

        Raises:
            TargetUnavailable: The server does not answer, or refuses the share.
        """
        name, port = str(server.get("predictor")), server.get("admin_port")
        try:
            answer = httpx.put(
                f"http://{host}:{port}{PATH}",
                json={"share": share},
                headers={"Authorization": f"Bearer {self._token(name)}"},
                timeout=SECONDS,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            said = type(error).__name__
        else:
            if answer.status_code == httpx.codes.OK:
                return
            said = f"HTTP {answer.status_code}: {answer.text[:200]}"
        raise TargetUnavailable(
            f"The model server {name} did not take its share of the messages: {said}.",
            "schnitzel doctor",
        )

    def _token(self, predictor: str) -> str:
        return hmac.new(self._key(), predictor.encode(), hashlib.sha256).hexdigest()


NOBODY: Final = Consumers({}, bytes)
"""Without a broker, no model server consumes a queue."""
