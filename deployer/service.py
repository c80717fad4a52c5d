"""Run a Deployer: its controller, its API, and one lock for one home."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from deployer.api import app as api, standby
from deployer.config.secret_refs import resolve_secret
from deployer.config.settings import Settings
from deployer.controller.controller import Controller
from deployer.controller.metrics import Metrics
from deployer.errors import SchnitzelError, SettingsInvalid
from deployer.registry import webhooks
from deployer.registry.watch import Watch
from deployer.wiring import Wiring, wire
from stack.files import read_or_create
from stack.paths import Layout

if TYPE_CHECKING:
    from deployer.targets.kubernetes.lease import Lease

log = logging.getLogger(__name__)

LIST_SECONDS = 30.0
"""How long to wait for the first listing of a cluster; after that, passes report its absence."""

REACH_SECONDS = 15.0
"""How long to wait for a cluster that does not answer, before deployments elsewhere get passes."""

FIRST_LOOK_SECONDS = 15.0
"""How long API answers wait for a first pass over each deployment; some may be missing then."""

ACTING = "acting"
"""The name of the platform's single value that has the acting Deployer's address."""


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT, and end within five seconds of the signal."""
    layout = Layout(settings.home)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level="INFO")
    logging.getLogger("httpx").setLevel("WARNING")
    logging.getLogger("aiormq").setLevel("CRITICAL")  # each fault is said by who meets it
    with _home_lock(layout.deployer):
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        return Service(settings, layout, stop).run()


