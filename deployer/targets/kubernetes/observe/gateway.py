"""Ask the gateway which weights of a deployment's HTTPRoute it serves.

An applied route is not yet a served route. A request on the route's own path comes back with the
header that the route sets (see route.py), whatever the predictors behind it do. A gateway may have
replicas that learn of a change one after the other, so this module asks several times, each time on
a new connection, and a change counts as live when all answers agree.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from deployer.errors import GatewayUnavailable
from deployer.targets.kubernetes.render import route as routes

SAMPLES = 3
FRESH_SECONDS = 0.05
"""How long an answer counts while the controller waits for a change."""

STEADY_SECONDS = 1.0
"""Confirmed weights count as long as the gateway answered any request within this time, so that a
thousand unchanged deployments cost one request a second together, and take turns in it."""

_HINT = "schnitzel cluster check"


@dataclass(frozen=True, slots=True)
class _Answer:
    """The last answer on a deployment: path, wanted mark, live weights, time."""

    path: str
    wanted: str
    live: Mapping[str, int]
    confirmed: bool
    at: float


class Gateway:
    """The gateway of one cluster.

    Args:
        url: The address at which requests of users arrive.
        probe_url: The address at which the Deployer reaches the gateway, if that is another;
            requests still name the host of `url`, by which the gateway's listeners may select.
        timeout: Seconds for one answer.
    """

    def __init__(self, url: str, probe_url: str | None = None, timeout: float = 2.0) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._client = httpx.Client(
            base_url=(probe_url or url).rstrip("/"),
            headers={"host": urlsplit(url).netloc, "connection": "close"},
            timeout=timeout,
            limits=httpx.Limits(max_keepalive_connections=0),
            verify=ssl.create_default_context(),
            trust_env=False,
        )
        self._lock = threading.Lock()
        self._answers: dict[str, _Answer] = {}
        self._answered_at = -STEADY_SECONDS
        self._failed: tuple[float, GatewayUnavailable] | None = None

    def url(self, model: str, environment: str) -> str:
        """Return the address of a deployment, with a slash at its end."""
        return f"{self._url}{routes.path(model, environment)}/"

    def live(self, deployment: str, route: Mapping[str, Any] | None) -> dict[str, int]:
        """Read the weight in percent of each predictor that takes requests now.

        Args:
            deployment: The deployment's id.
            route: Its HTTPRoute on the cluster; None without one: the gateway may still serve a
                deleted route for a moment.

        Raises:
            GatewayUnavailable: The gateway does not answer, or its answer shows no weights.
        """
        before = self._answers.get(deployment)
        if route is None and before is None:
            return {}
        wanted = routes.weights_header(route) if route else ""
        now = time.monotonic()
        if before and before.wanted == wanted and self._counts(before, now):
            return dict(before.live)
        path = routes.prefix(route) if route else before.path if before else ""
        live = self._settle(path, wanted, route or {})
        confirmed = live == (routes.weights(route) if route else {})
        with self._lock:
            if route is None and confirmed:
                self._answers.pop(deployment, None)
            else:
                self._answers[deployment] = _Answer(path, wanted, live, confirmed, now)
        return dict(live)

    def answers(self) -> bool:
        """Check whether the gateway answers, by a request unless there was one a moment ago."""
        if time.monotonic() - self._answered_at >= STEADY_SECONDS:
            with self._lock:
                known = next(iter(self._answers.values()), None)
            if known:
                with suppress(GatewayUnavailable):
                    self._ask(known.path, {})
        return self._failed is None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _counts(self, answer: _Answer, now: float) -> bool:
        if answer.confirmed and now - self._answered_at < STEADY_SECONDS:
            return True
        return now - answer.at < FRESH_SECONDS

    def _settle(self, path: str, wanted: str, route: Mapping[str, Any]) -> dict[str, int]:
        """Ask until an answer differs from the wanted mark, or enough answers agree with it."""
        begun = time.monotonic()
        for sample in range(SAMPLES):
            if sample and time.monotonic() - begun > self._timeout / 2:
                break  # the gateway answers slowly; one answer has to do
            mark = self._ask(path, route)
            if mark != wanted:
                weights = routes.parse_weights(mark) if mark else {}
                if weights is None:
                    raise GatewayUnavailable(f"The gateway marks {path} with {mark!r}.", _HINT)
                return weights
        return routes.weights(route)

    def _ask(self, path: str, route: Mapping[str, Any]) -> str:
        """Ask once and return the mark on the answer; "" where the gateway has no such route."""
        failed = self._failed
        if failed and time.monotonic() - failed[0] < STEADY_SECONDS:
            raise failed[1]
        try:
            answer = self._client.get(f"{path}/v2/health/live")
        except httpx.HTTPError as error:
            unavailable = GatewayUnavailable(
                f"The gateway at {self._client.base_url} does not answer ({type(error).__name__}).",
                _HINT,
            )
            self._failed = (time.monotonic(), unavailable)
            raise unavailable from error
        self._failed, self._answered_at = None, time.monotonic()
        mark = answer.headers.get(routes.HEADER, "")
        if mark or (answer.status_code == httpx.codes.NOT_FOUND and not routes.refusal(route)):
            return str(mark)
        if answer.status_code == httpx.codes.NOT_FOUND:
            message = f"The gateway does not take the route: {routes.refusal(route)}."
            raise GatewayUnavailable(message, "kubectl describe httproute says more.")
        raise GatewayUnavailable(
            f"The gateway answers {path} with {answer.status_code}, and not what it serves.",
            f"It must support ResponseHeaderModifier of HTTPRoute: {_HINT}",
        )
