"""Derive the stages of a version between its promotion and all of the traffic.

Pure. The stages are the same on every target; the stage at which a version failed is marked.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from deployer.api.schema import deployments

Mark = Literal["done", "now", "failed", "todo"]

STOPS = ("Promoted", "Read", "Fetched", "Environment", "Started", "Example", "Traffic")

_BY_REASON = {
    "SpecInvalid": "Read",
    "Reading": "Read",
    "ArtifactMissing": "Fetched",
    "ArtifactCorrupt": "Fetched",
    "ArtifactUnreachable": "Fetched",
    "PythonUnavailable": "Environment",
    "UnsupportedDependencies": "Environment",
    "EnvironmentUnbuildable": "Environment",
    "RuntimeUnavailable": "Environment",
    "BuildingEnvironment": "Environment",
    "ExampleRefused": "Example",
    "Verifying": "Example",
    "ShiftingTraffic": "Traffic",
    "Analysing": "Traffic",
    "SplitNotAsAsked": "Traffic",
    "BaselineFailed": "Traffic",
    "RolledBack": "Traffic",
    "Aborted": "Traffic",
    "GatewayUnavailable": "Traffic",
}
_BY_PHASE = {
    "absent": "Fetched",
    "fetching": "Fetched",
    "building": "Environment",
    "starting": "Started",
    "unready": "Started",
}


class Stop(NamedTuple):
    """A stage: its name, and whether the version passed it, is at it, or failed at it."""

    name: str
    mark: Mark


def of(deployment: deployments.Deployment) -> list[Stop]:
    """List the stages of a deployment's desired version; empty where there is none."""
    wanted = deployment["wanted"]
    if wanted is None:
        return []
    at, mark = _where(deployment, wanted["version"])
    place = STOPS.index(at)
    before = [Stop(name, "done") for name in STOPS[:place]]
    return [*before, Stop(at, mark), *(Stop(name, "todo") for name in STOPS[place + 1 :])]


def _where(deployment: deployments.Deployment, version: str) -> tuple[str, Mark]:
    own = [each for each in deployment["predictors"] if each["version"] == version]
    serving = deployment["serving"]
    if any(each["weight"] == 100 and each["phase"] == "ready" for each in own):
        return "Traffic", "done"
    if deployment["state"] in ("Failed", "Degraded"):
        # Any other failure of a predictor (it does not load, it dies) belongs to its start.
        return _BY_REASON.get(deployment["reason"], "Started"), "failed"
    if not own:
        if serving and serving["version"] == version:
            return "Started", "now"
        return "Read", "now"
    seen = own[0]
    if seen["phase"] in _BY_PHASE:
        return _BY_PHASE[seen["phase"]], "now"
    if seen["phase"] == "failed":
        return _BY_REASON.get(seen["reason"], "Started"), "failed"
    return ("Traffic" if seen["example"] == "passed" or seen["weight"] else "Example"), "now"
