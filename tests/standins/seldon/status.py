"""Build the operator's status of a resource from its wanted and its live objects.

There is no observedGeneration, and `state` is of what is there now, whichever generation that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from standins.seldon.objects import Wanted
from standins.seldon.pods import Object

AVAILABLE, CREATING, FAILED = "Available", "Creating", "Failed"
STUCK = "Deployment is no longer progressing and not available."


def status(wanted: Wanted, live: Mapping[str, Object], services: Mapping[str, Object]) -> Object:
    """The status of a resource whose objects could be made."""
    deployments, states = {}, [AVAILABLE]
    description = ""
    for each in wanted.deployments:
        name = each["metadata"]["name"]
        found = live.get(name)
        told = (found or {}).get("status", {})
        state = _state(told)
        states.append(state)
        said = STUCK if state == FAILED else ""
        description = description or said
        deployments[name] = {
            "status": state,
            "replicas": told.get("replicas", 0),
            "availableReplicas": told.get("availableReplicas", 0),
            **({"description": said} if said else {}),
        }
    if len({d["metadata"]["name"] for d in wanted.deployments}) < len(wanted.deployments):
        states.append(CREATING)  # two predictors of one name: their writes conflict
    there = [s["metadata"]["name"] for s in wanted.services if s["metadata"]["name"] in services]
    if len(there) < len(wanted.services):
        states.append(CREATING)
    state = next(s for s in (FAILED, CREATING, AVAILABLE) if s in states)
    return {
        "state": state,
        "description": description,
        "conditions": [{"type": "Ready", "status": "True" if state == AVAILABLE else "False"}],
        "deploymentStatus": deployments,
        "serviceStatus": {name: {"svcName": name} for name in there},
        **({"address": {"url": wanted.url}} if wanted.url else {}),
    }


def failed(description: str) -> Object:
    """The status of a resource whose objects cannot be made."""
    return {
        "state": FAILED,
        "description": description,
        "conditions": [{"type": "Ready", "status": "False", "message": description}],
    }


def _state(told: Mapping[str, Any]) -> str:
    conditions = {c["type"]: c for c in told.get("conditions") or ()}
    progressing, available = conditions.get("Progressing", {}), conditions.get("Available", {})
    if progressing.get("status") == "False" and available.get("status") != "True":
        return FAILED
    ready = told.get("readyReplicas", 0) > 0 and not told.get("unavailableReplicas", 0)
    return AVAILABLE if ready else CREATING
