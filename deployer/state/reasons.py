"""Nothing in; out: the words in which a deployment's state is told, each with a page of its own.

A reason that is the name of an error is in deployer/errors.py instead. docs/reference/states.md
explains all of them, and a test holds that page against this one.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What a deployment is doing, in one word."""

    SERVING = "Serving"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    FAILED = "Failed"
    NOTHING_PROMOTED = "NothingPromoted"
    RETIRED = "Retired"


class Sync(StrEnum):
    """Whether what serves is what is wanted, or why nobody tries to make it so."""

    IN_SYNC = "InSync"
    OUT_OF_SYNC = "OutOfSync"
    FROZEN = "Frozen"
    PAUSED = "Paused"


class Reason(StrEnum):
    """Why a deployment is in its state, where it is not an error's name."""

    READY = "Ready"
    READING = "Reading"
    QUEUED = "Queued"
    FETCHING = "Fetching"
    BUILDING_ENVIRONMENT = "BuildingEnvironment"
    STARTING = "Starting"
    VERIFYING = "Verifying"
    SHIFTING_TRAFFIC = "ShiftingTraffic"
    RESTARTING = "Restarting"
    GRACE_PERIOD = "GracePeriod"
    NOTHING_PROMOTED = "NothingPromoted"
    PAUSED = "Paused"

    # Of a predictor, as we see it or as its server says of itself (serving/backends/pool.py).
    LOAD_ERROR = "LoadError"
    OUT_OF_MEMORY = "OutOfMemory"
    NOT_READY = "NotReady"
    NOT_READY_IN_TIME = "NotReadyInTime"
    WORKER_DIED = "WorkerDied"
    HUNG = "Hung"
    CRASH_LOOP = "CrashLoop"
    STOPPING = "Stopping"
    FEWER_REPLICAS = "FewerReplicas"


class RegistryHealth(StrEnum):
    """How well the registry is seen."""

    FRESH = "Fresh"
    STALE = "Stale"
    FROZEN = "Frozen"
    UNSEEN = "Unseen"


class Mirrored(StrEnum):
    """What a version's tag begins with, where it is not the state of the deployment."""

    NOT_SERVED = "NotServed"
    SUPERSEDED = "Superseded"
