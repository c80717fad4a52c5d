"""In: a deployment, as the API tells it. Out: the stops on the way to serving, and how far it is.

Pure. A version goes from its promotion to all of the traffic over the same stops, whatever the
target; the one where it failed is marked.
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
    """One stop: its name, and whether the version passed it, is at it, or failed there."""

    name: str
    mark: Mark


def of(deployment: deployments.Deployment) -> list[Stop]:
    """The stops of the version that is wanted; none where nothing is."""
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
        # A predictor that fails otherwise (it does not load, it dies) fails when it is started.
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
