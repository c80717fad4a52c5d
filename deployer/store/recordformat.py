"""In: a record. Out: what is kept of it, and the way back; one format wherever it is kept.

A field at its default is left out, so that a record which makes no use of an addition to the
format is read by a Deployer from before it.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from deployer import __version__
from deployer.errors import FormatUnknown
from deployer.state.deployment import Record

FORMAT: Final = 1
HINT: Final = (
    "Another version of Schnitzel wrote it, and which one is not known here: run that one, or a "
    "newer one. Nothing was changed."
)

ADAPTER: Final = TypeAdapter(Record)


class _Kept(BaseModel, extra="forbid"):
    """Has a field that is not known refused, in all that a record is made of."""

    record: Record


def body(record: Record) -> dict[str, Any]:
    """Turn a record into JSON values."""
    whole = ADAPTER.dump_python(record, mode="json", exclude_defaults=True)
    assert isinstance(whole, dict)  # noqa: S101 - a dataclass is one
    return whole


def record_of(kept: object, form: object, where: str) -> Record:
    """Read a record.

    Args:
        kept: its JSON values.
        form: the format that it says to have.
        where: what it is of, for a sentence.

    Raises:
        FormatUnknown: it is in another format, or has a field that this one does not.
        ValueError: it does not hold together.
    """
    raise_if_unknown(form, f"The record of {where}", FORMAT)
    try:
        return _Kept.model_validate({"record": kept}).record
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


def raise_if_unknown(form: object, what: str, known: int) -> None:
    """Refuse a format that is not the known one.

    Raises:
        FormatUnknown: it is another.
    """
    if str(form) != str(known):
        raise FormatUnknown(
            f"{what} has format {form}; this Deployer ({__version__}) knows format {known}.", HINT
        )
