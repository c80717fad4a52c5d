"""The Deployer's HTTP API in, plain data out: deployments, plans and a person's commands."""

from __future__ import annotations

import time
from shlex import join
from typing import TYPE_CHECKING, Any, NamedTuple

from cli.clients.http import Service, segment
from cli.errors import CommandError, UsageError, WaitTimedOut, unknown

if TYPE_CHECKING:
    from collections.abc import Callable

Deployment = dict[str, Any]  # the API's own shape; the OpenAPI schema says which
Plan = dict[str, Any]

STUCK = ("Failed", "Degraded")
HELD = ("Paused", "Frozen")
COMING = ("absent", "fetching", "building", "starting", "unready")
POLL_SECONDS = 0.25
PREDICTOR_HEADER = "x-schnitzel-predictor"


class Log(NamedTuple):
    """Lines of a log, and the predictor that wrote them (empty where the Deployer is older)."""

    predictor: str
    text: str


class Deployments:
    """What is deployed, by the Deployer's word."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def find(self, model: str | None = None, environment: str | None = None) -> list[Deployment]:
        """List the deployments, of one model or environment if it is named."""
        return self.overview(model, environment)["deployments"]  # type: ignore[no-any-return]

    def overview(self, model: str | None = None, environment: str | None = None) -> dict[str, Any]:
        """Return the deployments and what the Deployer knows of the registry."""
        params = {"model": model, "environment": environment}
        found: dict[str, Any] = self._service.get("/api/v1/deployments", params)
        return found

    def environments(self) -> list[dict[str, Any]]:
        """List the environments that the Deployer serves."""
        return self._service.get("/api/v1/environments")["environments"]  # type: ignore[no-any-return]

    def clusters(self) -> list[dict[str, Any]]:
        """Have the Deployer look at each cluster, now."""
        return self._service.get("/api/v1/clusters")["clusters"]  # type: ignore[no-any-return]

    def named(self, name: str, environment: str | None = None) -> list[Deployment]:
        """Find the deployments that MODEL, MODEL@ENV or an id means.

        Raises:
            UsageError: there is none; the hint is the closest name.
        """
        everything = self.find()
        found = [each for each in everything if _means(each, name, environment)]
        if found:
            return found
        model, _, _ = name.rpartition("@")
        models = {each["model"] for each in everything}
        if name in models or (model and model in models):
            where = sorted(
                each["environment"] for each in everything if each["model"] in (name, model)
            )
            raise UsageError(
                f"{model or name} is not deployed there", f"it is deployed in: {', '.join(where)}"
            )
        names = [*models, *(f"{each['model']}@{each['environment']}" for each in everything)]
        raise unknown("deployment", name, names, "see what there is: schnitzel deploy list")

    def one(self, name: str, environment: str | None = None) -> Deployment:
        """Find the one deployment that MODEL, MODEL@ENV or an id means.

        Raises:
            UsageError: there is none, or more than one.
        """
        found = self.named(name, environment)
        if len(found) > 1:
            where = ", ".join(f"{each['model']}@{each['environment']}" for each in found)
            raise UsageError(f"{name} is deployed more than once", f"name one of: {where}")
        return found[0]

    def get(self, deployment: str) -> Deployment:
        """Return one deployment by its id."""
        found: Deployment = self._service.get(f"/api/v1/deployments/{segment(deployment)}")
        return found

    def plan(self, deployment: str) -> Plan:
        """Return what would change for one deployment, and why."""
        found: Plan = self._service.get(f"/api/v1/deployments/{segment(deployment)}/plan")
        return found

    def diff(self, deployment: str) -> dict[str, Any]:
        """Return the objects that would change where a deployment runs, field by field."""
        found: dict[str, Any] = self._service.get(f"/api/v1/deployments/{segment(deployment)}/diff")
        return found

    def tree(self, deployment: str) -> dict[str, Any]:
        """Return what there is of a deployment where it runs, and how each part is."""
        found: dict[str, Any] = self._service.get(f"/api/v1/deployments/{segment(deployment)}/tree")
        return found

    def apply(
        self,
        deployment: str,
        *,
        digest: str | None,
        retry: bool = False,
        allow_retire: bool = False,
        adopt: bool = False,
    ) -> Deployment:
        """Reconcile now: only the plan with this digest, if one is given."""
        words = {"retry": retry, "allow_retire": allow_retire, "adopt": adopt}
        return self._post(deployment, "apply", {"plan": digest, **words})

    def pause(self, deployment: str, reason: str) -> Deployment:
        """Stop reconciling one deployment; what serves keeps serving."""
        return self._post(deployment, "pause", {"reason": reason})

    def resume(self, deployment: str) -> Deployment:
        """Reconcile a paused deployment again."""
        return self._post(deployment, "resume", {})

    def registry(self) -> dict[str, Any]:
        """Return what the Deployer knows of the registry, and how fresh that is."""
        found: dict[str, Any] = self._service.get("/api/v1/registry")
        return found

    def accept_registry(self) -> None:
        """Give a person's word that a changed registry is right after a freeze."""
        self._service.post("/api/v1/registry/accept", {})

    def upgrade(self) -> dict[str, Any]:
        """Return how far the deployments are on their way to the platform's version."""
        return self._service.get("/api/v1/upgrade")  # type: ignore[no-any-return]

    def halt_upgrade(self, *, halt: bool) -> dict[str, Any]:
        """Let no further deployment begin an upgrade, or go on; returns how far it is."""
        return self._service.post("/api/v1/upgrade", {"halt": halt})  # type: ignore[no-any-return]

    def images(self) -> list[dict[str, Any]]:
        """List the environments that were built, for each place."""
        return self._service.get("/api/v1/images")["places"]  # type: ignore[no-any-return]

    def collect_images(self, names: list[str]) -> None:
        """Begin to remove those of these environments that nothing needs."""
        self._service.post("/api/v1/images/collect", {"names": names})

    def look(self) -> None:
        """Ask the Deployer to look now, rather than at its next poll."""
        self._service.post("/api/v1/reconcile", {})

    def history(self, deployment: str, limit: int) -> list[dict[str, Any]]:
        """Return the newest events, oldest of them first."""
        path = f"/api/v1/deployments/{segment(deployment)}/history"
        return self._service.get(path, {"limit": limit})["events"]  # type: ignore[no-any-return]

    def logs(self, deployment: str, lines: int, predictor: str | None = None) -> Log:
        """Return the last log lines of one model server: the one on its way, else what serves."""
        reply = self._service.send(
            "GET",
            f"/api/v1/deployments/{segment(deployment)}/logs",
            params={"lines": lines, "predictor": predictor},
            headers={"Accept": "text/plain"},
        )
        return Log(reply.headers.get(PREDICTOR_HEADER) or "", reply.text)

    def wait(
        self,
        find: Callable[[], Deployment | None],
        *,
        version: str | None,
        seconds: float,
        progress: Callable[[Deployment], None],
    ) -> Deployment:
        """Poll until a deployment serves what is wanted.

        Args:
            find: looks the deployment up; None while there is none yet.
            version: the version it must serve; None for whichever is wanted.
            seconds: how long to wait.
            progress: called with each observation.

        Raises:
            CommandError: the Deployer says that it will not come by itself.
            WaitTimedOut: the deadline passed.
        """
        deadline = time.monotonic() + seconds
        while True:
            seen = find()
            if seen is not None:
                progress(seen)
                if _arrived(seen, version):
                    return seen
                if stuck(seen, version):
                    raise CommandError(
                        f"{label(seen)} {explain(seen)}", seen.get("next_step") or ""
                    )
            if time.monotonic() >= deadline:
                raise WaitTimedOut(
                    f"{label(seen)} is still {seen['state']} after {seconds:g} s: {seen['message']}"
                    if seen
                    else f"nothing was deployed within {seconds:g} s",
                    f"see: {about('deploy status', seen)}" if seen else "schnitzel status",
                )
            time.sleep(POLL_SECONDS)

    def _post(self, deployment: str, verb: str, body: dict[str, Any]) -> Deployment:
        path = f"/api/v1/deployments/{segment(deployment)}/{verb}"
        found: Deployment = self._service.post(path, body)
        return found


