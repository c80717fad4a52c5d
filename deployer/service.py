"""In: settings. Out: the running Deployer: controller, API, and one lock for one home."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from deployer import api, webhooks
from deployer.artifacts import Artifacts
from deployer.controller import Controller
from deployer.database import Database
from deployer.environments import Environments
from deployer.errors import NotFound, SchnitzelError, SettingsInvalid
from deployer.history import History
from deployer.marker import Marker
from deployer.metrics import Metrics
from deployer.mirror import Mirror
from deployer.reading import Reading
from deployer.reconcile import World
from deployer.records import Records
from deployer.registry import Registry
from deployer.rest import Rest
from deployer.secretrefs import credentials
from deployer.settings import Settings
from deployer.targets.local.gateway import Gateway
from deployer.targets.local.preparation import Preparation
from deployer.targets.local.target import LocalTarget
from deployer.watch import Watch
from stack.paths import Layout

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; ends within five seconds of it."""
    layout = Layout(settings.home)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level="INFO")
    logging.getLogger("httpx").setLevel("WARNING")
    with _only_one(layout.deployer):
        database = Database(layout.deployer_database)
        try:
            return _serve(settings, layout, database)
        finally:
            database.close()


def _serve(settings: Settings, layout: Layout, database: Database) -> int:
    port = settings.deployer.port
    mlflow_url = settings.mlflow.url or f"http://{HOST}:{settings.mlflow.port}"
    auth = _mlflow_credentials(settings)
    rest = Rest(mlflow_url, auth)
    records = Records(database)
    marker = Marker(rest, records, settings.platform_id)
    registry = Registry(rest, marker.check)
    artifacts = Artifacts(settings.cache, mlflow_url, auth)
    environments = Environments(settings.cache, settings.limits.parallel_builds)
    gateway_url = settings.gateway.url or f"http://{HOST}:{settings.gateway.port}"
    gateway_api = settings.gateway.api_url or f"http://{HOST}:{settings.gateway.api_port}"
    target = LocalTarget(
        layout.serving,
        layout.logs / "serving",
        settings.platform_id,
        Preparation(artifacts, environments, time.time),
        Gateway(layout.gateway_dynamic, gateway_url, gateway_api),
        time.time,
    )
    world = World(
        settings=settings,
        registry=registry,
        reading=Reading(registry, artifacts.read_file),
        marker=marker,
        records=records,
        history=History(database),
        mirror=Mirror(rest, records, marker.advance),
        targets={target.name: target},
        clock=time.time,
    )
    secret = _webhook_secret(layout)

    def subscribe() -> bool:
        if settings.registry.webhooks == "off":
            return False
        try:
            url = f"http://{HOST}:{port}/webhooks/mlflow"
            webhooks.register(rest, url, secret, settings.platform_id)
        except (NotFound, SchnitzelError) as error:
            log.warning("MLflow sends no webhooks (%s); aliases are seen at listings", error)
            return False
        return True

    controller = Controller(
        world,
        lambda changed: Watch(
            registry,
            marker,
            list(settings.environments),
            subscribe,
            changed,
            settings.registry.poll,
            settings.registry.listing,
            time.time,
        ),
        Metrics(),
    )
    app = api.make(controller, layout.tokens, secret, [HOST, "localhost"])
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=HOST,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=1,
            lifespan="off",
        )
    )
    _check_free(port)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.run, name="api", daemon=True)
    controller.start()
    thread.start()
    log.info("serving http://%s:%d for platform %s", HOST, port, settings.platform_id)
    while not stop.wait(1.0) and thread.is_alive():
        pass
    log.info("stopping")
    server.should_exit = True
    controller.close(3.0)
    world.mirror.close()
    target.close()
    rest.close()
    thread.join(timeout=1.0)
    return 0 if stop.is_set() else 1


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the home's lock: two Deployers never write the same records."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise SettingsInvalid(
                f"Another Deployer (pid {lock.read().strip() or 'unknown'}) works in {folder}.",
                "Stop it first (schnitzel down), or give this one another SCHNITZEL_HOME.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SettingsInvalid(
                f"The Deployer's port {port} is taken.",
                "Set another: SCHNITZEL_DEPLOYER__PORT, or deployer.port in platform.yaml.",
            ) from error


def _mlflow_credentials(settings: Settings) -> tuple[str, str] | None:
    found = credentials(settings.mlflow)
    if found:
        return found
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    return (name, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if name else None


def _webhook_secret(layout: Layout) -> str:
    """The webhook secret of this home; made if nobody has made it yet."""
    path = layout.webhook_secret
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(os.urandom(24).hex())
    return path.read_text().strip()
