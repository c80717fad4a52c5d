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


class _Stored(BaseModel):
    """A wrapper that forbids unknown fields in a record and all its parts."""

    model_config = ConfigDict(extra="forbid")

    record: Record


def body(record: Record) -> dict[str, Any]:
    """Serialise a record to JSON values."""
    whole = _Stored(record=record).model_dump(mode="json", exclude_defaults=True)
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
            if each["type"] in ("unexpected_keyword_argument", "extra_forbidden")
        ]
        if fields:
            raise FormatUnknown(
                f"The record of {where} has {', '.join(fields)}, which this Deployer "
                f"({__version__}) does not know.",
                HINT,
            ) from error
        raise


def _from_1(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Convert format 1, which had one champion and called promotions marks."""
    found = dict(kept)
    champion, since = found.pop("serving", None), found.pop("serving_since", None)
    if champion:
        found["predictors"] = {Role.CHAMPION: [{"predictor": champion, "since": since}]}
    if "marks" in found:
        found["promotions"] = found.pop("marks")
    return found


def raise_if_unknown(form: object, what: str, known: int) -> None:
    """Refuse every format but the known format.

    Raises:
        FormatUnknown: the format is another one.
    """
    if str(form) != str(known):
        raise FormatUnknown(
            f"{what} has format {form}; this Deployer ({__version__}) knows format {known}.", HINT
        )
