"""Check the health, the version and the abilities of a component.

A check is a few HTTP requests (for RabbitMQ, a greeting) with a short timeout, and raises nothing.
The process that answers must be our own: another program may have taken the port just before.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from stack.components import amqp
from stack.supervision.listening import other_listener
from stack.supervision.program import Process

TIMEOUT_SECONDS = 3.0
LISTENERS = {  # name in ports.json -> the program that holds the port
    "mlflow": "mlflow",
    "airflow": "airflow-api-server",
    "deployer": "deployer",
    "gateway": "gateway",
    "gateway_api": "gateway",
    "rabbitmq": "rabbitmq",
}
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Address:
    """The URLs and the login of a component, as plain values that a file can keep."""

    name: str
    """A name of stack.components.components.NAMES or OPTIONAL."""
    url: str
    """The URL for a browser."""
    probe_url: str
    """The URL of the health check; differs from `url` for the gateway only."""
    attached: bool = False
    """Whether others run the component."""
    username: str | None = None
    password_ref: str | None = None


@dataclass(frozen=True)
class Health:
    """The result of one health check."""

    ok: bool
    detail: str
    """One sentence; empty if the component is healthy."""
    version: str | None = None
    lasting: bool = False
    """Whether the fault stays until an operator changes something."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; without an answer, the status is 0 and the body says why."""

    status: int
    body: str

    def json(self) -> Any:
        """Parse the body; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def fetch(
    url: str, headers: Headers | None = None, data: bytes | None = None, *, direct: bool = True
) -> Answer:
    """Request a URL once.

    Args:
        url: http or https.
        headers: the headers of the request.
        data: the JSON body of a POST; None: a GET.
        direct: whether to bypass any proxy, as loopback addresses require.
    """
    request = urllib.request.Request(url, data, dict(headers or {}))  # noqa: S310 - from our settings
    if data is not None:
        request.add_header("Content-Type", "application/json")
    proxies = (urllib.request.ProxyHandler({}),) if direct else ()
    try:
        opener = urllib.request.build_opener(*proxies)
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return Answer(response.status, response.read().decode(errors="replace"))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(errors="replace"))
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return Answer(0, str(reason) or type(error).__name__)


def probe(address: Address, processes: Mapping[str, Process], headers: Headers) -> Health:
    """Check a component once.

    Args:
        address: the component's address.
        processes: our own processes by name, to detect answers of another program and
            heartbeats from before a restart.
        headers: the headers of the login at an attached component.
    """
    health = _check(address, processes, headers)
    process = None if address.attached else processes.get(LISTENERS[address.name])
    if not health.ok or process is None or process.pid is None:
        return health
    for url in {address.url, address.probe_url}:
        port = urlsplit(url).port
        if port and (other := other_listener(port, process.pid)):
            return Health(ok=False, detail=f"its port {port} is taken by {other}")
    return health


def _check(address: Address, processes: Mapping[str, Process], headers: Headers) -> Health:
    direct = not address.attached
    match address.name:
        case "mlflow":
            return mlflow(address.probe_url, headers, direct=direct)
        case "airflow":
            ours = {} if address.attached else processes
            return airflow(address.probe_url, ours, headers, direct=direct)
        case "gateway":
            return gateway(address.probe_url)
        case "rabbitmq":
            return rabbitmq(address.probe_url)
        case _:
            return deployer(address.probe_url)


def mlflow(url: str, headers: Headers | None = None, *, direct: bool = True) -> Health:
    """Check MLflow by /health and /version, which need no login."""
    answer = fetch(f"{url}/health", headers, direct=direct)
    if answer.status != 200:
        return Health(ok=False, detail=_failure(answer))
    version = fetch(f"{url}/version", headers, direct=direct)
    return Health(ok=True, detail="", version=version.body if version.status == 200 else None)


def airflow(
    url: str,
    processes: Mapping[str, Process],
    headers: Headers | None = None,
    *,
    direct: bool = True,
) -> Health:
    """Check Airflow by its own health report: database, scheduler and DAG processor.

    Airflow counts a heartbeat as healthy for up to 30 s, so a heartbeat from before our process
    started says nothing about that process and does not count.
    """
    answer = fetch(f"{url}/api/v2/monitor/health", headers, direct=direct)
    report = answer.json()
    if answer.status != 200 or not isinstance(report, dict):
        return Health(ok=False, detail=_failure(answer))
    for part in ("metadatabase", "scheduler", "dag_processor"):
        state = report.get(part) or {}
        process = processes.get(f"airflow-{part.replace('_', '-')}")
        beat = state.get(f"latest_{part}_heartbeat")
        if state.get("status") != "healthy":
            return Health(ok=False, detail=f"its {part.replace('_', ' ')} is not healthy")
        if process and process.started and (not beat or _epoch(beat) < process.started):
            return Health(ok=False, detail=f"waiting for its {part.replace('_', ' ')}")
    version = fetch(f"{url}/api/v2/version", headers, direct=direct).json()
    return Health(ok=True, detail="", version=(version or {}).get("version"))


def gateway(api_url: str) -> Health:
    """Check Traefik by its ping and version, on its API entry point."""
    answer = fetch(f"{api_url}/ping")
    if answer.status != 200:
        return Health(ok=False, detail=_failure(answer))
    version = fetch(f"{api_url}/api/version").json()
    return Health(ok=True, detail="", version=(version or {}).get("Version"))


def deployer(url: str) -> Health:
    """Check the Deployer: ready once it has read the registry and no other platform serves it."""
    answer = fetch(f"{url}/readyz")
    if answer.status != 200:
        report = answer.json()
        lasting = isinstance(report, dict) and report.get("lasting") is True
        return Health(ok=False, detail=_error_text(answer) or _failure(answer), lasting=lasting)
    schema = fetch(f"{url}/openapi.json").json()
    return Health(ok=True, detail="", version=((schema or {}).get("info") or {}).get("version"))


def rabbitmq(url: str) -> Health:
    """Check RabbitMQ by its greeting: it listens once it has booted and imported its user."""
    parts = urlsplit(url)
    try:
        version = amqp.greeting(parts.hostname or "", parts.port or 0, TIMEOUT_SECONDS)
    except OSError as error:
        return Health(ok=False, detail=f"it does not answer: {error}")
    except ValueError as error:
        return Health(ok=False, detail=str(error))
    return Health(ok=True, detail="", version=version or None)


@dataclass(frozen=True)
class Abilities:
    """The abilities of an attached MLflow; None where its answer does not show."""

    webhooks: bool | None
    aliases: bool | None
    stages: bool | None


def mlflow_abilities(url: str, headers: Headers | None = None, *, direct: bool = True) -> Abilities:
    """Probe the abilities of a registry by requests that change nothing."""
    api = f"{url}/api/2.0/mlflow"

    def supports(path: str, data: bytes | None, good: Callable[[Answer], bool]) -> bool | None:
        answer = fetch(f"{api}/{path}", headers, data, direct=direct)
        return None if answer.status in (0, 401, 403) or answer.status >= 502 else good(answer)

    def is_endpoint(answer: Answer) -> bool:
        # An endpoint refuses a request without arguments in JSON; a missing endpoint answers in
        # plain text.
        body = answer.json()
        return isinstance(body, dict) and body.get("error_code") not in (None, "ENDPOINT_NOT_FOUND")

    return Abilities(
        webhooks=supports("webhooks?max_results=1", None, lambda answer: answer.status == 200),
        aliases=supports("registered-models/alias", None, is_endpoint),
        stages=supports("model-versions/transition-stage", b"{}", is_endpoint),
    )


def _epoch(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _failure(answer: Answer) -> str:
    return f"it answers {answer.status}" if answer.status else f"it does not answer: {answer.body}"


def _error_text(answer: Answer) -> str:
    body = answer.json()
    message = (body.get("error") or body.get("message")) if isinstance(body, dict) else None
    return str(message or "")
