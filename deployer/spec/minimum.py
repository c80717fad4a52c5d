"""Check a rollout against what the operators demand of every one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from deployer.errors import SpecInvalid
from deployer.schema.base import Frozen
from deployer.schema.units import Duration, Points, format_duration
from deployer.spec.model import ServingSpec


class RolloutLimits(Frozen):
    """What every rollout has to do at least. Null: nothing."""

    first_step: int | None = Field(default=None, ge=1, le=99)
    """The largest share of the traffic that a new version may begin with, in percent."""

    require: Literal["no_harm", "not_worse"] | None = None
    """What at least one step has to require; not_worse is more than no_harm."""

    worse_by: Points | None = None
    """The most that errors and rejected requests may tolerate, such as "2pp"."""

    bake: Duration | None = Field(default=None, gt=0, le=7 * 86400)
    """The shortest time that the old version has to stay warm after a rollout."""


class EnvironmentLimits(Frozen):
    """The limits of the serving specs of one environment, in place of the platform's."""

    rollout: RolloutLimits | None = None
    """What every rollout has to do at least. Null: what the platform's limits say."""


def hold_rollout(spec: ServingSpec, least: RolloutLimits, origins: Mapping[str, str]) -> None:
    """Check a spec against the demands on its rollout.

    Raises:
        SpecInvalid: names the layer, the field, the demand and who can change it.
    """
    rollout, metrics = spec.rollout, spec.analysis.metrics
    if least.first_step is not None and rollout.weights[0] > least.first_step:
        problem = f"begins with {rollout.weights[0]} %, and may begin with {least.first_step} %"
        _refuse("rollout.steps", problem, "first_step", origins)
    asked = {step.require for step in rollout.sections}
    if least.require and not asked & {least.require, "not_worse"}:
        problem = f"has no step that requires {least.require}"
        _refuse("rollout.steps", problem, "require", origins)
    if least.bake is not None and rollout.bake < least.bake:
        problem = f"is {format_duration(rollout.bake)}, less than {format_duration(least.bake)}"
        _refuse("rollout.bake", problem, "bake", origins)
    if (most := least.worse_by) is None:
        return
    for name, limits in (("errors", metrics.errors), ("rejected", metrics.rejected)):
        if limits is None or limits.worse_by is None or limits.worse_by > most:
            problem = f"has to be at most {100 * most:g}pp"
            _refuse(f"analysis.metrics.{name}.worse_by", problem, "worse_by", origins)


def _refuse(field: str, problem: str, limit: str, origins: Mapping[str, str]) -> None:
    layer = origins.get(field, origins.get(field.rpartition(".")[0], "default"))
    where = "the version's serving.yaml" if layer == "default" else layer
    raise SpecInvalid(
        f"{layer}: {field} {problem} (limits.rollout.{limit}).",
        f"Change it in {where}, or ask an operator to change limits.rollout.{limit} in "
        "platform.yaml.",
    )
