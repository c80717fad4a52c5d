"""The Deployer as people run it: a pod of its own chart, with its Role and nothing else."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml
from support import ROOT
from support.load import Load
from support.models import log_models
from support.platform.cluster import BUILDS, ClusterPlatform
from support.run.wait import wait_for
from support.systems.cluster import cluster
from support.systems.images import built

pytestmark = pytest.mark.timeout(900)

UNUSED = {
    r"autoscaling horizontalpodautoscalers \w+": "only where serving.yaml asks for autoscaling",
    r"policy poddisruptionbudgets \w+": "only where serving.yaml asks for a budget",
    r"batch jobs \w+": "only where an environment was never built before",
    r" configmaps (create|update|delete|list)": "a build; a version that retires",
    r" pods/log get": "only where somebody asks for a log, or a container crashed",
    r" pods list": "a build's pod",
    r" events list": "only while a pod is not ready",
    r"\S* (services|deployments|httproutes|configmaps) get": "a name that is taken after all",
    r"\S* (services|deployments|configmaps) patch": "drift that is put back",
    r"\S* httproutes delete": "a deployment that retires",
    r"schnitzel.dev modeldeployments (get|delete)": "a name that is taken after all; never alone",
    r"coordination.k8s.io leases \w+": "which of them depends on who was there before",
}
"""Grants that a quiet day does not use, and what for."""


class Installed(ClusterPlatform):
    """A platform whose two Deployers run in the cluster, installed by Helm."""

    def up(self, *_: str) -> None:
        facts = self.cluster
        images = built(facts)
        settings = yaml.safe_load((self.home / "platform.yaml").read_text())
        for section in ("airflow", "gateway", "deployer"):
            settings.pop(section, None)
        own = settings["clusters"]["tests"]
        own.pop("kubeconfig")
        own["in_cluster"] = True
        self.release = f"{self.mark}-deployer"
        self._namespace(self.release)
        self._secrets()
        values = {
            "platformId": self.mark,
            "image": images["deployer"],
            "replicas": 2,
            "database": {"secret": "own", "key": "database"},
            "webhookSecret": {"secret": "own", "key": "webhook"},
            "namespaces": self.environments,
            "buildNamespace": BUILDS,
            "crds": {"enabled": False},
            "settings": settings,
        }
        path = self.home / "values.yaml"
        path.write_text(yaml.safe_dump(values))
        flags = ("-f", str(path), "--wait", "--timeout=180s")
        self._helm("install", self.mark, str(ROOT / "helm/schnitzel"), *flags)

    def down(self) -> None:
        super().down()
        self.cluster.run("delete", "namespace", self.release, "--wait=false")
        with self._postgres() as connection:
            connection.execute(f"DROP DATABASE {self.mark} WITH (FORCE)")
        for kind in ("rolebinding", "role"):
            name = f"{self.mark}-schnitzel-deployer-builds"
            self.cluster.run("delete", kind, name, "-n", BUILDS, "--ignore-not-found")

    def pods(self) -> dict[str, str]:
        """The address of each Deployer's API that is ready, by its pod's name."""
        return {
            pod["metadata"]["name"]: f"http://{pod['status']['podIP']}:8090"
            for pod in self.cluster.ready_pods(self.release)
        }

    def holder(self) -> str:
        """The name of the pod that acts."""
        [found] = self.cluster.get("leases", "-n", self.environment("prod"))["items"]
        holder = found["spec"]["holderIdentity"]
        return next((name for name in self.pods() if holder.startswith(name)), "")

    def _postgres(self) -> psycopg.Connection:
        dsn = Path(self.cluster.fact("postgres_dsn_file")).read_text().strip()
        return psycopg.connect(dsn, autocommit=True)

    def _secrets(self) -> None:
        with self._postgres() as connection:
            connection.execute(f"CREATE DATABASE {self.mark}")
            own = connection.info
            url = f"postgresql://{own.user}:{own.password}@{own.host}:{own.port}/{self.mark}"
        meta = {"name": "own", "namespace": self.release}
        data = {"database": url, "webhook": secrets.token_hex()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data}
        self.cluster.apply(secret, namespace=self.release)

    def deployment(self, model: str, environment: str = "prod") -> dict[str, object]:
        """As the ModelDeployment tells it, for its API is inside."""
        for found in self.cluster.get("modeldeployments", "-n", environment)["items"]:
            if found["spec"]["model"] == model:
                status = found.get("status", {})
                route = self.cluster.run(
                    "get", "httproute", found["metadata"]["name"], "-n", environment, "-o", "json"
                )
                backends = (
                    json.loads(route.stdout)["spec"]["rules"][0]["backendRefs"]
                    if route.returncode == 0
                    else []
                )
                return {
                    "id": found["metadata"]["name"],
                    "state": status.get("state"),
                    "reason": status.get("reason"),
                    "message": status.get("message"),
                    "url": status.get("url"),
                    "serving": {"version": status.get("serving")},
                    "predictors": [
                        {"version": b["name"].split("-v")[-1].split("-")[0], "weight": b["weight"]}
                        for b in backends
                    ],
                }
        return {}

    def _helm(self, *arguments: str) -> None:
        command = [self.cluster.program("helm"), "--kubeconfig", str(self.cluster.kubeconfig)]
        done = subprocess.run(
            [*command, "-n", self.release, *arguments], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    made = Installed(cluster(), tmp_path_factory.mktemp("installed") / "home")
    try:
        log_models(
            made.mlflow.url,
            [{"name": made.model("calm"), "kind": "constant", "say": say} for say in (1, 2)],
        )
        made.up()
        yield made
    finally:
        made.down()


def audit(platform) -> list[dict[str, object]]:
    """What our account asked of the API server."""
    account = f"system:serviceaccount:{platform.release}:"
    found = []
    for line in Path(platform.cluster.fact("audit_log")).read_text().splitlines():
        if account in line and '"stage":"ResponseComplete"' in line:
            entry = json.loads(line)
            if entry["user"]["username"].startswith(account):
                found.append(entry)
    return found


def asked(entry) -> str:
    reference = entry["objectRef"]
    name = reference["resource"]
    if reference.get("subresource"):
        name += f"/{reference['subresource']}"
    return f"{reference.get('apiGroup', '')} {name} {entry['verb']}"


def test_promotions_are_served_without_a_lost_request(platform):
    name, where = platform.model("calm"), platform.environment("prod")
    platform.mlflow.alias(name, where, 1)
    seen = platform.serving("calm", 1, seconds=600)
    with Load(seen["url"]) as load:
        platform.mlflow.stage(name, 2, "Production")
        platform.serving("calm", 2)
        platform.mlflow.stage(name, 1, "Production")
        platform.serving("calm", 1)
    assert not load.failed
    assert load.versions() == {"1", "2"}


def granted(platform) -> set[str]:
    """What our account may do, as the Roles bound to it say."""
    found = set()
    for where in (*platform.environments, BUILDS):
        bound = {
            binding["roleRef"]["name"]
            for binding in platform.cluster.get("rolebindings", "-n", where)["items"]
            if binding["subjects"][0].get("namespace") == platform.release
        }
        for role in platform.cluster.get("roles", "-n", where)["items"]:
            for rule in role["rules"] if role["metadata"]["name"] in bound else ():
                found |= {
                    f"{group} {resource} {verb}"
                    for group in rule["apiGroups"]
                    for resource in rule["resources"]
                    for verb in rule["verbs"]
                }
    return found


def test_its_role_is_what_it_uses_and_nothing_was_refused(platform):
    grants = granted(platform)
    assert grants
    seen: dict[str, list[str]] = {}

    def all_used() -> bool:
        used = {asked(e) for e in audit(platform) if "objectRef" in e}
        seen["idle"] = [
            g for g in sorted(grants - used) if not any(re.fullmatch(k, g) for k in UNUSED)
        ]
        return not seen["idle"]

    try:  # the old predictor goes once it has drained, and the log is written a little later
        wait_for(all_used, "every grant to be used", 60, every=1)
    except AssertionError:
        pytest.fail(f"granted, and used by nothing here: {seen['idle']}")
    refused = [e for e in audit(platform) if e["responseStatus"]["code"] == 403]
    assert not refused, refused[:3]


def test_a_steady_look_writes_nothing_but_its_lease(platform):
    def writes() -> Counter[str]:
        return Counter(
            asked(e) for e in audit(platform)
            if e["verb"] not in ("get", "list", "watch") and "leases" not in asked(e)
        )  # fmt: skip

    def renewals() -> int:
        return sum("leases" in asked(e) and e["verb"] == "update" for e in audit(platform))

    platform.serving("calm", 1)
    wait_for(lambda: len(platform.objects("deployments")) == 1, "the old one to be gone", 60)
    begun = renewals()
    wait_for(lambda: renewals() > begun + 1, "everything to have settled", 30)
    before, begun = writes(), renewals()
    wait_for(lambda: renewals() > begun + 4, "some looks", 60)  # a look every two seconds
    assert writes() == before


def test_either_pod_answers_and_one_takes_over_from_the_other(platform):
    name = platform.model("calm")
    said: dict[str, object] = {}

    def states(url: str) -> dict[str, str] | str:
        """The state of each deployment that a pod tells of, or why it tells of none."""
        try:
            answer = platform.client.get(f"{url}/api/v1/deployments")
        except httpx.HTTPError as error:
            return repr(error)
        if answer.status_code != 200:
            return answer.text
        return {one["model"]: one["state"] for one in answer.json()["deployments"]}

    def acting() -> str:
        """Which pod acts, if both are ready and either answers."""
        said.clear()
        said.update({pod: states(url) for pod, url in platform.pods().items()})
        # Nothing at all is what one would tell that takes over, and has not looked yet.
        assert {} not in said.values(), said
        good = list(said.values()) == [{name: "Serving"}] * 2
        return platform.holder() if good else ""

    def waited(look: Callable[[], str], what: str) -> str:
        try:
            return wait_for(look, what, 120, every=0.1)
        except AssertionError as error:
            story = platform.cluster.story(platform.release)
            pytest.fail(f"{error}\nthe pods said: {said}\n{story}")

    # It may be another than a moment ago: where the machine is so busy that a Lease runs out.
    first = waited(acting, "both pods to answer")
    platform.cluster.kubectl("-n", platform.release, "delete", "pod", first, "--wait=false")

    def another() -> str:
        now = acting()
        return now if now != first else ""

    waited(another, "both pods to answer, another one acting")
