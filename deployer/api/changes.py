"""Serve the requests that change a deployment or the registry, each of which needs a token."""

from collections.abc import Callable

from fastapi import Depends, FastAPI
from pydantic import BaseModel, Field

from deployer.api import views
from deployer.api.schema import deployments
from deployer.operator.commands import Commands
from deployer.operator.options import ApplyOptions
from deployer.operator.queries import Queries


class Apply(BaseModel):
    """The options of an apply: the digest of the reviewed plan, and what else an operator allows.

    `retry` retries a failed version, `allow_retire` retires a champion although the policy would
    refuse, `adopt` adopts the foreign objects that are in the way now.
    """

    plan: str | None = None
    retry: bool = False
    allow_retire: bool = False
    adopt: bool = False


class PauseRequest(BaseModel):
    """The reason of a pause."""

    reason: str = ""


class RolloutRequest(BaseModel):
    """The candidate that an operator means, by its digest, and why; empty: whichever it is."""

    candidate: str = ""
    reason: str = ""


class HurryRequest(BaseModel):
    """The candidate that an operator means, by its digest, and why it takes no more steps."""

    candidate: str = ""
    reason: str = Field(min_length=1)


def add(app: FastAPI, queries: Queries, commands: Commands, subject: Callable[..., str]) -> None:
    """Add the routes that make changes; `subject` returns the subject of a request's token."""

    def answer(deployment: str) -> deployments.Deployment:
        return views.deployment(queries.status(deployment), queries.settings)

    @app.post("/api/v1/deployments/{deployment}/apply")
    def apply(deployment: str, body: Apply, who: str = Depends(subject)) -> deployments.Deployment:
        options = ApplyOptions(body.plan or "", body.retry, body.allow_retire, body.adopt)
        commands.apply(deployment, who, options)
        return answer(deployment)

    @app.post("/api/v1/deployments/{deployment}/pause")
    def pause(
        deployment: str, body: PauseRequest, who: str = Depends(subject)
    ) -> deployments.Deployment:
        commands.pause(deployment, who, body.reason)
        return answer(deployment)

    @app.post("/api/v1/deployments/{deployment}/resume")
    def resume(deployment: str, who: str = Depends(subject)) -> deployments.Deployment:
        commands.resume(deployment, who)
        return answer(deployment)

    @app.post("/api/v1/deployments/{deployment}/rollout/advance")
    def advance(
        deployment: str, body: RolloutRequest, who: str = Depends(subject)
    ) -> deployments.Deployment:
        commands.advance(deployment, who, body.candidate)
        return answer(deployment)

    @app.post("/api/v1/deployments/{deployment}/rollout/promote-now")
    def promote_now(
        deployment: str, body: HurryRequest, who: str = Depends(subject)
    ) -> deployments.Deployment:
        commands.promote_now(deployment, who, body.candidate, body.reason)
        return answer(deployment)

    @app.post("/api/v1/deployments/{deployment}/rollout/abort")
    def abort(
        deployment: str, body: RolloutRequest, who: str = Depends(subject)
    ) -> deployments.Deployment:
        commands.abort(deployment, who, body.candidate, body.reason)
        return answer(deployment)

    @app.post("/api/v1/registry/accept")
    def accept(who: str = Depends(subject)) -> deployments.Accepted:
        commands.accept_registry(who)
        return {"accepted": True}

    @app.post("/api/v1/reconcile")
    def reconcile(who: str = Depends(subject)) -> deployments.Looking:
        commands.resync(who)
        return {"looking": True, "for": who}
