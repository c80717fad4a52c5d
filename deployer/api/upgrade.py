"""Serve the requests that show the progress of a platform upgrade, and halt or resume it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from fastapi import Depends, FastAPI
from pydantic import BaseModel

from deployer import hints
from deployer.api.schema import upgrade as upgradeanswers
from deployer.api.times import iso_time
from deployer.operator.commands import Commands
from deployer.operator.queries import Queries, UpgradeReport
from deployer.registry.identity import NEXT_STEP
from deployer.rollout import upgrade
from deployer.rollout.upgrade import BEGUN, Move, UpgradePhase
from deployer.status.verdict import Status

PATH = "/api/v1/upgrade"
RESUME = "schnitzel platform upgrade --resume"
State = Literal["Done", "Progressing", "Failed", "Halted", "Frozen"]


class Halt(BaseModel):
    """Whether to halt the upgrade."""

    halt: bool


def add(app: FastAPI, queries: Queries, commands: Commands, subject: Callable[..., str]) -> None:
    """Add the routes of upgrades; a change needs a token that names its subject."""

    @app.get(PATH)
    def upgrade_plan() -> upgradeanswers.Upgrade:
        """Show the progress of an upgrade: the moves in order, and why a deployment stays."""
        return describe(queries.upgrade(), queries.statuses())

    @app.post(PATH)
    def upgrade_halt(body: Halt, who: str = Depends(subject)) -> upgradeanswers.Upgrade:
        """Halt or resume an upgrade; a halt outlives restarts of the Deployer."""
        commands.halt_upgrade(who, halt=body.halt)
        return upgrade_plan()


def describe(report: UpgradeReport, statuses: Sequence[Status]) -> upgradeanswers.Upgrade:
    """Describe the progress of an upgrade, with the status message of each deployment."""
    sentences = {status.record.id: status.verdict.message for status in statuses}
    found = report.progress
    state, message, next_step = _summarize(report)
    halted_at = iso_time(report.halted_at)
    return {
        "state": state,
        "message": message,
        "next_step": next_step,
        "halted": {"by": report.halted_by, "at": halted_at} if report.halted_by else None,
        "environments": [
            {"environment": name, "version": report.servers[name]} for name in found.order
        ],
        "batches": found.batches,
        "done": found.done,
        "deployments": [_move(move, sentences) for move in found.moves],
    }


def _summarize(report: UpgradeReport) -> tuple[State, str, str]:
    found, halted = report.progress, report.halted_by
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
        message = f"{counts}. Halted by {halted}: {ends} no other begins."
        return "Halted", message, RESUME
    if report.frozen and (begun or waiting):
        return "Frozen", f"{counts}; nothing moves while the registry is not trusted.", NEXT_STEP
    if begun or waiting:
        wait = "schnitzel platform upgrade --wait"
        return "Progressing", f"{counts}{under_way}; {len(waiting)} wait for their batch.", wait
    if halted:
        message = f"{counts}. A halt by {halted} is in force: the next upgrade waits."
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
