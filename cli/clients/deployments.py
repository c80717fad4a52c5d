"""Call the Deployer's HTTP API: deployments, plans and operator commands."""

from __future__ import annotations

import time
from shlex import join
from typing import TYPE_CHECKING, Any, NamedTuple

from cli.clients.http import Service, path_segment
from cli.errors import CommandError, UsageError, WaitTimedOut, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Deployment = dict[str, Any]  # the API's own shape; the OpenAPI schema says which
Plan = dict[str, Any]

STUCK = ("Failed", "Degraded")
HELD = ("Paused", "Frozen")
COMING = ("absent", "fetching", "building", "starting", "unready")
POLL_SECONDS = 0.25
PREDICTOR_HEADER = "x-schnitzel-predictor"


class Log(NamedTuple):
    """Lines of a log, and the predictor that wrote them (empty from an older Deployer)."""

    predictor: str
    text: str


class Deployments:
    """The deployments, as the Deployer reports them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def find(self, model: str | None = None, environment: str | None = None) -> list[Deployment]:
        """List the deployments, filtered by model and environment where given."""
        return self.overview(model, environment)["deployments"]  # type: ignore[no-any-return]

    def overview(self, model: str | None = None, environment: str | None = None) -> dict[str, Any]:
        """Return the deployments, and the Deployer's view of the registry."""
        params = {"model": model, "environment": environment}
        found: dict[str, Any] = self._service.get("/api/v1/deployments", params)
        return found

    def environments(self) -> list[dict[str, Any]]:
        """List the environments that the Deployer serves."""
        return self._service.get("/api/v1/environments")["environments"]  # type: ignore[no-any-return]

    def clusters(self) -> list[dict[str, Any]]:
        """Have the Deployer check each cluster now."""
        return self._service.get("/api/v1/clusters")["clusters"]  # type: ignore[no-any-return]

    def matching(self, name: str, environment: str | None = None) -> list[Deployment]:
        """Find the deployments of MODEL, MODEL@ENV or an id.

        Raises:
            UsageError: there is none; the hint is the closest name.
        """
        everything = self.find()
        found = [each for each in everything if _matches(each, name, environment)]
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
        """Find the single deployment of MODEL, MODEL@ENV or an id.

        Raises:
            UsageError: there is none, or more than one.
        """
        found = self.matching(name, environment)
        if len(found) > 1:
            where = ", ".join(f"{each['model']}@{each['environment']}" for each in found)
            raise UsageError(f"{name} is deployed more than once", f"name one of: {where}")
        return found[0]

    def get(self, deployment: str) -> Deployment:
        """Return one deployment by its id."""
        found: Deployment = self._service.get(f"/api/v1/deployments/{path_segment(deployment)}")
        return found

    def plan(self, deployment: str) -> Plan:
        """Return the changes planned for one deployment, and why."""
        found: Plan = self._service.get(f"/api/v1/deployments/{path_segment(deployment)}/plan")
        return found

    def diff(self, deployment: str) -> dict[str, Any]:
        """Return the objects that would change where a deployment runs, field by field."""
        found: dict[str, Any] = self._service.get(
            f"/api/v1/deployments/{path_segment(deployment)}/diff"
        )
        return found

    def tree(self, deployment: str) -> dict[str, Any]:
        """Return the objects of a deployment where it runs, and the state of each."""
        found: dict[str, Any] = self._service.get(
            f"/api/v1/deployments/{path_segment(deployment)}/tree"
        )
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
        """Reconcile now; with a digest, only the plan of that digest."""
        options = {"retry": retry, "allow_retire": allow_retire, "adopt": adopt}
        return self._post(deployment, "apply", {"plan": digest, **options})

    def pause(self, deployment: str, reason: str) -> Deployment:
        """Stop reconciling one deployment; the serving version keeps serving."""
        return self._post(deployment, "pause", {"reason": reason})

    def resume(self, deployment: str) -> Deployment:
        """Reconcile a paused deployment again."""
        return self._post(deployment, "resume", {})

    def advance(self, deployment: str, candidate: str) -> Deployment:
        """Let the candidate of this digest leave its present step."""
        return self._post(deployment, "rollout/advance", {"candidate": candidate})

    def promote_now(self, deployment: str, candidate: str, reason: str) -> Deployment:
        """Let the candidate of this digest take all of the traffic without further steps."""
        body = {"candidate": candidate, "reason": reason}
        return self._post(deployment, "rollout/promote-now", body)

    def abort(self, deployment: str, candidate: str, reason: str) -> Deployment:
        """End the rollout of the candidate of this digest."""
        body = {"candidate": candidate, "reason": reason}
        return self._post(deployment, "rollout/abort", body)

    def evidence(self, deployment: str, changes: Sequence[str], limit: int) -> dict[str, Any]:
        """List what was said of the steps of rollouts; with changes, what would have been said."""
        path = f"/api/v1/deployments/{path_segment(deployment)}/evidence"
        found: dict[str, Any] = self._service.get(path, {"with": list(changes), "limit": limit})
        return found

    def registry(self) -> dict[str, Any]:
        """Return the Deployer's view of the registry, and its age."""
        found: dict[str, Any] = self._service.get("/api/v1/registry")
        return found

    def accept_registry(self) -> None:
        """Confirm, as the operator, that a changed registry is right after a freeze."""
        self._service.post("/api/v1/registry/accept", {})

    def upgrade(self) -> dict[str, Any]:
        """Return the progress of the deployments towards the platform's version."""
        return self._service.get("/api/v1/upgrade")  # type: ignore[no-any-return]

    def halt_upgrade(self, *, halt: bool) -> dict[str, Any]:
        """Halt or resume the upgrade of further deployments, and return its progress."""
        return self._service.post("/api/v1/upgrade", {"halt": halt})  # type: ignore[no-any-return]

    def images(self) -> list[dict[str, Any]]:
        """List the Python environments that were built, for each place."""
        return self._service.get("/api/v1/images")["places"]  # type: ignore[no-any-return]

    def collect_images(self, names: list[str]) -> None:
        """Begin to remove those of these Python environments that nothing needs."""
        self._service.post("/api/v1/images/collect", {"names": names})

    def reconcile(self) -> None:
        """Have the Deployer reconcile now, rather than at its next poll."""
        self._service.post("/api/v1/reconcile", {})

    def history(self, deployment: str, limit: int) -> list[dict[str, Any]]:
        """Return the newest events, in chronological order."""
        path = f"/api/v1/deployments/{path_segment(deployment)}/history"
        return self._service.get(path, {"limit": limit})["events"]  # type: ignore[no-any-return]

    def logs(self, deployment: str, lines: int, predictor: str | None = None) -> Log:
        """Return the last log lines of a predictor: the candidate, else the serving predictor."""
        reply = self._service.send(
            "GET",
            f"/api/v1/deployments/{path_segment(deployment)}/logs",
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
        """Poll until a deployment serves the wanted version.

        Args:
            find: looks the deployment up; None while there is none yet.
            version: the version it must serve; None for the wanted version, whichever it is.
            seconds: how long to wait.
            progress: called with each observation.

        Raises:
            CommandError: the deployment is stuck.
            WaitTimedOut: the deadline passed.
        """
        deadline = time.monotonic() + seconds
        while True:
            seen = find()
            if seen is not None:
                progress(seen)
                if _is_served(seen, version):
                    return seen
                if is_stuck(seen, version):
                    raise CommandError(
                        f"{label(seen)} {explain(seen)}", seen.get("next_step") or ""
                    )
            if time.monotonic() >= deadline:
                raise WaitTimedOut(
                    f"{label(seen)} is still {seen['state']} after {seconds:g} s: {seen['message']}"
                    if seen
                    else f"nothing was deployed within {seconds:g} s",
                    f"see: {deployment_command('deploy status', seen)}"
                    if seen
                    else "see: schnitzel status",
                )
            time.sleep(POLL_SECONDS)

    def _post(self, deployment: str, verb: str, body: dict[str, Any]) -> Deployment:
        path = f"/api/v1/deployments/{path_segment(deployment)}/{verb}"
        found: Deployment = self._service.post(path, body)
        return found


def label(deployment: Deployment) -> str:
    """Name a deployment for output: `angler@prod`."""
    return f"{deployment['model']}@{deployment['environment']}"


def command(verb: str, name: str, *flags: str) -> str:
    """Build `schnitzel VERB NAME FLAGS`; a name that looks like a flag comes last, after `--`."""
    command = ["schnitzel", *verb.split()]
    return join(
        [*command, *flags, "--", name] if name.startswith("-") else [*command, name, *flags]
    )


def deployment_command(verb: str, deployment: Deployment, *flags: str) -> str:
    """Build a command about a deployment: `schnitzel deploy wait 'fraud score@prod'`."""
    return command(verb, label(deployment), *flags)


def version_of(part: dict[str, Any] | None) -> str | None:
    """Read the version of a deployment's `wanted` or `serving`."""
    return str(part["version"]) if part else None


def explain(deployment: Deployment) -> str:
    """Describe the state of a deployment and its reason in one clause."""
    return f"is {deployment['state']}: {deployment['message'] or deployment['reason']}"


def is_stuck(deployment: Deployment, version: str | None) -> bool:
    """Return whether a deployment makes no further progress with the version in question."""
    if deployment["sync"] in HELD:
        return True
    about_this = version is None or version_of(deployment["wanted"]) == version
    coming = any(each["phase"] in COMING for each in deployment["predictors"])
    again = deployment.get("retry_at") is not None
    return about_this and deployment["state"] in STUCK and not coming and not again


def _is_served(deployment: Deployment, version: str | None) -> bool:
    wanted, serving = version_of(deployment["wanted"]), version_of(deployment["serving"])
    if version is not None:
        return serving == version and deployment["state"] == "Serving"
    return deployment["state"] == "Serving" and wanted == serving


def _matches(deployment: Deployment, name: str, environment: str | None) -> bool:
    if environment is not None and deployment["environment"] != environment:
        return False
    return name in (deployment["model"], deployment["id"], label(deployment))
