"""The Deployer as people run it: a pod of its own chart, with its Role and nothing else.

Nightly, until the test of its Role is seen to pass: it was written anew.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from support.systems.environment_builder import small_image
from support.systems.images import built

from deployer.naming import deployment_id
from deployer.targets.kubernetes.images.site import REQUIREMENTS
from stack.paths import Layout

pytestmark = pytest.mark.timeout(1800)

AUTOSCALED = {
    "autoscaling": {"max": 2},
    "resources": {"cpu": "100m"},
    "kubernetes": {"disruption_budget": {"max_unavailable": 1}},
}
DRIFT = {
    "deployments": {"progressDeadlineSeconds": 77},
    "services": {"ports": [{"name": "http", "port": 8080, "targetPort": 81}]},
    "horizontalpodautoscalers": {"maxReplicas": 3},
    "poddisruptionbudgets": {"maxUnavailable": 2},
}
"""Fields of a spec that somebody changes."""


class Installed(ClusterPlatform):
    """A platform whose two Deployers run in the cluster, installed by Helm."""

    @property
    def release(self) -> str:
        """The namespace that it is installed in."""
        return f"{self.mark}-deployer"

    def up(self, *_: str) -> None:
        facts = self.cluster
        images = built(facts)
        settings = yaml.safe_load((self.home / "platform.yaml").read_text())
        for section in ("airflow", "gateway", "deployer"):
            settings.pop(section, None)
        own = settings["clusters"]["tests"]
        own.pop("kubeconfig")
        own["in_cluster"] = True
        self._namespace(self.release)
        self._secrets()
        values = {
            "platformId": self.mark,
            "image": images["deployer"],
            "replicas": 2,
            "database": {"secret": "own", "key": "database"},
            "webhookSecret": {"secret": "own", "key": "webhook"},
            "tokens": {"secret": "own", "key": "tokens"},
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
        try:
            super().down()
        finally:
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
        tokens = (Layout(self.home).secrets / "tokens.json").read_text()
        data = {"database": url, "webhook": secrets.token_hex(), "tokens": tokens}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data}
        self.cluster.apply(secret, namespace=self.release)

    def url(self, name: str) -> str:
        """Where a Deployer answers, which is inside; nowhere while none is ready."""
        assert name == "deployer"
        return next(iter(self.pods().values()), "http://127.0.0.1:9")

    def cli(self, *arguments: str, code: int = 0, seconds: float = 600, stdin: str = "") -> str:
        self.env["SCHNITZEL_DEPLOYER_URL"] = self.url("deployer")
        return super().cli(*arguments, code=code, seconds=seconds, stdin=stdin)

    def _helm(self, *arguments: str) -> None:
        command = [self.cluster.program("helm"), "--kubeconfig", str(self.cluster.kubeconfig)]
        done = subprocess.run(
            [*command, "-n", self.release, *arguments], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    limits = {"limits": {"images": ["*"]}}
    made = Installed(cluster(), tmp_path_factory.mktemp("installed") / "home", settings=limits)
    ready = {"image": small_image(made.cluster)}
    try:
        models = [
            {"name": made.model("calm"), "serving": ready},
            {"name": made.model("used"), "serving": AUTOSCALED},
            {"name": made.model("used"), "serving": AUTOSCALED, "say": 2},
            {"name": made.model("taken"), "serving": ready},
        ]
        log_models(made.mlflow.url, [model | {"kind": "constant"} for model in models])
        made.up()
        yield made
    finally:
        made.down()


def audit(platform) -> list[dict[str, Any]]:
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


def where(platform, namespace: str) -> str:
    return "builds" if namespace == BUILDS else namespace.removeprefix(f"{platform.mark}-")


def granted(platform) -> set[str]:
    """What our account may do in each namespace, as the Roles bound to it say."""
    found = set()
    for namespace in (*platform.environments, BUILDS):
        bound = {
            binding["roleRef"]["name"]
            for binding in platform.cluster.get("rolebindings", "-n", namespace)["items"]
            if binding["subjects"][0].get("namespace") == platform.release
        }
        for role in platform.cluster.get("roles", "-n", namespace)["items"]:
            for rule in role["rules"] if role["metadata"]["name"] in bound else ():
                found |= {
                    f"{where(platform, namespace)}: {group} {resource} {verb}"
                    for group in rule["apiGroups"]
                    for resource in rule["resources"]
                    for verb in rule["verbs"]
                }
    return found


def used(platform) -> set[str]:
    """What our account asked for, and was not refused, in the same words."""
    return {
        f"{where(platform, entry['objectRef'].get('namespace', ''))}: {asked(entry)}"
        for entry in audit(platform)
        if "objectRef" in entry and entry["responseStatus"]["code"] != 403
    }


def test_its_role_suffices_for_all_that_it_does_and_has_nothing_more(platform):
    """Served, previewed, updated, put back, looked into, retired; an environment built and gone."""
    name, prod = platform.model("used"), platform.environment("prod")
    kubectl = platform.cluster.kubectl
    at = ("-e", prod)
    platform.mlflow.alias(name, prod, 1)
    seen = platform.serving("used", 1, seconds=600)

    platform.cli("deploy", "pause", name, *at, "--reason", "a look")
    platform.mlflow.alias(name, prod, 2)
    platform.wait(name, lambda d: (d["wanted"] or {}).get("version") == "2", prod)
    shown = json.loads(platform.cli("deploy", "diff", name, *at, "-o", "json"))["diffs"][0]
    assert {"Deployment", "Service", "ConfigMap"} <= {o["kind"] for o in shown["objects"]}
    with Load(seen["url"], 20, 2) as load:
        platform.cli("deploy", "resume", name, *at)
        platform.serving("used", 2)
        seen = platform.wait(name, lambda d: len(d["predictors"]) == 1, prod)
    assert not load.failed, load.failed[:3]
    assert load.versions() == {"1", "2"}

    [predictor] = seen["predictors"]
    for kind, fields in DRIFT.items():
        patch = json.dumps({"spec": fields})
        kubectl("-n", prod, "patch", kind, predictor["name"], "--type=merge", "-p", patch)
    patch = json.dumps({"data": {"predictor.json": "{}"}})
    kubectl("-n", prod, "patch", "configmap", predictor["name"], "-p", patch)
    platform.cli("deploy", "logs", name, *at)

    record = platform.cluster.get("modeldeployment", seen["id"], "-n", prod)
    theirs = {k: record[k] for k in ("apiVersion", "kind", "spec")}
    taken = platform.model("taken")
    meta = {"metadata": {"name": deployment_id(taken, prod)}}
    platform.cluster.apply(theirs | meta, namespace=prod)
    platform.mlflow.alias(taken, prod, 1)
    put_back = {
        f"prod: {group} {kind} patch"
        for kind, group in {
            "deployments": "apps", "services": "", "configmaps": "",
            "horizontalpodautoscalers": "autoscaling", "poddisruptionbudgets": "policy",
        }.items()
    }  # fmt: skip
    met = {"prod: schnitzel.dev modeldeployments get"}
    wait_for(lambda: put_back | met <= used(platform), "all drift to be put back", 120, every=1)

    platform.mlflow.drop_alias(taken, prod)
    platform.mlflow.delete("registered-models/delete", name=name)

    def left() -> list[Any]:
        everything = platform.objects("deployments") + platform.objects("httproutes")
        return [o for o in everything if seen["id"] in o["metadata"]["name"]]

    wait_for(lambda: not left(), "it to be retired", 120)
    kubectl("-n", platform.release, "delete", "pods", "--all")  # they asked for the environment
    wait_for(lambda: len(platform.pods()) == 2 and platform.holder(), "Deployers", 120)
    of_images = f"schnitzel.dev/platform={platform.mark},{REQUIREMENTS}"  # and no locks, which stay
    mine = ("configmaps", "-n", BUILDS, "-l", of_images)
    long_ago = json.dumps({"data": {"made": "1"}})
    known = [each["metadata"]["name"] for each in platform.cluster.get(*mine)["items"]]
    assert known
    for each in known:
        kubectl("patch", "configmap", each, "-n", BUILDS, "-p", long_ago)
    platform.cli("image", "collect", "--yes")
    assert not platform.cluster.get(*mine)["items"]

    grants, idle = granted(platform), set[str]()
    assert grants

    def all_used() -> bool:
        nonlocal idle
        idle = grants - used(platform)
        return not idle

    try:  # the log is written a little later
        wait_for(all_used, "every grant to be used", 30, every=1)
    except AssertionError:
        pytest.fail(f"granted, and used by nothing: {sorted(idle)}")
    refused = [e for e in audit(platform) if e["responseStatus"]["code"] == 403]
    assert not refused, refused[:3]


def calm(platform) -> str:
    """Have a model served; its name."""
    name = platform.model("calm")
    platform.mlflow.alias(name, platform.environment("prod"), 1)
    platform.serving("calm", 1, seconds=600)
    return name


def test_a_steady_look_writes_nothing_but_its_lease(platform):
    def writes() -> Counter[str]:
        return Counter(
            asked(e) for e in audit(platform)
            if e["verb"] not in ("get", "list", "watch") and "leases" not in asked(e)
        )  # fmt: skip

    def renewals() -> int:
        return sum("leases" in asked(e) and e["verb"] == "update" for e in audit(platform))

    name = calm(platform)
    begun = renewals()
    wait_for(lambda: renewals() > begun + 1, "everything to have settled", 30)
    before, begun = writes(), renewals()
    platform.passed_over(name, platform.environment("prod"), times=5)
    wait_for(lambda: renewals() > begun + 4, "the Lease to be renewed", 60)
    assert writes() == before


def test_either_pod_answers_and_one_takes_over_from_the_other(platform):
    name = calm(platform)
    said: dict[str, object] = {}

    def states(url: str) -> dict[str, str] | str:
        """The state of each deployment that a pod tells of, or why it tells of none."""
        try:
            answer = platform.client.get(f"{url}/api/v1/deployments")
        except httpx.HTTPError as error:
            return repr(error)
        if answer.status_code != 200:
            return answer.text
        found = {one["model"]: one["state"] for one in answer.json()["deployments"]}
        return {name: found[name]} if found else {}

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
