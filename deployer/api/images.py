"""Serve the requests that list built Python environments and remove unused ones.

A cluster's Python environments are images in its registry; this machine's are cache folders.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Depends, FastAPI
from pydantic import BaseModel

from deployer.api.schema import images as imageanswers
from deployer.api.times import iso_time
from deployer.operator.commands import Commands
from deployer.operator.queries import BuiltEnvironments, Queries
from deployer.python_env.retention import Inventory, KeptEnvironment

PATH = "/api/v1/images"


class Collect(BaseModel):
    """The names of the Python environments to remove; those that are needed stay."""

    names: list[str]


def add(app: FastAPI, queries: Queries, commands: Commands, subject: Callable[..., str]) -> None:
    """Add the routes of built Python environments; a collection needs a token."""

    @app.get(PATH)
    def images() -> imageanswers.Images:
        """List the Python environments that were built, with their users."""
        grace = queries.settings.policy.collect_after
        return {"places": [_place(each, grace) for each in queries.built_environments()]}

    @app.post(f"{PATH}/collect")
    def collect(body: Collect, who: str = Depends(subject)) -> imageanswers.Images:
        """Begin to remove environments that nothing needs; a listing tells what came of it."""
        commands.collect_environments(who, body.names)
        return images()


def _place(found: BuiltEnvironments, grace: float) -> imageanswers.ImagePlace:
    inventory = found.inventory
    return {
        "name": found.target,
        "where": inventory.where,
        "grace_seconds": grace,
        "message": found.message,
        "hint": found.hint,
        "images": [_image(built, found.kept[built.name]) for built in inventory.built],
        "collection": _collection(inventory),
    }


def _image(built: KeptEnvironment, stays: str) -> imageanswers.Image:
    return {
        "name": built.name,
        "image": built.image,
        "lock": built.lock,
        "python": built.python,
        "bytes": built.size,
        "made_at": iso_time(built.made_at),
        "used_at": iso_time(built.used_at or None),
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
        "since": iso_time(job.since),
        "removed": list(removed.names) if removed else [],
        "kept": [{"name": n, "why": why} for n, why in removed.kept.items()] if removed else [],
        "message": failure.message if failure else "",
        "hint": failure.hint if failure else "",
    }
