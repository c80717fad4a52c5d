"""A namespace with the stand-in of Seldon's operator at work in it, for tests."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from standins.seldon import crd

from deployer.spec.model import ServingSpec
from deployer.state.observed import ObservedPredictor
from deployer.state.predictor import Phase, Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.cache.objects import Packer
from deployer.targets.kubernetes.client.kinds import DEPLOYMENT, POD, SELDON_DEPLOYMENT, SERVICE
from deployer.targets.kubernetes.observe import predictor as observation, select
from support import ROOT
from support.run.process import Running
from support.run.wait import wait_for
from support.systems.cluster import Cluster

PREFIX = f"seldon-{secrets.token_hex(3)}-"
"""Of the namespaces of this test run."""

Object = dict[str, Any]


class Place:
    """A namespace with the stand-in in it."""

    def __init__(self, kube: Cluster, name: str) -> None:
        self.kube, self.name = kube, name

    def apply(self, *resources: Object) -> None:
        self.kube.apply(*resources, namespace=self.name)

    def get(self, kind: str, **labels: str) -> list[Object]:
        chosen = ",".join(f"{key}={value}" for key, value in labels.items())
        flags = ("-l", chosen) if chosen else ()
        found: list[Object] = self.kube.get(kind, "-n", self.name, *flags)["items"]
        return found

    def find(self, kind: str, name: str) -> Object | None:
        """An object, or None if it is not there."""
        return next((one for one in self.get(kind) if one["metadata"]["name"] == name), None)

    def names(self, kind: str) -> set[str]:
        return {each["metadata"]["name"] for each in self.get(kind)}

    def status(self, name: str) -> Object:
        found = self.find("seldondeployment", name)
        assert found, f"{name} has gone"
        told: Object = found.get("status", {})
        return told

    def wait_state(self, name: str, state: str, seconds: float = 60) -> Object:
        def look() -> Object | None:
            told = self.status(name)
            return told if told.get("state") == state else None

        return wait_for(look, f"{name} to be {state}", seconds, every=0.2)

    def seen(self, name: str, weight: int = 0) -> ObservedPredictor:
        """What the Deployer would say of a predictor that takes this share of the requests."""
        own = [
            Packer(kind).pack(obj)
            for kind in (SELDON_DEPLOYMENT, DEPLOYMENT, POD, SERVICE)
            for obj in self.get(kind.resource, **{"schnitzel.dev/predictor": name})
        ]
        assert any(obj.kind == SELDON_DEPLOYMENT for obj in own), f"{name} has gone"
        predictor = Predictor(
            name, VersionId("angler", 3, 1), Role.CHAMPION, "1a", "", ServingSpec()
        )
        return observation.observe(predictor, select.seen(own), time.time(), weight=weight)

    def wait_seen(
        self, name: str, phase: Phase, reason: str = "", weight: int = 0, seconds: float = 90
    ) -> ObservedPredictor:
        """Wait until it is said to be in a phase, and for which reason."""

        def look() -> ObservedPredictor | None:
            found = self.seen(name, weight)
            return found if (found.phase, found.reason) == (phase, reason) else None

        return wait_for(look, f"{name} to be {phase} {reason}", seconds, every=0.2)

    def delete(self, kind: str, name: str, *flags: str) -> None:
        self.kube.kubectl("delete", kind, name, "-n", self.name, *flags)


def have_crd(kube: Cluster) -> None:
    """The stand-in's CRD is there; it stays, as other CRDs of the tests do."""
    kube.apply(crd.crd())
    known = ("get", "seldondeployments", "-A")  # a wait for a CRD without status ends at once
    wait_for(lambda: kube.run(*known).returncode == 0, "the CRD to be established", 30)


@contextmanager
def standing_in(kube: Cluster, folder: Path, prefix: str, *flags: str) -> Iterator[Running]:
    """A process of the stand-in, for the namespaces that begin with a prefix."""
    log = folder / "seldon-stand-in.log"
    command = [sys.executable, "-m", "standins.seldon", "--kubeconfig", str(kube.kubeconfig)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    running = Running([*command, "--prefix", prefix, *flags], log, env)
    try:
        wait_for(lambda: "ready" in log.read_text(), "the stand-in to be ready", 30)
        yield running
    finally:
        running.stop()


class Operator:
    """The stand-in, which may be stopped, and started in another way."""

    def __init__(self, kube: Cluster, folder: Path, prefix: str) -> None:
        self._kube, self._folder, self._prefix = kube, folder, prefix
        self._running = ExitStack()
        self._process: Running | None = None
        self._flags: tuple[str, ...] = ()
        self._times = 0

    def start(self, *flags: str) -> None:
        """Have it at work with these flags; one that is, is left alone."""
        if self._process and self._flags == flags:
            return
        self.stop()
        self._times += 1
        folder = self._folder / f"seldon-{self._times}"
        running = standing_in(self._kube, folder, self._prefix, *flags)
        self._process, self._flags = self._running.enter_context(running), flags

    def stop(self) -> None:
        self._running.close()
        self._process = None

    def die(self) -> None:
        """End as a node's end has it: its webhook stays registered."""
        assert self._process
        self._process.signal(signal.SIGKILL)
        self.stop()

    def forgotten(self) -> None:
        """Take away what it left when it died."""
        name = f"{self._prefix}stand-in.machinelearning.seldon.io"
        self._kube.kubectl("delete", "validatingwebhookconfiguration", name)


@contextmanager
def namespace(kube: Cluster, name: str, level: str = "baseline") -> Iterator[Place]:
    labels = {"pod-security.kubernetes.io/enforce": level}
    kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    try:
        yield Place(kube, name)
    except BaseException:
        sys.stderr.write(kube.story(name))
        raise
    finally:
        kube.run("delete", "namespace", name, "--wait=false")


def env_of(container: Object) -> dict[str, str | None]:
    """A container's variables."""
    return {each["name"]: each.get("value") for each in container["env"]}


def ports_of(container: Object) -> list[tuple[str | None, int]]:
    """A container's ports, with their names."""
    return [(port.get("name"), port["containerPort"]) for port in container["ports"]]
