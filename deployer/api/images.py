"""Serve the requests that list built Python environments and remove unused ones.

A cluster's Python environments are images in its registry; this machine's are cache folders.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastapi import Depends, FastAPI
from pydantic import BaseModel

from deployer.api.engine import Engine
from deployer.api.schema import images as imageanswers
from deployer.api.views import moment
from deployer.controller import usage
from deployer.controller.context import ReconcileContext
from deployer.errors import TargetUnavailable
from deployer.python_env.retention import Inventory, KeptEnvironment, verdicts
from deployer.store.history import Event
from deployer.targets.base import HasPythonEnvironments

PATH = "/api/v1/images"


class Collect(BaseModel):
    """The names of what is to go, as they were shown; of these, what is needed stays."""

    names: list[str]


def add(app: FastAPI, engine: Engine, subject: Callable[..., str]) -> None:
    """Add the routes of built Python environments; a collection needs a token."""

    @app.get(PATH)
    def images() -> imageanswers.Images:
        """Every environment that was built, who uses it, and whether it may go."""
        context = engine.context
        return {"places": [_place(context, target) for target in _builders(context)]}

    @app.post(f"{PATH}/collect")
    def collect(body: Collect, who: str = Depends(subject)) -> imageanswers.Images:
        """Begin to remove environments that nothing needs; a listing tells what came of it."""
        context = engine.context
        event = Event(
            "", "operator", "collect environments", None, None, "a person asked", who,
            ", ".join(body.names),
        )  # fmt: skip
        context.history.append(event, context.clock())
        for target in _builders(context):
            begin(context, target, body.names)
        return images()


def begin(context: ReconcileContext, target: HasPythonEnvironments, names: list[str]) -> None:
    """Start removing a target's Python environments that are named and unused."""
    ask = partial(usage.of_target, context, target)
    try:
        own = {built.name for built in target.environments(ask()).built}
    except TargetUnavailable:
        return  # the listing reports it
    if chosen := own.intersection(names):
        target.collect(chosen, ask, context.settings.policy.collect_after)


def _builders(context: ReconcileContext) -> list[HasPythonEnvironments]:
    return [each for each in context.each_target if isinstance(each, HasPythonEnvironments)]


def _place(context: ReconcileContext, target: HasPythonEnvironments) -> imageanswers.ImagePlace:
    grace = context.settings.policy.collect_after
    try:
        inventory = target.environments(usage.of_target(context, target))
        message, hint = inventory.unknown, ""
    except TargetUnavailable as error:
        inventory, message, hint = Inventory(""), error.message, error.hint
    stays = verdicts(inventory, context.clock(), grace)
    return {
        "name": target.name,
        "where": inventory.where,
        "grace_seconds": grace,
        "message": message,
        "hint": hint,
        "images": [_image(built, stays[built.name]) for built in inventory.built],
        "collection": _collection(inventory),
    }


def _image(built: KeptEnvironment, stays: str) -> imageanswers.Image:
    return {
        "name": built.name,
        "image": built.image,
        "lock": built.lock,
        "python": built.python,
        "bytes": built.size,
        "made_at": moment(built.made_at),
        "used_at": moment(built.used_at or None),
        "state": built.phase,
        "users": [
            {
                "model": user.model,
                "environment": user.environment,
                "version": user.version,
                "part": user.part,
            }
            for user in built.users
        ],
        "collectable": not stays,
        "kept": stays,
    }


def _collection(inventory: Inventory) -> imageanswers.Collection | None:
    job = inventory.removal
    if job is None:
        return None
    removed, error = job.result, job.error
    failure = removed or error
    return {
        "state": job.phase,
        "since": moment(job.since),
        "removed": list(removed.names) if removed else [],
        "kept": [{"name": n, "why": why} for n, why in removed.kept.items()] if removed else [],
        "message": failure.message if failure else "",
        "hint": failure.hint if failure else "",
    }