def label(deployment: Deployment) -> str:
    """Name a deployment as people do: `angler@prod`."""
    return f"{deployment['model']}@{deployment['environment']}"


def command(verb: str, name: str, *flags: str) -> str:
    """Build `schnitzel VERB NAME FLAGS`; a name that looks like a flag comes last, after `--`."""
    words = ["schnitzel", *verb.split()]
    return join([*words, *flags, "--", name] if name.startswith("-") else [*words, name, *flags])


def about(verb: str, deployment: Deployment, *flags: str) -> str:
    """Build a command about a deployment: `schnitzel deploy wait 'fraud score@prod'`."""
    return command(verb, label(deployment), *flags)


def version_of(part: dict[str, Any] | None) -> str | None:
    """Read the version of a deployment's `wanted` or `serving`."""
    return str(part["version"]) if part else None


def explain(deployment: Deployment) -> str:
    """Say in one clause what state a deployment is in, and why."""
    return f"is {deployment['state']}: {deployment['message'] or deployment['reason']}"


def stuck(deployment: Deployment, version: str | None) -> bool:
    """Tell whether a deployment will not get further by itself with the version in question."""
    if deployment["sync"] in HELD:
        return True
    about_this = version is None or version_of(deployment["wanted"]) == version
    coming = any(each["phase"] in COMING for each in deployment["predictors"])
    again = deployment.get("retry_at") is not None
    return about_this and deployment["state"] in STUCK and not coming and not again


def _arrived(deployment: Deployment, version: str | None) -> bool:
    wanted, serving = version_of(deployment["wanted"]), version_of(deployment["serving"])
    if version is not None:
        return serving == version and deployment["state"] == "Serving"
    return deployment["state"] == "Serving" and wanted == serving


def _means(deployment: Deployment, name: str, environment: str | None) -> bool:
    if environment is not None and deployment["environment"] != environment:
        return False
    return name in (deployment["model"], deployment["id"], label(deployment))
