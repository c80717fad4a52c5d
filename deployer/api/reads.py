"""Serve the requests that only read what the controller knows; they need no token."""

from typing import Annotated

from fastapi import FastAPI, Query
from fastapi.responses import PlainTextResponse

from deployer import __version__
from deployer.api import rollout, views
from deployer.api.schema import deployments as answers, plans as plananswers, rollouts
from deployer.operator.queries import Queries
from deployer.status.verdict import Status


def add(app: FastAPI, queries: Queries) -> None:  # noqa: C901 - a list of routes
    """Add the routes that only read."""

    def answer(status: Status) -> answers.Deployment:
        return views.deployment(status, queries.settings)

    def registry() -> answers.Registry:
        return views.registry(queries.registry())

    @app.get("/api/v1/deployments")
    def deployments(
        model: str | None = None, environment: str | None = None
    ) -> answers.Deployments:
        found = [
            answer(status)
            for status in queries.statuses()
            if model in (None, status.record.model)
            and environment in (None, status.record.environment)
        ]
        itself: answers.Deployer = {
            "version": __version__,
            "platform": queries.settings.platform_id,
            "queue_depth": queries.queue_depth(),
        }
        return {"deployments": found, "registry": registry(), "deployer": itself}

    @app.get("/api/v1/deployments/{deployment}")
    def deployment(deployment: str) -> answers.Deployment:
        return answer(queries.status(deployment))

    @app.get("/api/v1/deployments/{deployment}/plan")
    def plan(deployment: str) -> plananswers.Plan:
        """Plan the deployment now; the digest covers the goal and every rendered object."""
        return views.plan(*queries.plan(deployment))

    @app.get("/api/v1/deployments/{deployment}/diff")
    def diff(deployment: str) -> plananswers.Diff:
        """List the objects that would change, field by field, with secrets masked."""
        return views.diff(*queries.preview(deployment))

    @app.get("/api/v1/deployments/{deployment}/tree")
    def tree(deployment: str) -> plananswers.Tree:
        """Show the objects of the deployment in its target, each with its status."""
        return views.tree(*queries.tree(deployment))

    @app.get("/api/v1/plan")
    def plans() -> plananswers.Plans:
        """List the plan of every deployment as of its last pass, without rendered objects."""
        return {"plans": [views.outline(status) for status in queries.statuses()]}

    @app.get("/api/v1/deployments/{deployment}/history")
    def history(
        deployment: str, limit: Annotated[int, Query(ge=1, le=10_000)] = 50
    ) -> answers.History:
        return {"events": views.events(queries.history(deployment, limit))}

    @app.get("/api/v1/deployments/{deployment}/evidence")
    def evidence(
        deployment: str,
        changes: Annotated[list[str], Query(alias="with")] = [],  # noqa: B006 - FastAPI copies it
        limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    ) -> rollouts.Evidence:
        """List what was said of steps; with changes of criteria, what would have been said."""
        if changes:
            return rollout.replayed(changes, *queries.replay(deployment, changes))
        return rollout.evidence(queries.evidence(deployment, limit))

    @app.get("/api/v1/deployments/{deployment}/logs", response_class=PlainTextResponse)
    def logs(
        deployment: str,
        lines: Annotated[int, Query(ge=1, le=100_000)] = 200,
        predictor: str | None = None,
    ) -> PlainTextResponse:
        """Return the last lines of a predictor's log: the candidate's, else the champion's."""
        name, text = queries.log(deployment, lines, predictor)
        return PlainTextResponse(text, headers={"X-Schnitzel-Predictor": name})

    @app.get("/api/v1/environments")
    def environments() -> answers.Environments:
        held = queries.registry().health.held or {}
        return {"environments": views.environments(queries.settings, held)}

    @app.get("/api/v1/clusters")
    def clusters() -> answers.Clusters:
        """Check each cluster for what the Deployer needs."""
        return {"clusters": views.clusters(queries.preflight())}

    @app.get("/api/v1/registry")
    def registry_health() -> answers.Registry:
        return registry()
