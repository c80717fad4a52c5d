"""List the reasons that only a cluster has, beside those in deployer/state/reasons.py.

docs/reference/states.md has a section for each.
"""

from __future__ import annotations

from enum import StrEnum


class PodReason(StrEnum):
    """The reasons why pods of a predictor do not answer."""

    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ADMISSION_REFUSED = "AdmissionRefused"
    ADMISSION_UNAVAILABLE = "AdmissionUnavailable"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    REFERENCE_MISSING = "ReferenceMissing"
    CANNOT_START = "CannotStart"
    NODE_LOST = "NodeLost"
    EVICTED = "Evicted"
    SCALED_TO_ZERO = "ScaledToZero"
    SELDON_REFUSED = "SeldonRefused"
    SELDON_LOOPS = "SeldonLoops"
    SELDON_UNREACHABLE = "SeldonUnreachable"
    SELDON_SILENT = "SeldonSilent"
