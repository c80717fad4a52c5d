"""Serve the requests that only read what the controller knows; they need no token."""

from typing import Annotated

from fastapi import FastAPI, Query
from fastapi.responses import PlainTextResponse

from deployer import __version__, hints
from deployer.api import views
from deployer.api.engine import Engine
from deployer.api.schema import deployments as answers, plans as plananswers
from deployer.errors import NotFound
from deployer.status.verdict import Status
from deployer.targets.base import HasLogs


def add(app: FastAPI, engine: Engine) -> None:  # noqa: C901 - a list of routes
    """Add the routes that only read."""

    def answer(status: Status) -> answers.Deployment:
        return views.deployment(status, engine.context.settings)

    def registry() -> answers.Registry:
        context = engine.context
        snapshot = context.registry.snapshot
        models = len(snapshot.models) if snapshot else 0
        return views.registry(engine.health, context.registry.rest.url, models, context.clock())

    @app.get("/api/v1/deployments")
    def deployments(
        model: str | None = None, environment: str | None = None
    ) -> answers.Deployments:
        found = [
            answer(status)
            for status in engine.statuses()
            if model in (None, status.record.model)
            and environment in (None, status.record.environment)
        ]
        itself: answers.Deployer = {
            "version": __version__,
            "platform": engine.context.settings.platform_id,
            "queue_depth": engine.depth(),
        }
        return {"deployments": found, "registry": registry(), "deployer": itself}

    @app.get("/api/v1/deployments/{deployment}")
    def deployment(deployment: str) -> answers.Deployment:
        return answer(engine.status(deployment))

    @app.get("/api/v1/deployments/{deployment}/plan")
    def plan(deployment: str) -> plananswers.Plan:
        """What would be done now; its digest covers where it leads and all that is rendered."""
        return views.plan(engine.planned(deployment))

    @app.get("/api/v1/deployments/{deployment}/diff")
    def diff(deployment: str) -> plananswers.Diff:
        """The objects that would change, field by field, with secrets masked."""
        return views.diff(engine.previewed(deployment)[0])

    @app.get("/api/v1/deployments/{deployment}/tree")
    def tree(deployment: str) -> plananswers.Tree:
        """What there is of it where it runs, and how each part is."""
        status = engine.status(deployment)
        return views.tree(status, engine.tree(deployment))

    @app.get("/api/v1/plan")
    def plans() -> plananswers.Plans:
        """Of every deployment what the last pass would do; nothing is rendered for it."""
        return {"plans": [views.outline(status) for status in engine.statuses()]}

    @app.get("/api/v1/deployments/{deployment}/history")
    def history(
        deployment: str, limit: Annotated[int, Query(ge=1, le=10_000)] = 50
    ) -> answers.History:
        return {"events": views.events(engine.context.history.of(deployment, limit))}

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
        target = engine.context.targets[status.record.environment]
        if not isinstance(target, HasLogs):
            raise NotFound(
                f"The target {target.name} keeps no logs.", hints.deploy("status", status.record)
            )
        text = target.logs(name, lines) if name else ""
        return PlainTextResponse(text, headers={"X-Schnitzel-Predictor": name})

    @app.get("/api/v1/environments")
    def environments() -> answers.Environments:
        held = engine.health.held or {}
        return {"environments": views.environments(engine.context.settings, held)}

    @app.get("/api/v1/clusters")
    def clusters() -> answers.Clusters:
        """What the Deployer needs of each cluster, and whether it is there."""
        return {"clusters": views.clusters(engine.context.each_target)}

    @app.get("/api/v1/registry")
    def registry_health() -> answers.Registry:
        return registry()
