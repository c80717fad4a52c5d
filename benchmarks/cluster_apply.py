"""A cluster with many models: cold apply of 1,000, and a steady look at 10,000.

On a control plane alone (etcd and API server; no node, no controllers), in one run:

- the floor: the objects of 1,000 models, rendered beforehand, sent raw (create, and server-side
  apply) by threads that do nothing else;
- the same rendered, decided and applied by our own code, records included;
- a steady look at 10,000 models by a process of its own, and again after its restart: its time,
  its memory, its writes.

`SCHNITZEL_TEST_KUBECONFIG` names the cluster; without it, one is brought up.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import resource
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from deployer import naming
from deployer.config.clusters import Cluster
from deployer.desired.wanted import predictor_digest
from deployer.spec.resolve import Limits, resolve, spec_digest
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Description, Promotion, Record, RoleHolder
from deployer.state.registry import VersionId
from deployer.store.records import Records
from deployer.store.sqlite import Database
from deployer.targets.kubernetes.apply.decide import decide_all
from deployer.targets.kubernetes.apply.execute import Executor
from deployer.targets.kubernetes.apply.unchanged import Unchanged
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.cache.objects import APPLIED, Owner, digest_of
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client, Object
from deployer.targets.kubernetes.client.kinds import kind_of
from deployer.targets.kubernetes.client.session import ClusterAccess, Session
from deployer.targets.kubernetes.records import crd
from deployer.targets.kubernetes.records.records import ClusterRecords
from deployer.targets.kubernetes.render.charts import Charts
from deployer.targets.kubernetes.render.manifests import Manifests

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.systems.cluster import second

ROOT = Path(__file__).parents[1]
THREADS = 8
PLATFORM = "bench0123456"
IMAGE = "registry.example:5000/schnitzel/environments/iris@sha256:" + "1" * 64
CLUSTER = Cluster.model_validate(
    {
        "gateway": {"name": "public", "namespace": "gateway", "url": "http://models.example"},
        "server_image": "registry.example:5000/schnitzel/model-server:0.1.0",
    }
)


class Model:
    """One model, promoted and served."""

    def __init__(self, number: int) -> None:
        self.name = f"model-{number:05d}"
        self.id = naming.deployment_id(self.name, "prod")
        resolved = resolve([("serving.yaml", {"resources": {"cpu": 1, "memory": "1Gi"}})], Limits())
        version = VersionId(self.name, 3, 1_700_000_000_000 + number, f"m-{number:032x}")
        digest = predictor_digest(version, Role.CHAMPION, spec_digest(resolved.spec))
        source = f"mlflow-artifacts:/1/models/m-{number:032x}/artifacts"
        predictor = Predictor(
            naming.predictor_name(self.name, "prod", 3, digest),
            version,
            Role.CHAMPION,
            digest,
            source,
            resolved.spec,
            resolved.origins,
            artifact="0" * 64,
        )
        self.deployment = Deployment(
            self.id, self.name, "prod", (WeightedPredictor(predictor, 100),)
        )
        self.record = Record(
            self.id,
            self.name,
            "prod",
            promotions=(Promotion(version, "stage Production", 1, 1_700_000_000.5),),
            next_sequence=2,
            predictors={Role.CHAMPION: (RoleHolder(predictor, 1_700_000_100.5),)},
            descriptions={version.key: Description(source, None)},
            artifacts={version.key: "0" * 64},
        )
        self.predictor = predictor

    def manifests(self, manifests: Manifests, namespace: str, owner: Owner) -> list[Object]:
        """ConfigMap, Deployment, Service and HTTPRoute."""
        route = manifests.route(self.deployment, namespace, owner)
        assert route is not None
        found = manifests.predictor(self.deployment, self.predictor, namespace, IMAGE, owner)
        return [*found, route]


def client_of(kubeconfig: Path) -> Client:
    return Client(Session(ClusterAccess(kubeconfig)))


def renderer() -> Manifests:
    return Manifests(Charts(), CLUSTER, PLATFORM, "http://mlflow.example:5000")


def prepare(client: Client, kubectl: Callable[..., None], namespace: str) -> None:
    """Our kinds, and an empty namespace."""
    kubectl("apply", "--server-side", "-f", str(ROOT / "helm/schnitzel/crd/modeldeployment.yaml"))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "--all", "crd")
    meta = {"name": namespace}
    client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})


class RawApi:
    """The floor: HTTP/1.1 kept alive, one connection for each thread, nothing looked at."""

    def __init__(self, kubeconfig: Path) -> None:
        from kubernetes.client import Configuration
        from kubernetes.config import load_kube_config

        found = Configuration()
        load_kube_config(str(kubeconfig), client_configuration=found)
        self._host = found.host.removeprefix("https://")
        self._tls = ssl.create_default_context(cafile=found.ssl_ca_cert)
        self._tls.load_cert_chain(found.cert_file, found.key_file)
        self._mine = threading.local()

    def send(self, method: str, path: str, content_type: str, body: bytes) -> None:
        """One request, which has to succeed."""
        if not hasattr(self._mine, "connection"):
            self._mine.connection = http.client.HTTPSConnection(self._host, context=self._tls)
        connection = self._mine.connection
        connection.request(method, path, body, {"Content-Type": content_type})
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status < 300, said

    def create(self, obj: Object) -> None:
        """POST."""
        path = kind_of(obj).path(obj["metadata"]["namespace"]) + "?fieldManager=schnitzel"
        self.send("POST", path, "application/json", orjson.dumps(obj))

    def apply(self, obj: Object) -> None:
        """Server-side apply."""
        meta = obj["metadata"]
        path = kind_of(obj).path(meta["namespace"], meta["name"])
        query = "?fieldManager=schnitzel&force=true"
        self.send("PATCH", path + query, "application/apply-patch+yaml", orjson.dumps(obj))

    def status(self, obj: Object, status: Object) -> None:
        """What a controller would report."""
        meta = obj["metadata"]
        path = kind_of(obj).path(meta["namespace"], meta["name"], "status")
        body = orjson.dumps({"status": status})
        self.send("PATCH", path, "application/merge-patch+json", body)


def in_threads(act: Callable[[Any], object], things: Iterable[Any]) -> float:
    """Seconds that it took."""
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(act, things))
    return time.perf_counter() - began


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def plane_cpu(kubeconfig: Path) -> float:
    """Seconds that API server and etcd have used so far; 0 where nobody can tell."""
    used = 0.0
    for name in ("apiserver", "etcd"):
        record = kubeconfig.parent / "run" / f"{name}.json"
        if record.exists():
            stat = Path(f"/proc/{json.loads(record.read_text())['pid']}/stat").read_text()
            user, system = stat.rpartition(")")[2].split()[11:13]
            used += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return used


@dataclass
class Spent:
    """What one way to make all objects took."""

    seconds: float
    ours: float
    plane: float

    @property
    def cpu(self) -> float:
        """Seconds, of both."""
        return self.ours + self.plane

    def __str__(self) -> str:
        return f"{self.ours:.1f} s of our CPU, {self.plane:.1f} s of the control plane's"


def spending(kubeconfig: Path, act: Callable[[Any], object], things: Iterable[Any]) -> Spent:
    ours, plane = cpu(), plane_cpu(kubeconfig)
    seconds = in_threads(act, things)
    return Spent(seconds, cpu() - ours, plane_cpu(kubeconfig) - plane)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--models", type=int, default=1000)
    arguments.add_argument("--many", type=int, default=10_000)
    arguments.add_argument("--look", help="namespace; the part that runs in a process of its own")
    arguments.add_argument("--memory", type=Path, help="its database")
    chosen = arguments.parse_args()
    named = os.environ.get("SCHNITZEL_TEST_KUBECONFIG")
    if chosen.look:
        assert named
        look(Path(named), chosen.look, chosen.memory)
        return
    if named:
        measure(Path(named), chosen.models, chosen.many)
        return
    with second() as found:
        os.kill(found.pid("kcm"), signal.SIGTERM)  # it would make pods, and take half of the time
        measure(Path(found.kubeconfig), chosen.models, chosen.many)


def measure(kubeconfig: Path, models: int, many: int) -> None:
    """All of it, on one cluster, in namespaces of this run."""
    run = f"bench-{int(time.time())}"
    client = client_of(kubeconfig)

    def kubectl(*words: str) -> None:
        command = ["kubectl", "--kubeconfig", str(kubeconfig), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    for name in ("create", "apply", "ours"):
        prepare(client, kubectl, f"{run}-{name}")
    wanted = [Model(number) for number in range(models)]
    manifests = renderer()
    least = floor(kubeconfig, f"{run}-create", wanted, manifests, RawApi.create)
    floor(kubeconfig, f"{run}-apply", wanted, manifests, RawApi.apply)
    ours = cold(kubeconfig, client, f"{run}-ours", wanted)
    print(
        f"ours over the floor (create): {ours.seconds / least.seconds:.2f} times the time, "
        f"{ours.cpu / least.cpu:.2f} times the CPU, of all together"
    )
    if many:
        fill(kubeconfig, f"{run}-ours", [Model(number) for number in range(many)], models)
        environment = {**os.environ, "SCHNITZEL_TEST_KUBECONFIG": str(kubeconfig)}
        with tempfile.TemporaryDirectory() as folder:
            memory = f"{folder}/deployer.db"
            command = [sys.executable, __file__, "--look", f"{run}-ours", "--memory", memory]
            for _ in ("a first start", "another one"):
                subprocess.run(command, check=True, env=environment)


def objects_of(model: Model, manifests: Manifests, namespace: str) -> list[Object]:
    owner = Owner(PLATFORM, model.id, "00000000-0000-0000-0000-000000000000")
    record = crd.manifest(model.record, PLATFORM, namespace)
    return [record, *model.manifests(manifests, namespace, owner)]


def floor(
    kubeconfig: Path,
    namespace: str,
    models: list[Model],
    manifests: Manifests,
    send: Callable[[RawApi, Object], None],
) -> Spent:
    raw = RawApi(kubeconfig)
    ready = [objects_of(model, manifests, namespace) for model in models]

    def one(objects: list[Object]) -> None:
        for obj in objects:
            send(raw, obj)

    spent = spending(kubeconfig, one, ready)
    count = sum(map(len, ready))
    print(
        f"floor, raw {send.__name__}: {len(models)} models, {count} objects in "
        f"{spent.seconds:.1f} s ({count / spent.seconds:.0f}/s; {spent})"
    )
    return spent


def cold(kubeconfig: Path, client: Client, namespace: str, models: list[Model]) -> Spent:
    """From records to live objects, as a first pass does it, nothing rendered yet."""
    cache = Cache(client, PLATFORM, [namespace])
    cache.start()
    assert cache.wait(30)
    records = ClusterRecords(client, cache, lambda *_: namespace)
    executor = Executor(client, cache.record_write, cache.mark_deleting)
    manifests = renderer()
    waits = {"record": 0.0, "render": 0.0, "apply": 0.0}
    written = []

    def one(model: Model) -> None:
        times = [time.perf_counter()]
        records.save(model.record)
        live = records.object(model.id)
        assert live is not None
        owner = Owner(PLATFORM, model.id, live.uid)
        times.append(time.perf_counter())
        wanted = model.manifests(manifests, namespace, owner)
        times.append(time.perf_counter())
        decisions = decide_all(wanted, cache.of(namespace, model.id), owner)
        written.append(len(executor.execute(decisions, owner)) + 1)
        times.append(time.perf_counter())
        for name, began, ended in zip(waits, times, times[1:], strict=False):
            waits[name] += ended - began

    spent = spending(kubeconfig, one, models)
    parts = ", ".join(f"{name} {1000 * s / len(models):.1f} ms" for name, s in waits.items())
    print(
        f"cold apply, ours: {len(models)} models, {sum(written)} objects in {spent.seconds:.1f} s "
        f"({sum(written) / spent.seconds:.0f}/s; {spent}; aim 12 s for 1,000); "
        f"for each model, in its thread: {parts}"
    )
    cache.close()
    return spent


def fill(kubeconfig: Path, namespace: str, models: list[Model], there: int) -> None:
    """The rest of the many, and for all of them a pod and what controllers would report."""
    client = client_of(kubeconfig)
    records = {o["metadata"]["name"] for o in client.list(kinds.MODEL_DEPLOYMENT, namespace)}
    assert len(records) == there
    raw = RawApi(kubeconfig)
    if client.find(kinds.SERVICE_ACCOUNT, namespace, "default") is None:  # no controllers
        account = {"name": "default", "namespace": namespace}
        client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    manifests = renderer()
    rest = [model for model in models if model.id not in records]
    cache = Cache(client, PLATFORM, [namespace])
    cache.start()
    assert cache.wait(60)
    kept = ClusterRecords(client, cache, lambda *_: namespace)

    def one(model: Model) -> None:
        kept.save(model.record)
        live = kept.object(model.id)
        assert live is not None
        owner = Owner(PLATFORM, model.id, live.uid)
        for obj in model.manifests(manifests, namespace, owner):
            meta = obj["metadata"]
            notes = {**meta["annotations"], APPLIED: digest_of(obj)}
            body = obj | {"metadata": meta | {"annotations": notes}}
            if obj["kind"] == "Service":
                # To give out an address, the API server (1.34, ipallocator.go) lists all that
                # it ever gave, twice: with 10,000 of them that takes longer than all the rest.
                body["spec"] = obj["spec"] | {"clusterIP": "None"}
            raw.create(body)

    taken = in_threads(one, rest)
    taken += in_threads(lambda model: report(raw, namespace, model, manifests), models)
    cache.close()
    print(f"(filled up to {len(models)} models, each with a pod and reports, in {taken:.0f} s)")


def report(raw: RawApi, namespace: str, model: Model, manifests: Manifests) -> None:
    """What the controllers, the kubelet and the gateway would have said."""
    owner = Owner(PLATFORM, model.id, "0")
    objects = {o["kind"]: o for o in model.manifests(manifests, namespace, owner)}
    deployment, route = objects["Deployment"], objects["HTTPRoute"]
    since = "2026-01-01T00:00:00Z"
    conditions = [
        {"type": kind, "status": "True", "reason": "Ready", "message": "It is as it should be.",
         "lastTransitionTime": since, "lastUpdateTime": since}
        for kind in ("Available", "Progressing")
    ]  # fmt: skip
    counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), 1)
    raw.status(deployment, {"observedGeneration": 1, **counts, "conditions": conditions})
    parent = {
        "parentRef": {"name": "public", "namespace": "gateway"},
        "controllerName": "traefik.io/gateway-controller",
        "conditions": [
            {"type": kind, "status": "True", "reason": kind, "message": "",
             "lastTransitionTime": since, "observedGeneration": 1}
            for kind in ("Accepted", "ResolvedRefs")
        ],
    }  # fmt: skip
    raw.status(route, {"parents": [parent]})
    template = deployment["spec"]["template"]
    meta = {
        **template["metadata"], "name": f"{model.predictor.name}-6d5f7c9b8-x2x4z",
        "namespace": namespace,
    }  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
    raw.create(pod)
    kinds_of = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
    raw.status(
        pod,
        {
            "phase": "Running", "podIP": "10.244.0.9", "hostIP": "10.240.0.1", "startTime": since,
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": since} for kind in kinds_of
            ],
            "containerStatuses": [
                {"name": container["name"], "ready": True, "restartCount": 0, "image": IMAGE,
                 "imageID": IMAGE, "containerID": "containerd://" + "2" * 64, "started": True,
                 "state": {"running": {"startedAt": since}}}
                for container in template["spec"]["containers"]
            ],
        },
    )  # fmt: skip


def look(kubeconfig: Path, namespace: str, memory: Path) -> None:
    """What a Deployer does that has been started again, and then finds nothing to do.

    `memory` is its database: what another one found as wanted is not rendered again.
    """
    writes = 0

    def count() -> None:
        nonlocal writes
        writes += 1

    reader = client_of(kubeconfig)
    cache = Cache(reader, PLATFORM, [namespace])
    began = time.perf_counter()
    cache.start()
    assert cache.wait(300)
    listed = time.perf_counter() - began
    client = reader.with_guard(count)
    records = ClusterRecords(client, cache, lambda *_: namespace)
    executor = Executor(client, cache.record_write, cache.mark_deleting)
    manifests = renderer()
    database = Database(memory)
    steady = Unchanged("bench", Records(database), cache.deployments)
    models = records.all()
    rendered = 0
    began = time.perf_counter()
    for record in models:
        assert record.champion
        model = Model(int(record.model.removeprefix("model-")))
        live = cache.of(namespace, record.id)
        if steady.holds(record.id, record.champion.digest, live):
            continue
        rendered += 1
        owner_object = records.object(record.id)
        assert owner_object
        owner = Owner(PLATFORM, record.id, owner_object.uid)
        wanted = model.manifests(manifests, namespace, owner)
        decisions = decide_all(wanted, live, owner)
        assert not executor.execute(decisions, owner)
        steady.note(record.id, record.champion.digest, live)
    steady.close()
    first = time.perf_counter() - began
    database.close()
    times, used = [], []
    for _ in range(5):
        began, before = time.perf_counter(), cpu()
        ready = sum(steady_look(cache, records, steady, namespace, r.id) for r in models)
        times.append(time.perf_counter() - began)
        used.append(cpu() - before)
        assert ready == len(models)
    cache.close()
    status = Path("/proc/self/status").read_text()
    peak, now = (
        int(line.split()[1]) // 1024
        for name in ("VmHWM:", "VmRSS:")
        for line in status.splitlines()
        if line.startswith(name)
    )
    print(
        f"steady look: {len(models)} models in {statistics.median(times):.2f} s "
        f"({statistics.median(used):.2f} s of CPU; aim 1 s), "
        f"{writes} writes; memory {now} MB, at most {peak} MB (aim 300 MB); after a start: "
        f"{listed:.1f} s to list all, {first:.1f} s for the first look, which rendered {rendered}"
    )


def steady_look(
    cache: Cache, records: ClusterRecords, steady: Unchanged, namespace: str, deployment: str
) -> bool:
    """One deployment: its record, its objects unchanged, its pods and its route read."""
    record = records.load(deployment)
    assert record
    assert record.champion
    live = cache.of(namespace, deployment)
    if not steady.holds(deployment, record.champion.digest, live):
        return False
    seen = {obj.kind.name: obj.object()["status"] for obj in live if obj.kind in READ}
    ready = seen["Pod"]["containerStatuses"][0]["ready"] and seen["HTTPRoute"]["parents"]
    return bool(ready and seen["Deployment"]["readyReplicas"])


READ = (kinds.POD, kinds.DEPLOYMENT, kinds.HTTP_ROUTE)


if __name__ == "__main__":
    main()
