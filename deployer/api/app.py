"""Assemble the HTTP API of the Deployer, which listens on loopback.

A read needs no token; a change needs a token that names its subject. MLflow signs its webhooks.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.trustedhost import TrustedHostMiddleware

from deployer import __version__
from deployer.api import changes, images, queues, reads, upgrade
from deployer.api.guard import BodyLimit, TokenFirst
from deployer.api.schema import deployments
from deployer.api.web import pages
from deployer.controller.controller import Controller
from deployer.controller.metrics import Metrics
from deployer.errors import (
    BrokerRefused,
    BrokerUnreachable,
    NotFound,
    PassHangs,
    QueueMissing,
    RegistryMalformed,
    RegistryUnreachable,
    SchnitzelError,
    SpecInvalid,
    TargetUnavailable,
    Unauthorised,
    UnsafePlan,
)
from deployer.operator.commands import Commands
from deployer.operator.queries import Queries
from deployer.operator.queue_commands import QueueCommands
from deployer.operator.queues import QueueQueries
from deployer.registry import webhooks
from deployer.status.verdict import State

_CODES: tuple[tuple[type[SchnitzelError], int], ...] = (
    (NotFound, 404),
    (SpecInvalid, 400),
    (Unauthorised, 401),
    (UnsafePlan, 409),
    (RegistryUnreachable, 503),
    (RegistryMalformed, 502),
    (TargetUnavailable, 503),
    (PassHangs, 503),
    (QueueMissing, 409),
    (BrokerRefused, 502),
    (BrokerUnreachable, 503),
)


def make(controller: Controller, tokens: Path, webhook_secret: str, hosts: list[str]) -> FastAPI:
    """Build the API of a Deployer.

    Args:
        controller: The controller.
        tokens: The file with the SHA-256 and the subject of each token, read at each change.
        webhook_secret: The secret with which MLflow signs its deliveries.
        hosts: The host names that a request may use, against DNS rebinding.
    """
    app = FastAPI(title="MLflow Deployer", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(TokenFirst, file=tokens, explained=_error_response)
    app.add_middleware(BodyLimit)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    _add_error_handler(app)
    queries, commands = Queries(controller), Commands(controller)
    reads.add(app, queries)
    changes.add(app, queries, commands, _subject)
    upgrade.add(app, queries, commands, _subject)
    images.add(app, queries, commands, _subject)
    asked = QueueQueries(controller)
    queues.add(app, asked, QueueCommands(controller), _subject)
    _add_machine_routes(app, queries, commands, controller.metrics, webhook_secret)
    controller.metrics.follow_queues(asked.depths)
    pages.add(app, queries, asked)
    return app


def _add_error_handler(app: FastAPI) -> None:
    @app.exception_handler(SchnitzelError)
    def explain(_: Request, error: SchnitzelError) -> JSONResponse:
        return _error_response(error)


def _error_response(error: SchnitzelError) -> JSONResponse:
    code = next((code for kind, code in _CODES if isinstance(error, kind)), 500)
    return JSONResponse({"error": error.message, "hint": error.hint}, code)


def _add_machine_routes(
    app: FastAPI, queries: Queries, commands: Commands, measured: Metrics, secret: str
) -> None:
    def gauges() -> dict[str, float | dict[str, float]]:
        report, statuses = queries.registry(), queries.statuses()
        listed = report.health.listed_at
        states = Counter(str(status.verdict.state) for status in statuses)
        phases = Counter(
            str(seen.phase) for each in statuses for seen in each.observed.predictors.values()
        )
        age = report.now - listed if listed is not None else float("nan")
        return {
            "schnitzel_queue_depth": float(queries.queue_depth()),
            "schnitzel_deployments": {str(s): float(states[str(s)]) for s in State},
            "schnitzel_registry_listing_age_seconds": age,
            "schnitzel_environment_builds": {"building": float(phases["building"])},
        }

    measured.observe(gauges)
    measured.follow(queries.statuses)

    @app.get("/healthz")
    def alive() -> dict[str, Any]:
        return {"status": "ok", "version": __version__}

    @app.get("/readyz")
    def ready() -> JSONResponse:
        health = queries.registry().health
        seen = health.state != "Unseen"
        held = "; ".join(
            f"environment {name} is held by the platform {platform}: take it out of platform.yaml, "
            f"or delete the tag schnitzel.claim.{name} of MLflow's experiment schnitzel"
            for name, platform in (health.held or {}).items()
        )
        message = held if seen else health.message
        ready = seen and not held
        report = {"ready": ready, "message": message, "lasting": bool(held)}
        return JSONResponse(report, 200 if ready else 503)

    @app.get("/metrics")
    def metrics() -> Response:
        text = generate_latest(measured.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    @app.get("/metrics/servers")
    def servers() -> list[deployments.Page]:
        """List this machine's model servers for Prometheus's `http_sd_configs`."""
        found = queries.metrics_endpoints()
        return [{"targets": [one.address], "labels": dict(one.labels)} for one in found]

    @app.post("/webhooks/mlflow")
    async def webhook(request: Request) -> dict[str, Any]:
        body = await request.body()
        webhooks.check(request.headers, body, secret, time.time())
        if not webhooks.is_echo(body):
            commands.hint(webhooks.model_of(body))
        return {}


def _subject(
    request: Request,
    authorization: Annotated[str | None, Header()] = None,  # noqa: ARG001 - for the schema
) -> str:
    """Return the subject that `TokenFirst` found for a change."""
    found: str = request.state.subject
    return found
