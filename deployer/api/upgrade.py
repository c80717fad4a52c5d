"""Serve the requests that show the progress of a platform upgrade, and halt or resume it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from fastapi import Depends, FastAPI
from pydantic import BaseModel

from deployer import hints
from deployer.api.engine import Engine
from deployer.api.schema import upgrade as upgradeanswers
from deployer.api.views import moment
from deployer.controller.context import ReconcileContext, upgrading
from deployer.registry.identity import NEXT_STEP
from deployer.rollout import upgrade
from deployer.rollout.upgrade import BEGUN, Move, Upgrade, UpgradePhase
from deployer.status.verdict import Status
from deployer.store.history import Event

PATH = "/api/v1/upgrade"
RESUME = "schnitzel platform upgrade --resume"
State = Literal["Done", "Progressing", "Failed", "Halted", "Frozen"]


class Halt(BaseModel):
    """Whether no further deployment is to begin."""

    halt: bool


def add(app: FastAPI, engine: Engine, subject: Callable[..., str]) -> None:
    """Add the routes of upgrades; a change needs a token that names its subject."""

    def answer() -> upgradeanswers.Upgrade:
        return tell(engine.context, engine.statuses())

    @app.get(PATH)
    def upgrade_plan() -> upgradeanswers.Upgrade:
        """How far an upgrade is: who moves when, and who does not, and why."""
        return answer()

    @app.post(PATH)
    def upgrade_halt(body: Halt, who: str = Depends(subject)) -> upgradeanswers.Upgrade:
        """Let no further deployment begin, over restarts of the Deployer too; or go on."""
        save_halt(engine.context, who, halt=body.halt)
        engine.resync()
        return answer()


def save_halt(context: ReconcileContext, who: str, *, halt: bool) -> None:
    """Record an operator's halt or resume of upgrades; do nothing where it is in force already."""
    if halt == bool(context.records.get(upgrade.HALT)):
        return
    now = context.clock()
    action = "halt upgrade" if halt else "resume upgrade"
    context.history.append(Event("", "operator", action, None, None, "a person asked", who), now)
    context.records.set(upgrade.HALT, json.dumps({"by": who, "at": now}) if halt else "")


def tell(context: ReconcileContext, statuses: Sequence[Status]) -> upgradeanswers.Upgrade:
    """Describe the progress of an upgrade as of now.

    Args:
        context: The controller's records and desired state.
        statuses: The status of each deployment.
    """
    sentences = {status.record.id: status.verdict.message for status in statuses}
    found = upgrading(context, {status.record.id for status in statuses if status.invalid})
    halted = _halted(context)
    state, message, next_step = _summarize(found, halted, frozen=bool(context.identity.frozen))
    return {
        "state": state,
        "message": message,
        "next_step": next_step,
        "halted": halted,
        "environments": [
            {"environment": name, "version": context.targets[name].server} for name in found.order
        ],
        "batches": found.batches,
        "done": found.done,
        "deployments": [_move(move, sentences) for move in found.moves],
    }


def _halted(context: ReconcileContext) -> upgradeanswers.Halted | None:
    kept = context.records.get(upgrade.HALT)
    if not kept:
        return None
    found = json.loads(kept)
    return {"by": found["by"], "at": moment(found["at"])}


def _summarize(
    found: Upgrade, halted: upgradeanswers.Halted | None, *, frozen: bool
) -> tuple[State, str, str]:
    failed, begun, waiting = (
        found.in_phase(UpgradePhase.FAILED),
        found.in_phase(*BEGUN),
        found.in_phase(UpgradePhase.WAITING),
    )
    counts = f"{found.done} of {found.done + len(found.moves)} deployments are on their version"
    under_way = f"; {len(begun)} on the way there" if begun else ""
    if failed:
        first = failed[0].record
        rest = f", so that {len(waiting)} more do not begin" if waiting else ""
        message = f"{counts}{under_way}; {len(failed)} could not be served on it{rest}."
        step = (
            f"Try it again: {hints.deploy('apply', first, '--retry')}; or leave it behind, so "
            f"that the others go on: {hints.deploy('pause', first)}"
        )
        return "Failed", message, step
    if halted and (begun or waiting):
        ends = f"{len(begun)} on the way finish, and" if begun else "now"
        message = f"{counts}. Halted by {halted['by']}: {ends} no other begins."
        return "Halted", message, RESUME
    if frozen and (begun or waiting):
        return "Frozen", f"{counts}; nothing moves while the registry is not trusted.", NEXT_STEP
    if begun or waiting:
        wait = "schnitzel platform upgrade --wait"
        return "Progressing", f"{counts}{under_way}; {len(waiting)} wait for their batch.", wait
    if halted:
        message = f"{counts}. A halt by {halted['by']} is in force: the next upgrade waits."
        return "Done", message, RESUME
    stays = found.in_phase(UpgradePhase.PAUSED, UpgradePhase.INVALID)
    step = _explain(stays[0], "")[1] if stays else "schnitzel deploy list"
    return "Done", f"{counts}.", step


def _move(move: Move, sentences: Mapping[str, str]) -> upgradeanswers.Move:
    record = move.record
    why, next_step = _explain(move, sentences.get(record.id, ""))
    return {
        "deployment": record.id,
        "model": record.model,
        "environment": record.environment,
        "from": move.before,
        "to": move.after,
        "state": move.phase.value,
        "batch": move.batch,
        "why": why,
        "next_step": next_step,
    }


def _explain(move: Move, sentence: str) -> tuple[str, str]:
    """Explain a deployment's phase in the upgrade, and the operator's next step."""
    record = move.record
    if move.phase is UpgradePhase.WAITING:
        return "", ""
    if move.phase is UpgradePhase.FAILED:
        failure = upgrade.failure(record)
        again = " It is being tried again." if record.candidate else ""
        why = f"{failure.reason}: {failure.message}{again}" if failure else sentence
        return why, hints.deploy("apply", record, "--retry")
    if move.phase is UpgradePhase.PAUSED and record.pause:
        because = f": {record.pause.reason}" if record.pause.reason else ""
        return f"paused by {record.pause.by}{because}", hints.deploy("resume", record)
    if move.phase is UpgradePhase.UNPROMOTED:
        return "nothing is promoted", hints.promote(record)
    return sentence, hints.deploy("status", record)
