"""In: HTTP requests on loopback. Out: what the controller knows, and people's words handed to it.

Reading needs no token; a change needs one that names its subject. MLflow's webhooks are signed.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.middleware.trustedhost import TrustedHostMiddleware

from deployer import __version__, answers, views, webhooks
from deployer.errors import (
    NotFound,
    RegistryMalformed,
    RegistryUnreachable,
    SchnitzelError,
    Unauthorised,
    UnsafePlan,
)
from deployer.metrics import Metrics
from deployer.reconcile import World
from deployer.status import State, Status
from deployer.watch import Health, Watch
from deployer.web import pages

_CODES: tuple[tuple[type[SchnitzelError], int], ...] = (
    (NotFound, 404),
    (Unauthorised, 401),
    (UnsafePlan, 409),
    (RegistryUnreachable, 503),
    (RegistryMalformed, 502),
)


class Engine(Protocol):
    """What the API asks of the controller."""

    world: World
    metrics: Metrics
    watch: Watch

    @property
    def health(self) -> Health: ...  # noqa: D102
    def statuses(self) -> list[Status]: ...  # noqa: D102
    def status(self, deployment: str) -> Status: ...  # noqa: D102
    def planned(self, deployment: str) -> Status: ...  # noqa: D102
    def apply(  # noqa: D102
        self, deployment: str, who: str, *, reviewed: str, retry: bool, allow_retire: bool
    ) -> None: ...
    def pause(self, deployment: str, who: str, reason: str) -> None: ...  # noqa: D102
    def resume(self, deployment: str, who: str) -> None: ...  # noqa: D102
    def accept_registry(self, who: str) -> None: ...  # noqa: D102
    def look(self) -> None: ...  # noqa: D102
    def depth(self) -> int: ...  # noqa: D102


class Apply(BaseModel):
    """What a person asks for beside a look: a reviewed plan, another try, a retirement."""

    plan: str | None = None
    retry: bool = False
    allow_retire: bool = False


class PauseRequest(BaseModel):
    """Why nothing is to be changed."""

    reason: str = ""


def make(engine: Engine, tokens: Path, webhook_secret: str, hosts: list[str]) -> FastAPI:
    """The API of one Deployer.

    Args:
        engine: The controller.
        tokens: The file with the SHA-256 of each token and its subject, read at each change.
        webhook_secret: What MLflow's deliveries are signed with.
        hosts: The names under which it may be asked, against DNS rebinding.
    """
    app = FastAPI(title="MLflow Deployer", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    _errors(app)
    _reads(app, engine)
    _changes(app, engine, _subject_of(tokens))
    _machines(app, engine, webhook_secret)
    pages.add(app, engine)
    return app


def _errors(app: FastAPI) -> None:
    @app.exception_handler(SchnitzelError)
    def explain(_: Request, error: SchnitzelError) -> JSONResponse:
        code = next((code for kind, code in _CODES if isinstance(error, kind)), 500)
        return JSONResponse({"error": error.message, "hint": error.hint}, code)


def _reads(app: FastAPI, engine: Engine) -> None:  # noqa: C901 - a list of routes
    def registry() -> answers.Registry:
        world = engine.world
        snapshot = world.registry.snapshot
        models = len(snapshot.models) if snapshot else 0
        return views.registry(engine.health, world.registry.rest.url, models, world.clock())

    @app.get("/api/v1/deployments")
    def deployments(
        model: str | None = None, environment: str | None = None
    ) -> answers.Deployments:
        found = [
            views.deployment(status)
            for status in engine.statuses()
            if model in (None, status.record.model)
            and environment in (None, status.record.environment)
        ]
        itself: answers.Deployer = {
            "version": __version__,
            "platform": engine.world.settings.platform_id,
            "queue_depth": engine.depth(),
        }
        return {"deployments": found, "registry": registry(), "deployer": itself}

    @app.get("/api/v1/deployments/{deployment}")
    def deployment(deployment: str) -> answers.Deployment:
        return views.deployment(engine.status(deployment))

    @app.get("/api/v1/deployments/{deployment}/plan")
    def plan(deployment: str) -> answers.Plan:
        return views.plan(engine.planned(deployment))

    @app.get("/api/v1/plan")
    def plans() -> answers.Plans:
        return {"plans": [views.plan(status) for status in engine.statuses()]}

    @app.get("/api/v1/deployments/{deployment}/history")
    def history(
        deployment: str, limit: Annotated[int, Query(ge=1, le=10_000)] = 50
    ) -> answers.History:
        return {"events": views.events(engine.world.history.of(deployment, limit))}

    @app.get("/api/v1/deployments/{deployment}/logs", response_class=PlainTextResponse)
    def logs(
        deployment: str,
        lines: Annotated[int, Query(ge=1, le=100_000)] = 200,
        predictor: str | None = None,
    ) -> PlainTextResponse:
        """The last lines of one predictor: the one on its way, else the one that serves."""
        status = engine.status(deployment)
        known = views.predictors_of(status)
        if predictor is not None and predictor not in known:
            raise NotFound(
                f"{deployment} has no predictor {predictor!r}.", f"It has {', '.join(known)}."
            )
        name = predictor or next(iter(known), "")
        text = engine.world.targets[status.record.environment].logs(name, lines) if name else ""
        return PlainTextResponse(text, headers={"X-Schnitzel-Predictor": name})

    @app.get("/api/v1/environments")
    def environments() -> answers.Environments:
        held = engine.health.held or {}
        return {"environments": views.environments(engine.world.settings, held)}

    @app.get("/api/v1/clusters")
    def clusters() -> answers.Clusters:
        """What the Deployer needs of each cluster, and whether it is there."""
        return {"clusters": views.clusters(engine.world.each_target)}

    @app.get("/api/v1/registry")
    def registry_health() -> answers.Registry:
        return registry()


def _changes(app: FastAPI, engine: Engine, subject: Callable[..., str]) -> None:
    def told(deployment: str) -> answers.Deployment:
        return views.deployment(engine.status(deployment))

    @app.post("/api/v1/deployments/{deployment}/apply")
    def apply(deployment: str, body: Apply, who: str = Depends(subject)) -> answers.Deployment:
        engine.apply(
            deployment,
            who,
            reviewed=body.plan or "",
            retry=body.retry,
            allow_retire=body.allow_retire,
        )
        return told(deployment)

    @app.post("/api/v1/deployments/{deployment}/pause")
    def pause(
        deployment: str, body: PauseRequest, who: str = Depends(subject)
    ) -> answers.Deployment:
        engine.pause(deployment, who, body.reason)
        return told(deployment)

    @app.post("/api/v1/deployments/{deployment}/resume")
    def resume(deployment: str, who: str = Depends(subject)) -> answers.Deployment:
        engine.resume(deployment, who)
        return told(deployment)

    @app.post("/api/v1/registry/accept")
    def accept(who: str = Depends(subject)) -> answers.Accepted:
        engine.accept_registry(who)
        return {"accepted": True}

    @app.post("/api/v1/reconcile")
    def reconcile(who: str = Depends(subject)) -> answers.Looking:
        engine.look()
        return {"looking": True, "for": who}


def _machines(app: FastAPI, engine: Engine, webhook_secret: str) -> None:
    def gauges() -> dict[str, float | dict[str, float]]:
        listed = engine.health.listed_at
        states = Counter(str(status.verdict.state) for status in engine.statuses())
        phases = Counter(
            str(seen.phase) for s in engine.statuses() for seen in s.observed.predictors.values()
        )
        age = engine.world.clock() - listed if listed is not None else float("nan")
        return {
            "schnitzel_queue_depth": float(engine.depth()),
            "schnitzel_deployments": {str(s): float(states[str(s)]) for s in State},
            "schnitzel_registry_listing_age_seconds": age,
            "schnitzel_environment_builds": {"building": float(phases["building"])},
        }

    engine.metrics.observe(gauges)

    @app.get("/healthz")
    def alive() -> dict[str, Any]:
        return {"status": "ok", "version": __version__}

    @app.get("/readyz")
    def ready() -> JSONResponse:
        seen = engine.health.state != "Unseen"
        held = "; ".join(
            f"environment {name} is held by the platform {platform}: take it out of platform.yaml, "
            f"or delete the tag schnitzel.claim.{name} of MLflow's experiment schnitzel"
            for name, platform in (engine.health.held or {}).items()
        )
        message = held if seen else engine.health.message
        ready = seen and not held
        return JSONResponse({"ready": ready, "message": message}, 200 if ready else 503)

    @app.get("/metrics")
    def metrics() -> Response:
        text = generate_latest(engine.metrics.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    @app.post("/webhooks/mlflow")
    async def webhook(request: Request) -> dict[str, Any]:
        body = await request.body()
        webhooks.check(request.headers, body, webhook_secret, time.time())
        engine.watch.hint(webhooks.model_of(body))
        return {}


def _subject_of(tokens: Path) -> Callable[..., str]:
    def subject(authorization: Annotated[str | None, Header()] = None) -> str:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorised(
                "A change needs a token that names who asks.",
                "Send `Authorization: Bearer TOKEN`; `schnitzel up` wrote one into the home.",
            )
        digest = hashlib.sha256(token.strip().encode()).hexdigest()
        try:
            known = json.loads(tokens.read_text())
        except (OSError, ValueError):
            known = {}
        found = known.get(digest)
        if not isinstance(found, str):
            raise Unauthorised("This token is not known.", "schnitzel up makes a new one.")
        return found

    return subject
