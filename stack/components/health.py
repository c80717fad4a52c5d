"""In: a component's address. Out: whether it is healthy, its version, and what it can do.

Checks are a few HTTP requests with a short timeout; they raise nothing. What answers must be the
process that we started: a stranger may have taken its port just before.
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

from stack.supervision.listening import stranger
from stack.supervision.program import Process

TIMEOUT_SECONDS = 3.0
LISTENERS = {  # by name in ports.json: the program that holds the port
    "mlflow": "mlflow",
    "airflow": "airflow-api-server",
    "deployer": "deployer",
    "gateway": "gateway",
    "gateway_api": "gateway",
}
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Address:
    """Where a component is, and how to ask it; plain values, so that it can be kept on file."""

    name: str
    """"mlflow", "airflow", "gateway" or "deployer"."""
    url: str
    """What a person opens."""
    probe_url: str
    """What is asked; another one than `url` for the gateway only."""
    attached: bool = False
    """Somebody else runs it."""
    username: str | None = None
    password_ref: str | None = None


@dataclass(frozen=True)
class Health:
    """What one look at a component showed."""

    ok: bool
    detail: str
    """One sentence; empty if there is nothing to say."""
    version: str | None = None
    lasting: bool = False
    """It stays as it is until a person changes something."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; status 0 if none came, and then the body says why."""

    status: int
    body: str

    def json(self) -> Any:
        """The body's value, None if it is not JSON."""
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
        headers: sent with it.
        data: sent as JSON by POST; None: a GET.
        direct: past any proxy, as loopback addresses must be.
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


def look(address: Address, processes: Mapping[str, Process], headers: Headers) -> Health:
    """Look at a component once.

    Args:
        address: where it is.
        processes: those of our own, by name; they tell our answer from a stranger's, and a
            heartbeat from one before a restart.
        headers: what logs in where it is attached.
    """
    health = _ask(address, processes, headers)
    process = None if address.attached else processes.get(LISTENERS[address.name])
    if not health.ok or process is None or process.pid is None:
        return health
    for url in {address.url, address.probe_url}:
        port = urlsplit(url).port
        if port and (other := stranger(port, process.pid)):
            return Health(ok=False, detail=f"its port {port} is taken by {other}")
    return health


def _ask(address: Address, processes: Mapping[str, Process], headers: Headers) -> Health:
    direct = not address.attached
    match address.name:
        case "mlflow":
            return mlflow(address.probe_url, headers, direct=direct)
        case "airflow":
            ours = {} if address.attached else processes
            return airflow(address.probe_url, ours, headers, direct=direct)
        case "gateway":
            return gateway(address.probe_url)
        case _:
            return deployer(address.probe_url)


def mlflow(url: str, headers: Headers | None = None, *, direct: bool = True) -> Health:
    """MLflow answers /health and /version without a login."""
    answer = fetch(f"{url}/health", headers, direct=direct)
    if answer.status != 200:
        return Health(ok=False, detail=_why(answer))
    version = fetch(f"{url}/version", headers, direct=direct)
    return Health(ok=True, detail="", version=version.body if version.status == 200 else None)


def airflow(
    url: str,
    processes: Mapping[str, Process],
    headers: Headers | None = None,
    *,
    direct: bool = True,
) -> Health:
    """Airflow's own view of itself: database, scheduler and DAG processor.

    A heartbeat is taken for at most 30 s as a sign of health, so one from before a process of
    ours started says nothing about it and is not counted.
    """
    answer = fetch(f"{url}/api/v2/monitor/health", headers, direct=direct)
    report = answer.json()
    if answer.status != 200 or not isinstance(report, dict):
        return Health(ok=False, detail=_why(answer))
    for part in ("metadatabase", "scheduler", "dag_processor"):
        said = report.get(part) or {}
        process = processes.get(f"airflow-{part.replace('_', '-')}")
        beat = said.get(f"latest_{part}_heartbeat")
        if said.get("status") != "healthy":
            return Health(ok=False, detail=f"its {part.replace('_', ' ')} is not healthy")
        if process and process.started and (not beat or _epoch(beat) < process.started):
            return Health(ok=False, detail=f"waiting for its {part.replace('_', ' ')}")
    version = fetch(f"{url}/api/v2/version", headers, direct=direct).json()
    return Health(ok=True, detail="", version=(version or {}).get("version"))


def gateway(api_url: str) -> Health:
    """Traefik's ping and version, on its API entry point."""
    answer = fetch(f"{api_url}/ping")
    if answer.status != 200:
        return Health(ok=False, detail=_why(answer))
    version = fetch(f"{api_url}/api/version").json()
    return Health(ok=True, detail="", version=(version or {}).get("Version"))


def deployer(url: str) -> Health:
    """The Deployer is ready once it has seen the registry, and no other platform serves from it."""
    answer = fetch(f"{url}/readyz")
    if answer.status != 200:
        told = answer.json()
        lasting = isinstance(told, dict) and told.get("lasting") is True
        return Health(ok=False, detail=_said(answer) or _why(answer), lasting=lasting)
    schema = fetch(f"{url}/openapi.json").json()
    return Health(ok=True, detail="", version=((schema or {}).get("info") or {}).get("version"))


@dataclass(frozen=True)
class Abilities:
    """What a found MLflow can do; None where it would not say."""

    webhooks: bool | None
    aliases: bool | None
    stages: bool | None


def mlflow_abilities(url: str, headers: Headers | None = None, *, direct: bool = True) -> Abilities:
    """Ask a registry what it knows, by requests that change nothing."""
    api = f"{url}/api/2.0/mlflow"

    def knows(path: str, data: bytes | None, good: Callable[[Answer], bool]) -> bool | None:
        answer = fetch(f"{api}/{path}", headers, data, direct=direct)
        return None if answer.status in (0, 401, 403) or answer.status >= 502 else good(answer)

    def is_endpoint(answer: Answer) -> bool:
        # An endpoint refuses a request without arguments in JSON; the lack of one is plain text.
        said = answer.json()
        return isinstance(said, dict) and said.get("error_code") not in (None, "ENDPOINT_NOT_FOUND")

    return Abilities(
        webhooks=knows("webhooks?max_results=1", None, lambda answer: answer.status == 200),
        aliases=knows("registered-models/alias", None, is_endpoint),
        stages=knows("model-versions/transition-stage", b"{}", is_endpoint),
    )


def _epoch(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _why(answer: Answer) -> str:
    return f"it answers {answer.status}" if answer.status else f"it does not answer: {answer.body}"


def _said(answer: Answer) -> str:
    said = answer.json()
    words = (said.get("error") or said.get("message")) if isinstance(said, dict) else None
    return str(words or "")
