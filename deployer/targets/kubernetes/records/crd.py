"""Convert records and statuses to ModelDeployments, and read records back.

Pure. A ModelDeployment holds the record (`spec.record`), shows the status of the deployment
(`status`), and owns every object that serves the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from deployer.errors import FormatUnknown
from deployer.state.predictor import Predictor
from deployer.state.record import Record
from deployer.status.conditions import Condition, conditions
from deployer.status.verdict import Status
from deployer.store import recordformat
from deployer.store.recordformat import FORMAT
from deployer.targets.kubernetes.cache.objects import DEPLOYMENT_ID, MANAGER, PLATFORM, LiveObject
from deployer.targets.kubernetes.client.errors import ApiError
from deployer.targets.kubernetes.client.kinds import EVENT, MODEL_DEPLOYMENT

FORMAT_NOTE: Final = "schnitzel.dev/record-format"
MAX_MESSAGE: Final = 1024
"""Characters of an event's message (the API's limit)."""

Object = dict[str, Any]


class RecordUnreadable(ApiError):  # noqa: N818 - named for the reason that people see
    """A ModelDeployment's record was written by another version of Schnitzel, or by hand."""

    reason = "RecordUnreadable"
    transient = False


def manifest(record: Record, platform: str, namespace: str) -> Object:
    """Build the ModelDeployment of a record, without status."""
    labels = {
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/part-of": record.id,
        PLATFORM: platform,
        DEPLOYMENT_ID: record.id,
    }
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": MODEL_DEPLOYMENT.name,
        "metadata": {
            "name": record.id,
            "namespace": namespace,
            "labels": labels,
            "annotations": {FORMAT_NOTE: str(FORMAT)},
        },
        "spec": {
            "model": record.model,
            "environment": record.environment,
            "platform": platform,
            "record": recordformat.body(record),
        },
    }


def record_of(obj: Mapping[str, Any]) -> Record:
    """Read the record of a ModelDeployment.

    Raises:
        RecordUnreadable: The record is in another format, or inconsistent.
    """
    meta = obj["metadata"]
    form = (meta.get("annotations") or {}).get(FORMAT_NOTE, "1")
    where = f"{meta.get('namespace')}/{meta['name']}"
    try:
        return _slim(recordformat.record_of(obj["spec"]["record"], form, where))
    except FormatUnknown as error:
        raise RecordUnreadable(error.message, error.hint) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RecordUnreadable(
            f"The record of {where} cannot be read.",
            f"Look at spec.record: kubectl get modeldeployment {meta['name']} -o yaml",
        ) from error


def changes(obj: Mapping[str, Any], record: Record) -> list[Object]:
    """List the operations of a JSON patch that bring a ModelDeployment to a record."""
    notes = obj["metadata"].get("annotations") or {}
    found: list[Object] = [
        {"op": "replace", "path": "/spec/record", "value": recordformat.body(record)}
    ]
    if notes.get(FORMAT_NOTE) != str(FORMAT):
        noted = {**notes, FORMAT_NOTE: str(FORMAT)}
        found.append({"op": "add", "path": "/metadata/annotations", "value": noted})
    return found


def status_of(
    status: Status, generation: int, ready: str, before: Mapping[str, Any], now: float
) -> Object | None:
    """Build the `status` of a ModelDeployment; None if the present status is up to date.

    Args:
        status: The status of the deployment.
        generation: The generation of the spec that the status describes.
        ready: Ready and wanted replicas of the serving predictor: "1/1".
        before: The present `status`.
        now: Seconds since the epoch.
    """
    verdict, record, wanted = status.verdict, status.record, status.wanted
    built: Object = {
        "observedGeneration": generation,
        "wanted": str(wanted.version.number) if wanted.version else "",
        "serving": str(record.champion.version.number) if record.champion else "",
        "ready": ready,
        "state": verdict.state.value,
        "reason": verdict.reason,
        "message": verdict.message,
        "nextStep": verdict.next_step,
        "url": status.url,
    }
    past = {c["type"]: c for c in before.get("conditions") or ()}
    built["conditions"] = [
        _condition(one, generation, past.get(one.kind), now) for one in conditions(status)
    ]
    if all(before.get(name) == value for name, value in built.items()):
        return None
    return built | {"updatedAt": timestamp(now)}


def owner_reference(name: str, uid: str) -> Object:
    """Build the owner reference that has an object deleted with its ModelDeployment."""
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": MODEL_DEPLOYMENT.name,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def event(live: LiveObject, reason: str, message: str, now: float, *, warning: bool) -> Object:
    """Build an Event on a ModelDeployment, which `kubectl describe` shows.

    The same text in the same second gives the same name, so that a second try creates no second
    Event.
    """
    text = message[:MAX_MESSAGE]
    identity = f"{live.uid} {reason} {text} {int(now)}"
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {"name": f"{live.key.name}.{digest}", "namespace": live.key.namespace},
        "involvedObject": {
            "apiVersion": MODEL_DEPLOYMENT.api_version,
            "kind": MODEL_DEPLOYMENT.name,
            "name": live.key.name,
            "namespace": live.key.namespace,
            "uid": live.uid,
        },
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": text,
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
    }


def timestamp(now: float) -> str:
    """Format seconds since the epoch as the API writes times: "2025-01-31T12:00:00Z"."""
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _slim(record: Record) -> Record:
    """Let equal specs share memory: specs are the bulk of ten thousand records."""
    return replace(
        record,
        predictors={
            role: tuple(replace(one, predictor=_slim_predictor(one.predictor)) for one in holders)
            for role, holders in record.predictors.items()
        },
        candidate=record.candidate
        and replace(
            record.candidate,
            predictor=_slim_predictor(record.candidate.predictor),
            twin=record.candidate.twin and _slim_predictor(record.candidate.twin),
        ),
        draining=tuple(replace(d, predictor=_slim_predictor(d.predictor)) for d in record.draining),
    )


def _slim_predictor(predictor: Predictor) -> Predictor:
    return replace(
        predictor,
        origins=_shared(orjson.dumps(predictor.origins)),
    )


@lru_cache(maxsize=1024)
def _shared(text: bytes) -> Mapping[str, Any]:
    found = orjson.loads(text)
    assert isinstance(found, dict)  # noqa: S101 - a mapping was written
    return found


def _condition(
    condition: Condition, generation: int, past: Mapping[str, Any] | None, now: float
) -> Object:
    same = past is not None and past.get("status") == condition.value
    return {
        "type": condition.kind,
        "status": condition.value,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": past["lastTransitionTime"] if past and same else timestamp(now),
        "observedGeneration": generation,
    }
