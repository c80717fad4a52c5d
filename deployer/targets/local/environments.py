"""List this machine's Python environments with their users, and remove unused ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from deployer.artifacts.metadata import SmallFiles
from deployer.background.jobs import Jobs
from deployer.background.periodic import DAY, Periodic
from deployer.python_env.cache import Environments
from deployer.python_env.retention import (
    Inventory,
    KeptEnvironment,
    Need,
    Needs,
    Removed,
    attribute,
    choose,
)
from deployer.targets.local.files import PredictorFiles, replicas

REMOVAL = "removal"


class EnvironmentStore:
    """The Python environments of this machine, which several platforms may share.

    Args:
        environments: The cache that builds them.
        files: Reads the request of a version.
        predictors: The platform's own model servers.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        environments: Environments,
        files: SmallFiles,
        predictors: PredictorFiles,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._environments, self._folders = environments, environments.folders
        self._files, self._predictors, self._clock = files, predictors, clock
        self._jobs: Jobs[Removed] = Jobs("environment-removal", 1)
        self._noting = Periodic(self.note_uses, "note-uses")

    def inventory(self, needs: Needs) -> Inventory:
        """List every Python environment with its users."""
        live = self._live()
        for process, name in self._folders.processes().items():
            if not any(name in names for names in live.values()):
                live[process] = {name}
        asking = [need for need in needs.needs if live.get(need.predictor) != set()]
        users, unknown = attribute(asking, live, self._find)
        built = tuple(
            KeptEnvironment(
                name=each.path.name,
                image=str(each.path),
                lock=each.path.name,
                python=each.python,
                size=each.size,
                made_at=each.made_at,
                used_at=each.used_at,
                users=users.get(each.path.name, ()),
            )
            for each in self._folders.all()
        )
        where = str(self._environments.cache / "environments")
        return Inventory(where, built, needs.unknown or unknown, self._jobs.peek(REMOVAL))

    def collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> None:
        """Begin to remove unused Python environments; `inventory` shows the result.

        Args:
            names: The candidates, named as in `inventory`.
            needs: Returns the needs of the deployments.
            grace: Seconds for which an unused Python environment stays.
        """
        self._jobs.forget(REMOVAL)
        self._jobs.ensure(REMOVAL, lambda: self._collect(names, needs, grace))

    def note_uses(self) -> None:
        """Record the use of every running Python environment, to the day."""
        used = {name for names in self._live().values() for name in names}
        for each in self._folders.all():
            if each.path.name in used and self._clock() - each.used_at > DAY:
                self._folders.use(each.path.name)

    def close(self) -> None:
        """End all background work."""
        self._noting.close()
        self._jobs.close()
        self._files.close()

    def _collect(self, names: Collection[str], needs: Callable[[], Needs], grace: float) -> Removed:
        now = self._clock()
        chosen, kept = choose(self.inventory(needs()), names, now, grace)
        gone = []
        for each in chosen:
            stopping = self._jobs.stopping.is_set
            why = self._folders.remove(each.name, now - grace, stopping)
            if why:
                kept[each.name] = why
            else:
                gone.append(each.name)
        return Removed(tuple(gone), kept)

    def _live(self) -> dict[str, set[str]]:
        """Map our started predictors to the Python environments of their servers."""
        found = {}
        for definition in self._predictors.all():
            servers = [self._predictors.server(name) for name in replicas(definition.predictor)]
            pythons = [str(server["python"]) for server in servers if server.get("python")]
            if pythons:
                names = {self._folders.holding(python) for python in pythons} - {""}
                found[definition.predictor.name] = names
        return found

    def _find(self, need: Need) -> Collection[str] | None:
        asked = self._files.request(need.version, need.source)
        if asked.result is None:
            return () if asked.error and not asked.error.transient else None
        name = self._environments.find(asked.result)
        return [name] if name else ()
