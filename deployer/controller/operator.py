"""In: a person's word and a record. Out: the record as it is then, and the word for the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deployer.plan.preview import ObjectChange
from deployer.state.deployment import Record


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """What a person asks for beside a look now.

    Attributes:
        reviewed: the digest of the plan that was reviewed; empty for whatever stands.
        retry: try a version that failed again.
        allow_retire: take away what the policy would ask about.
        adopt: take over what is somebody else's and stands in the way.
    """

    reviewed: str = ""
    retry: bool = False
    allow_retire: bool = False
    adopt: bool = False


def keep(record: Record, options: ApplyOptions, foreign: Sequence[ObjectChange]) -> Record:
    """The record with a person's word in it; `strangers` are the objects to take over."""
    if options.retry:
        record = replace(record, failures={}, descriptions={})
    if options.allow_retire:
        record = replace(record, allow_retire=True)
    if foreign:
        record = replace(record, adopt=tuple(each.uid for each in foreign))
    return record


def said(options: ApplyOptions, foreign: Sequence[ObjectChange]) -> str:
    """As in "retry, adopt Service/angler-prod-v3-1a2b3c4d"."""
    adopted = ", ".join(f"{each.kind}/{each.name}" for each in foreign)
    parts = [
        ("retry", options.retry),
        ("allow retire", options.allow_retire),
        (f"adopt {adopted}", bool(foreign)),
    ]
    return ", ".join(text for text, asked in parts if asked)
