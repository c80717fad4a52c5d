"""Validate the fields of project.yaml, with errors that name the valid values."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

CLUSTER_NAMES = ("local",)
"""The names of all clusters; `clusters.known` holds the clusters themselves."""
_PRESETS = frozenset(
    {"@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"}
)
"""The schedules that Airflow names: airflow.sdk.definitions.timetables."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"([1-9][0-9]*)([smhd])", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('a duration is a number with a unit: "90s", "10m", "2h" or "1d"')
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _known_cluster(value: str) -> str:
    if value not in CLUSTER_NAMES:
        raise ValueError(f'no cluster is named "{value}"; known: {", ".join(CLUSTER_NAMES)}')
    return value


def _schedule(value: str | None) -> str | None:
    if value is None or value in _PRESETS:
        return value
    # Airflow itself parses schedules with croniter, which is published without types.
    from croniter import CroniterError, croniter  # type: ignore[import-untyped]

    try:
        croniter(value)
    except CroniterError as error:
        presets = ", ".join(sorted(_PRESETS))
        raise ValueError(
            f'"{value}" is no cron expression ({error}), nor one of {presets}'
        ) from None
    return value


def _not_production(value: str) -> str:
    if value.lower() in {"prod", "production", "champion"}:
        raise ValueError(
            "a pipeline never promotes to production, a person does: "
            "schnitzel model promote NAME@VERSION --to prod"
        )
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema(
        {"type": "string", "pattern": "^[1-9][0-9]*[smhd]$", "examples": ["90s", "10m"]}
    ),
]
ProjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
StepName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
ParamName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)]
ParamValue = bool | int | float | str
Schedule = Annotated[str | None, AfterValidator(_schedule)]
ClusterName = Annotated[str, AfterValidator(_known_cluster)]
PromotedTo = Annotated[str, Field(min_length=1), AfterValidator(_not_production)]