class Service:
    """A Deployer.

    Args:
        settings: All settings of the platform.
        layout: The layout of this platform's home.
        stop: Set when the Deployer is to end.
    """

    def __init__(self, settings: Settings, layout: Layout, stop: threading.Event) -> None:
        self._settings = settings
        self._layout = layout
        self._stop = stop
        self._controller: Controller | None = None
        self._began = 0.0
        self._wiring: Wiring = wire(settings, layout, self._changed)
        # From the first API answer on, this Deployer waits for a Lease: it acts nowhere yet.
        leases = ((name, cluster.lease) for name, cluster in self._wiring.clusters.items())
        self._waiting: tuple[str, Lease] | None = next(leases, None)

    def run(self) -> int:
        """Run until stopped; returns the exit status, which is 1 if the Deployer was not stopped.

        Raises:
            FormatUnknown: Another version of the platform wrote a record in one of the clusters.
        """
        wiring, settings = self._wiring, self._settings
        secret = self._webhook_secret()
        controller = self._controller = self._make_controller(secret)
        host, port = settings.deployer.host, settings.deployer.port
        tokens = settings.deployer.tokens_file or self._layout.tokens
        app = api.make(controller, tokens, secret, settings.deployer.hosts)
        config = uvicorn.Config(
            standby.Standby(
                app, self._awaited, self._acting, standby.address_of(settings.deployer)
            ),
            host=host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=1,
            lifespan="off",
        )
        server = _Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        _check_free(host, port)
        thread = threading.Thread(target=server.run, name="api", daemon=True)
        thread.start()
        log.info("serving http://%s:%d for platform %s", host, port, settings.platform_id)
        try:
            acts = self._await_leases(thread)
            if acts:
                controller.start()
                for target in wiring.context.each_target:
                    target.watch(self._changed)
                if settings.brokers:
                    wiring.context.start_queues()
                self._began = time.monotonic()
            stored = not (acts and wiring.clusters) or self._store_address()
            while not self._stop.wait(1.0) and thread.is_alive() and not self._replaced():
                stored = stored or self._store_address()
        finally:  # the next Deployer takes a released Lease at once
            server.should_exit = True
            self._close(controller)
            thread.join(timeout=1.0)
            wiring.database.close()
        return 0 if self._stop.is_set() else 1

    def _close(self, controller: Controller) -> None:
        log.info("stopping")
        wiring = self._wiring
        context = wiring.context
        endings: list[Callable[[], None]] = [controller.close, context.close_queues]
        endings += [context.tags.close, context.descriptions.close]
        endings += [context.promoters.close, context.judging.close]
        endings += [target.close for target in context.each_target]
        _run_all_within(3.5, endings)
        _run_all_within(1.0, [cluster.lease.close for cluster in wiring.clusters.values()])
        wiring.rest.close()

    def _make_controller(self, secret: str) -> Controller:
        context, settings = self._wiring.context, self._settings
        hook = webhooks.address(
            settings.deployer.public_url, settings.deployer.port, self._wiring.mlflow_url
        )
        subscription = webhooks.Subscription(self._wiring.rest, hook, secret, settings.platform_id)

        def subscribe() -> bool:
            return settings.registry.webhooks != "off" and subscription.ensure()

        def watch(changed: Callable[[set[str] | None], None]) -> Watch:
            return Watch(
                context.registry,
                context.identity,
                list(settings.environments),
                subscribe,
                changed,
                settings.registry.poll,
                settings.registry.listing,
                time.time,
            )

        return Controller(context, watch, Metrics())

    def _await_leases(self, serving: threading.Thread) -> bool:
        """Wait for the Lease of every cluster that answers; returns False if stopped meanwhile."""
        for cluster in self._wiring.clusters.values():
            cluster.lease.start()
        deadline = time.monotonic() + REACH_SECONDS
        for name, cluster in self._wiring.clusters.items():
            lease = cluster.lease
            self._waiting = (name, lease)
            if not lease.held():
                log.info("standing by: the Lease of the cluster %s is asked for", name)
            while not lease.held() and (lease.holder or time.monotonic() < deadline):
                if self._stop.wait(0.1) or not serving.is_alive():
                    return False
            if lease.held():
                log.info("acting on the cluster %s", name)
            else:  # writes there are refused until this Deployer holds the Lease
                log.warning("the cluster %s is not reached, and acted on once it is", name)
            seconds = LIST_SECONDS if lease.held() else 0.0
            if cluster.start(seconds, self._stop):
                cluster.records.raise_if_unknown()
            elif not self._stop.is_set():
                log.warning("the cluster %s is still being listed", name)
        return not self._stop.is_set()

    def _awaited(self) -> standby.Waiting | None:
        """Return the Lease that this Deployer awaits or just took; None once the API can answer."""
        if self._waiting and self._began and self._controller:
            late = time.monotonic() - self._began > FIRST_LOOK_SECONDS
            if late or self._controller.has_synced():
                self._waiting = None
        if self._waiting is None:
            return None
        name, lease = self._waiting
        takes_over = bool(self._began) or lease.held()
        return standby.Waiting(name, lease.holder, takes_over)

    def _acting(self) -> str:
        """Return the address that the acting Deployer stored; empty if there is none."""
        return self._wiring.context.records.get(ACTING) or ""

    def _store_address(self) -> bool:
        """Store this Deployer's address for standby Deployers; returns False to try again."""
        try:
            self._wiring.context.records.set(ACTING, standby.address_of(self._settings.deployer))
        except SchnitzelError as error:
            log.warning("where this Deployer is reached is not written down: %s", error.message)
            return False
        return True

    def _changed(self, deployment: str) -> None:
        if self._controller:
            self._controller.enqueue(deployment)

    def _replaced(self) -> bool:
        """Return whether another Deployer acts now; this one then ends and restarts to stand by."""
        for name, cluster in self._wiring.clusters.items():
            if cluster.lease.held_by_other:
                log.error("%s acts on the cluster %s now", cluster.lease.holder, name)
                return True
        return False

    def _webhook_secret(self) -> str:
        """Read the webhook secret of this platform; create the secret if there is none."""
        if self._settings.deployer.webhook_secret_ref:
            return resolve_secret(self._settings.deployer.webhook_secret_ref)
        return read_or_create(self._layout.webhook_secret, lambda: os.urandom(24).hex())


class _Server(uvicorn.Server):
    """An HTTP server that looks twice a second, and not ten times, whether it is to end."""

    async def main_loop(self) -> None:
        """See `uvicorn.Server.main_loop`; a tick 0 is one that renews the date of answers."""
        while not await self.on_tick(0):  # noqa: ASYNC110 - the end is a flag of uvicorn's
            await asyncio.sleep(0.5)


def _run_all_within(seconds: float, endings: Sequence[Callable[[], None]]) -> None:
    """Run all endings in parallel; an ending that takes longer is left to the process's end."""
    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=end, daemon=True) for end in endings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=max(0.0, deadline - time.monotonic()))


@contextmanager
def _home_lock(folder: Path) -> Iterator[None]:
    """Hold the home's lock, so that two Deployers never write the same records."""
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


def _check_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsInvalid(
                f"The Deployer's port {port} is taken.",
                "Set another: SCHNITZEL_DEPLOYER__PORT, or deployer.port in platform.yaml.",
            ) from error
