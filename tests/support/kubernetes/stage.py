"""One deployment in a namespace, and the Kubernetes target that brings and shows it."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer.artifacts.cache import Artifacts
from deployer.config import settings as settings_of
from deployer.config.settings import Settings
from deployer.plan.preview import ObjectChange
from deployer.spec.limits import LocalLimits
from deployer.spec.resolve import resolve
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.observed import Observed
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Record
from deployer.state.registry import VersionId
from deployer.store.records import Records
from deployer.store.sqlite import Database
from deployer.targets.kubernetes.wiring import Assembled, assemble
from support.run.wait import wait_for
from support.systems.cluster import Cluster

PLATFORM = "previews"
ID = "fraud-score-prod"
NAME = "fraud-score-prod-v3-00000000"
MODEL = "fraud score"
SPEC = {"image": "registry.example/none:1", "kubernetes": {"env": {"SITE": "https://one.example"}}}


@dataclass
class Stage:
    """One deployment in a namespace of its own, and the target that brings and shows it."""

    real: Cluster
    namespace: str
    settings: Settings
    assembled: Assembled

    def deployment(self, **fields: Any) -> Deployment:
        """Where a plan leads; the fields are of its serving spec."""
        spec = resolve([("defaults", SPEC | fields)], LocalLimits()).spec
        version = VersionId(MODEL, 3, 1_700_000_000_000, "m-1")
        server = self.assembled.target.server
        predictor = Predictor(
            "fraud-score-prod-v3-00000000", version, Role.CHAMPION, "0" * 64,
            "mlflow-artifacts:/1/a", spec, artifact="a" * 64, server=server,
        )  # fmt: skip
        return Deployment(ID, MODEL, "prod", (WeightedPredictor(predictor, 100),))

    def bring(self, deployment: Deployment, adopt: tuple[str, ...] = ()) -> None:
        """One pass: keep the record, then act."""
        records = self.assembled.records
        known = records.load(ID) or Record(ID, MODEL, "prod")
        predictor = deployment.predictors[0].predictor
        record = replace(known, adopt=adopt or known.adopt).with_champion(predictor)
        if record != known or records.object(ID) is None:
            records.save(record)
        self.assembled.target.apply(deployment, Observed({}, time.time()))

    def settle(self, deployment: Deployment) -> None:
        """Bring it until nothing would be done any more."""
        self.bring(deployment)
        wait_for(lambda: not self.changes(deployment), "nothing to change", 20)

    def changes(self, deployment: Deployment) -> tuple[ObjectChange, ...]:
        return self.assembled.target.preview(deployment).objects

    def patch(self, kind: str, name: str, patch: dict[str, Any]) -> None:
        flags = ("-n", self.namespace, "--type=strategic", "-p", json.dumps(patch))
        self.real.kubectl("patch", kind, name, *flags)

    def foreign_object(self, kind: str, name: str, **fields: Any) -> dict[str, Any]:
        """Somebody else's object of that name."""
        head = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
        self.real.apply(head | fields, namespace=self.namespace)
        return self.real.get(kind.lower(), name, "-n", self.namespace)


class staged:  # noqa: N801 - used as a function
    """A stage that is cleared at the end. `environment`: more of the environment's settings."""

    def __init__(
        self,
        real: Cluster,
        namespace: str,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        **environment: Any,
    ) -> None:
        home = folder / "home"
        home.mkdir(exist_ok=True)
        section = {"alias": "champion", "target": "kubernetes", "cluster": "tests"}
        written = {
            "environments": {"prod": section | {"namespace": namespace} | environment},
            "clusters": {
                "tests": {
                    "kubeconfig": str(real.kubeconfig),
                    "gateway": {"name": "g", "namespace": "g", "url": "http://models.example"},
                    "server_image": "registry.example/server:1",
                    "reach": "direct",
                }
            },
        }
        (home / "platform.yaml").write_text(yaml.safe_dump(written))
        monkeypatch.setenv("SCHNITZEL_HOME", str(home))
        monkeypatch.setenv("SCHNITZEL_CACHE", str(folder / "cache"))
        monkeypatch.setenv("SCHNITZEL_PLATFORM_ID", PLATFORM)
        settings = settings_of.load()
        self._artifacts = Artifacts(settings.cache, "http://127.0.0.1:9")
        memory = Records(Database(home / "deployer.db"))
        assembled = assemble(
            "tests", settings, self._artifacts, "http://127.0.0.1:9", lambda _: None, time.time,
            memory,
        )  # fmt: skip
        self._stage = Stage(real, namespace, settings, assembled)

    def __enter__(self) -> Stage:
        assembled = self._stage.assembled
        assembled.lease.start()
        wait_for(assembled.lease.held, "the Lease", 30)
        assembled.cache.start()
        wait_for(lambda: assembled.cache.wait(0.1), "the listings", 30)
        return self._stage

    def __exit__(self, *_: object) -> None:
        with closing(self._artifacts):
            self._stage.assembled.target.close()
            self._stage.assembled.lease.close()
