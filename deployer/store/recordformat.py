"""Serialise and parse records, in one format for every store.

A field at its default is omitted, so that an older Deployer can read a record that does not use an
addition to the format. Records of format 1 are read, too, and are written again in the present
format when they change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from deployer import __version__
from deployer.errors import FormatUnknown
from deployer.state.predictor import Role
from deployer.state.record import Record

FORMAT: Final = 2
HINT: Final = (
    "Another version of Schnitzel wrote it, and which one is not known here: run that one, or a "
    "newer one. Nothing was changed."
)

_SINCE: Final = "serving_since"

ADAPTER: Final = TypeAdapter(Record)


class _Stored(BaseModel):
    """A wrapper that sets the stored names of all fields, and forbids unknown fields."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=lambda name: STORED_NAMES.get(name, name)
    )

    record: Record


def body(record: Record) -> dict[str, Any]:
    """Serialise a record to JSON values."""
    whole = _Stored(record=record).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    fields: dict[str, Any] = whole["record"]
    return fields


def record_of(kept: object, form: object, where: str) -> Record:
    """Parse a record.

    Args:
        kept: the JSON values of the record.
        form: the format that the record declares.
        where: the deployment of the record and its store, for error messages.

    Raises:
        FormatUnknown: the record has another format, or a field that this format does not have.
        ValueError: the record is inconsistent.
    """
    if str(form) == "1" and isinstance(kept, Mapping):
        kept = _from_1(kept)
    else:
        raise_if_unknown(form, f"The record of {where}", FORMAT)
    try:
        return _Stored.model_validate({"record": kept}).record
    except ValidationError as error:
        fields = [
            ".".join(map(str, each["loc"][1:]))
            for each in error.errors(include_url=False, include_input=False)
            if each["type"] == "unexpected_keyword_argument"
        ]
        if fields:
            raise FormatUnknown(
                f"The record of {where} has {', '.join(fields)}, which this Deployer "
                f"({__version__}) does not know.",
                HINT,
            ) from error
        raise


def _from_1(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Move the champion of format 1 to the predictors by role."""
    moved = {name: value for name, value in kept.items() if name not in ("serving", _SINCE)}
    if kept.get("serving"):
        holder = {"predictor": kept["serving"], "since": kept.get(_SINCE)}
        moved["predictors"] = {Role.CHAMPION.value: [holder]}
    return moved


def raise_if_unknown(form: object, what: str, known: int) -> None:
    """Refuse every format but the known format.

    Raises:
        FormatUnknown: the format is another one.
    """
    if str(form) != str(known):
        raise FormatUnknown(
            f"{what} has format {form}; this Deployer ({__version__}) knows format {known}.", HINT
        )
