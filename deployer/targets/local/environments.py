"""List this machine's Python environments and the processes that run in them, and remove some."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext

from deployer.artifacts.metadata import SmallFiles
from deployer.python_env.cache import Environments
from deployer.python_env.collector import Survey
from deployer.python_env.retention import KeptEnvironment, Need, Removed
from deployer.targets.local.files import PredictorFiles


class LocalEnvironments:
    """The Python environments of this machine, which several platforms may share.

    A `Backend` of `deployer.python_env.collector`.

    Args:
        environments: The cache that builds them.
        files: Reads the request of a version.
        predictors: The platform's own model servers.
    """

    def __init__(
        self, environments: Environments, files: SmallFiles, predictors: PredictorFiles
    ) -> None:
        self._environments, self._folders = environments, environments.folders
        self._files, self._predictors = files, predictors

    def survey(self, *, every_process: bool) -> Survey:  # noqa: ARG002 - it takes no while here
        """See `Backend.survey`; the listing always has every process of this machine."""
        live = self._live()
        for process, name in self._folders.processes().items():
            if not any(name in names for names in live.values()):
                live[process] = {name}
        built = [
            KeptEnvironment(
                name=each.path.name,
                image=str(each.path),
                lock=each.path.name,
                python=each.python,
                size=each.size,
                made_at=each.made_at,
                used_at=each.used_at,
            )
            for each in self._folders.all()
        ]
        return Survey(
            where=str(self._environments.cache / "environments"),
            built=built,
            live=live,
            noted={each.name: each.used_at for each in built},
            find=self._find,
            note_use=self._folders.use,
        )

    def claim(
        self,
        names: Collection[str],
        unused_since: float,  # noqa: ARG002 - as above
    ) -> AbstractContextManager[Collection[str]]:
        """See `Backend.claim`; here the removal of each folder looks at its last use."""
        return nullcontext(names)

    def remove(
        self, chosen: Sequence[KeptEnvironment], unused_since: float, stopping: threading.Event
    ) -> Removed:
        """See `Backend.remove`."""
        kept = {}
        for each in chosen:
            if why := self._folders.remove(each.name, unused_since, stopping.is_set):
                kept[each.name] = why
        return Removed(tuple(each.name for each in chosen if each.name not in kept), kept)

    def _live(self) -> dict[str, set[str]]:
        """Map our started predictors to the Python environments of their servers."""
        found = {}
        for definition in self._predictors.all():
            names = self._predictors.replicas(definition.predictor)
            servers = [self._predictors.server(name) for name in names]
            pythons = [str(server["python"]) for server in servers if server.get("python")]
            if pythons:
                held = {self._folders.holding(python) for python in pythons} - {""}
                found[definition.predictor.name] = held
        return found

    def _find(self, need: Need) -> Collection[str] | None:
        asked = self._files.request(need.version, need.source)
        if asked.result is None:
            return () if asked.error and not asked.error.transient else None
        name = self._environments.find(asked.result)
        return [name] if name else ()
