"""Apply an operator's options to a record, and describe them for the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deployer.plan.preview import ObjectChange
from deployer.state.record import Record


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """The options that an operator sets for an apply.

    Attributes:
        reviewed: the digest of the reviewed plan; empty for the current plan.
        retry: retry a version that failed.
        allow_retire: retire a champion although the policy would refuse.
        adopt: adopt the foreign objects that stand in the way.
    """

    reviewed: str = ""
    retry: bool = False
    allow_retire: bool = False
    adopt: bool = False


def apply_options(record: Record, options: ApplyOptions, foreign: Sequence[ObjectChange]) -> Record:
    """Apply the options to a record; `foreign` has the objects to adopt."""
    if options.retry:
        usable = {key: known for key, known in record.descriptions.items() if not known.problem}
        record = replace(record, failures={}, descriptions=usable)
    if options.allow_retire:
        record = replace(record, allow_retire=True)
    if foreign:
        record = replace(record, adopt=tuple(each.uid for each in foreign))
    return record


def describe(options: ApplyOptions, foreign: Sequence[ObjectChange]) -> str:
    """Describe the options, as in "retry, adopt Service/angler-prod-v3-1a2b3c4d"."""
    adopted = ", ".join(f"{each.kind}/{each.name}" for each in foreign)
    parts = [
        ("retry", options.retry),
        ("allow retire", options.allow_retire),
        (f"adopt {adopted}", bool(foreign)),
    ]
    return ", ".join(text for text, asked in parts if asked)
