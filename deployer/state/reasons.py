"""Define the states and reasons of a deployment.

A reason that is the name of an error is in deployer/errors.py instead. docs/reference/states.md
explains all of them in sections of their own, and a test compares that page with this module.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """The state of a deployment."""

    SERVING = "Serving"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    FAILED = "Failed"
    NOTHING_PROMOTED = "NothingPromoted"
    RETIRED = "Retired"


class Sync(StrEnum):
    """Whether the champion is the wanted predictor, or why the controller may not change it."""

    IN_SYNC = "InSync"
    OUT_OF_SYNC = "OutOfSync"
    FROZEN = "Frozen"
    PAUSED = "Paused"


class Reason(StrEnum):
    """The reason of a deployment's state that is not the name of an error."""

    READY = "Ready"
    READING = "Reading"
    QUEUED = "Queued"
    FETCHING = "Fetching"
    BUILDING_ENVIRONMENT = "BuildingEnvironment"
    STARTING = "Starting"
    VERIFYING = "Verifying"
    SHIFTING_TRAFFIC = "ShiftingTraffic"
    ANALYSING = "Analysing"
    BASELINE_FAILED = "BaselineFailed"
    SPLIT_NOT_AS_ASKED = "SplitNotAsAsked"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    RESTARTING = "Restarting"
    GRACE_PERIOD = "GracePeriod"
    NOTHING_PROMOTED = "NothingPromoted"
    PAUSED = "Paused"

    # Of a predictor, as the target observes it or its server reports it (serving/backends/pool.py).
    LOAD_ERROR = "LoadError"
    OUT_OF_MEMORY = "OutOfMemory"
    NOT_READY = "NotReady"
    NOT_READY_IN_TIME = "NotReadyInTime"
    WORKER_DIED = "WorkerDied"
    HUNG = "Hung"
    CRASH_LOOP = "CrashLoop"
    STOPPING = "Stopping"
    FEWER_REPLICAS = "FewerReplicas"

    # Of a predictor that consumes a queue, as its server reports it (serving/queue/broker.py).
    QUEUE_UNREACHABLE = "QueueUnreachable"
    QUEUE_MISSING = "QueueMissing"
    QUEUE_REFUSED = "QueueRefused"
    RESULT_REFUSED = "ResultRefused"
    BROKER_BLOCKED = "BrokerBlocked"

    # Of a predictor that consumes its queue, as the queue's depths show it.
    BACKLOG = "Backlog"
    DEAD_LETTERING = "DeadLettering"


OF_A_BROKER: Final = frozenset(
    {
        Reason.QUEUE_UNREACHABLE,
        Reason.QUEUE_MISSING,
        Reason.QUEUE_REFUSED,
        Reason.RESULT_REFUSED,
        Reason.BROKER_BLOCKED,
    }
)
"""Reasons whose cause is the broker or its queues, and not the predictor."""


class RegistryHealth(StrEnum):
    """The health of the registry."""

    FRESH = "Fresh"
    STALE = "Stale"
    FROZEN = "Frozen"
    UNSEEN = "Unseen"


class TagReason(StrEnum):
    """The beginning of a version's tag that is not the state of the deployment."""

    NOT_SERVED = "NotServed"
    SUPERSEDED = "Superseded"
