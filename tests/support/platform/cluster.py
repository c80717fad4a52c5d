"""A Deployer for a real cluster, in namespaces of its own, and what tests ask of it.

It shares the cluster's MLflow with other tests: its environments, and the models that it looks
after, have names that nobody else's begin with.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml

from stack import credentials
from stack.paths import Layout
from support import CRD, cluster_canaries
from support.cluster_canaries import ClusterCanaries
from support.platform.home import PlatformHome
from support.run.process import Running
from support.run.wait import wait_for
from support.systems.cluster import Cluster
from support.systems.environment_builder import small_image
from support.systems.images import built
from support.systems.mlflow import API, MlflowServer
from support.systems.seldon import Operator, have_crd
from support.systems.tfserving_image import stub_image

BUILDS = "schnitzel-builds"
PREFIX = "schnitzel-tests"


class ClusterPlatform(PlatformHome):
    """One platform whose environments are namespaces of a cluster.

    Args:
        cluster: the cluster.
        home: the Deployer's.
        environments: for each environment its settings; its namespace is made.
        settings: more of platform.yaml; `each` has more of single environments, by short name, and
            `clusters` more clusters. The namespaces of those are their tests' own affair.
        runtimes: those beside `mlflow` that the cluster has: "seldon" (its operator's stand-in,
            which runs as long as the platform), "tfserving".
        tfserving: gives the image of TensorFlow Serving.
        builds: whether environments are built for the models; without, all get one image that
            has what `models.SMALL` asks for, made once for all platforms.
    """

    def __init__(
        self,
        cluster: Cluster,
        home: Path,
        environments: Iterable[str] = ("prod",),
        settings: Mapping[str, Any] | None = None,
        *,
        runtimes: Collection[str] = (),
        tfserving: Callable[[Cluster], str] = stub_image,
        builds: bool = True,
    ) -> None:
        self.cluster, self.runtimes = cluster, runtimes
        self.mark = f"t{secrets.token_hex(3)}"
        self.operator = Operator(cluster, home / "logs", f"{self.mark}-")
        self._tfserving = tfserving
        self.running: Running | None = None
        chosen = dict(settings or {})
        fields: Mapping[str, Mapping[str, Any]] = chosen.pop("each", {})
        others = chosen.pop("clusters", {})
        given = {} if builds else {"image": small_image(cluster)}
        super().__init__(
            home,
            {
                "mlflow": {"url": cluster.fact("mlflow_url")},
                "models": {"include": [f"{self.mark}-*"]},
                "clusters": {"tests": self._cluster_settings(), **others},
                "defaults": {"rollout": {"bake": 0, "return_window": 0}},
                "environments": {
                    self.environment(name): {
                        "alias": f"{self.mark}-{name}",
                        "target": "kubernetes",
                        "cluster": "tests",
                        "policy": {"retire_after": "8s", "retire_listings": 2},
                        **({"stage": "Production"} if name == "prod" else {}),
                        **fields.get(name, {}),
                        "overlay": given
                        | fields.get(name, {}).get("overlay", {"rollout": {"drain": "1s"}}),
                    }
                    for name in environments
                },
                **chosen,
            },
        )
        self.environments = [
            self.environment(name)
            for name in environments
            if fields.get(name, {}).get("cluster", "tests") == "tests"
        ]
        self.namespaces: list[str] = []
        self.env["SCHNITZEL_PLATFORM_ID"] = self.mark
        self.env["SCHNITZEL_DEPLOYER_URL"] = self.url("deployer")
        credentials.ensure(Layout(home))
        self.secrets = ClusterCanaries(self.canaries, cluster, self.mark, BUILDS)
        for name in self.environments:
            self.namespace(name)
        self._builds()
        cluster.define(CRD)
        if "seldon" in runtimes:
            have_crd(cluster)
            self.operator.start()

    def environment(self, name: str) -> str:
        """The full name of an environment, which is also its namespace's."""
        return f"{self.mark}-{name}"

    def model(self, name: str) -> str:
        """The full name of a model of this platform."""
        return f"{self.mark}-{name}"

    @cached_property
    def mlflow(self) -> MlflowServer:
        server = MlflowServer(self.home / "mlflow")
        server.client.close()
        server.url = self.cluster.fact("mlflow_url")
        server.client = httpx.Client(base_url=server.url, timeout=30, trust_env=False)
        return server

    def up(self, *_: str) -> None:
        """Start the Deployer as a process of this machine."""
        log = self.home / "logs" / "deployer.log"
        self.running = Running([sys.executable, "-m", "deployer", "run"], log, self.env)

        def ready() -> bool:
            assert self.running
            if self.running.process.poll() is not None:
                raise AssertionError(f"the Deployer ended:\n{self.running.tail()}")
            with suppress(httpx.HTTPError):
                return self.client.get(f"{self.url('deployer')}/readyz").status_code == 200
            return False

        wait_for(ready, "the Deployer to be ready", 60)

    def stop(self) -> None:
        if self.running:
            self.running.stop()
            self.running = None

    def restart(self, **changes: Any) -> None:
        """Start the Deployer anew with other settings of its cluster."""
        self.stop()
        path = self.home / "platform.yaml"
        settings = yaml.safe_load(path.read_text())
        settings["clusters"]["tests"] |= changes
        path.write_text(yaml.safe_dump(settings, sort_keys=False))
        self.up()

    def down(self) -> None:
        """Leave nothing behind; fails if a secret of the platform was seen where none may be."""
        self.canaries.look_at_processes()
        self.stop()
        try:
            self.canaries.look_at_files(self.cache)
            self.secrets.look(self.mlflow, self.env)
        finally:
            self._end()
        self.canaries.check()

    def _end(self) -> None:
        self._unsubscribe()
        self.client.close()
        self.mlflow.client.close()
        for name in self.namespaces:
            self.cluster.run("delete", "namespace", name, "--wait=false")
        self.secrets.take_away()
        self.operator.stop()  # last, as it does where people tidy up

    def namespace(self, name: str) -> None:
        """Make a namespace with the secrets of its pods, which goes with the platform."""
        self._namespace(name)
        self.namespaces.append(name)
        self.secrets.plant(name)

    def port(self, name: str) -> int:
        return int(yaml.safe_load((self.home / "platform.yaml").read_text())[name]["port"])

    def seen(self, model: str, environment: str = "prod") -> dict[str, Any]:
        """The deployment of a model, both by their short names."""
        return self.deployment(self.model(model), self.environment(environment))

    def serving(
        self, model: str, version: int, environment: str = "prod", seconds: float = 600
    ) -> dict[str, Any]:
        return self.wait_serving(self.model(model), version, self.environment(environment), seconds)

    def objects(self, kind: str, environment: str = "prod") -> list[dict[str, Any]]:
        """All objects of a kind in an environment's namespace."""
        found: list[dict[str, Any]] = self.cluster.get(kind, "-n", self.environment(environment))[
            "items"
        ]
        return found

    def logs(self, lines: int = 60) -> str:
        told = super().logs(lines)
        return told + "".join(self.cluster.story(name) for name in self.namespaces)

    def _cluster_settings(self) -> dict[str, Any]:
        facts = self.cluster
        images = built(facts, "model-server", "environment-builder")
        gateway = facts.fact("gateway")
        ca = {"trust_bundle": {"config_map": "ca"}} if facts.facts.get("ca_bundle") else {}
        more: dict[str, Any] = {"seldon": {}} if "seldon" in self.runtimes else {}
        secrets_of = cluster_canaries.settings(self.mark)
        if "tfserving" in self.runtimes:
            more["tfserving_image"] = self._tfserving(facts)
        return more | {
            "kubeconfig": str(facts.kubeconfig),
            "gateway": {**gateway, "url": facts.fact("gateway_url")},
            "registry": {
                "push": f"{facts.fact('registry_push')}/{PREFIX}",
                "pull": f"{facts.fact('registry_pull')}/{PREFIX}",
                "insecure": True,
                **secrets_of["registry"],
            },
            "build": {
                "namespace": BUILDS,
                "image": images["environment-builder"],
                "memory": "3Gi",
                **ca,
                **secrets_of["build"],
            },
            "server_image": images["model-server"],
            "artifacts": {"tracking_uri": facts.fact("mlflow_url"), **secrets_of["artifacts"]},
            "reach": "direct",
        }

    def _unsubscribe(self) -> None:
        """Take our webhook out of the shared MLflow: it tries those of the dead before others."""
        with suppress(httpx.HTTPError):
            for hook in self.mlflow.get("webhooks").get("webhooks", []):
                if hook["name"] == f"schnitzel-{self.mark}":
                    self.mlflow.client.delete(f"{API}webhooks/{hook['webhook_id']}")

    def _namespace(self, name: str) -> None:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": name, "labels": labels}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def _builds(self) -> None:
        self._namespace(BUILDS)
        self.secrets.plant_for_builds()
        if bundle := self.cluster.facts.get("ca_bundle"):
            data = {"ca.crt": Path(bundle).read_text()}
            meta = {"name": "ca", "namespace": BUILDS}
            self.cluster.apply(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data},
                namespace=BUILDS,
            )
