"""Environment images on a real cluster and in its registry: built, listed, in use, removed."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.kubernetes.contexts import context_of
from support.models import log_models
from support.run.wait import wait_for
from support.systems.cluster import Cluster
from support.systems.images import built, push_reference
from support.systems.mlflow import API
from support.systems.package_index import wheel

from deployer.artifacts.cache import Artifacts
from deployer.artifacts.metadata import SmallFiles
from deployer.artifacts.requirements import EnvironmentRequest, Wheel
from deployer.python_env.collector import Collector
from deployer.python_env.retention import Need, Needs, Removed
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.kinds import CONFIG_MAP
from deployer.targets.kubernetes.images import site
from deployer.targets.kubernetes.images.builds import BuiltImage, ImageBuilds
from deployer.targets.kubernetes.images.inventory import ClusterImages
from deployer.targets.kubernetes.images.site import BuildSite

pytestmark = pytest.mark.timeout(1800)

DAY = 86400.0
USED = EnvironmentRequest("3.11.2", ("six==1.17.0",))
UNUSED = EnvironmentRequest("3.11.2", ("six==1.16.0",))


class Platform:
    """What one Deployer has of environment images in one namespace, which is also its builds'."""

    def __init__(self, real: Cluster, namespace: str, client: Client, folder: Path) -> None:
        self.cluster, self.namespace, self.ahead = real, namespace, 0.0
        images = built(real, "model-server", "environment-builder")
        self.place = BuildSite(
            namespace=namespace,
            platform_id=f"t{secrets.token_hex(4)}",
            cluster="tests",
            builder=images["environment-builder"],
            base=push_reference(real, images["model-server"]),
            push=f"{real.fact('registry_push')}/{namespace}",
            pull=f"{real.fact('registry_pull')}/{namespace}",
            insecure=True,
            server=images["model-server"],
            tracking_uri=real.fact("mlflow_url"),
            trust_bundle=("ca", "ca.crt") if real.facts.get("ca_bundle") else None,
        )
        self.client, self.folder = client, folder
        self.cache = Cache(client, self.place.platform_id, [namespace])
        self.builds = ImageBuilds(client, self.place, 1, self.clock)
        self.files = SmallFiles(Artifacts(folder, "http://127.0.0.1:9"), folder / "small-files")
        context = context_of(client, self.cache, namespace=namespace, clock=self.clock)
        images = ClusterImages(context, self.builds, self.place, self.files)
        self.store = Collector(images, "image-removal", self.clock)
        self.cache.start()
        assert self.cache.wait(30)

    def clock(self) -> float:
        return time.time() + self.ahead

    def close(self) -> None:
        self.store.close()
        self.builds.close()
        self.files.close()
        self.cache.close()

    def build(self, request: EnvironmentRequest, source: str = "") -> BuiltImage:
        def ready() -> BuiltImage | None:
            state = self.builds.ensure(request, source)
            assert state.error is None, f"{state.error}\n{self.cluster.story(self.namespace)}"
            return state.built

        found: BuiltImage = wait_for(ready, "an image", 300)
        return found

    def need(self, request: EnvironmentRequest, number: int, part: Any) -> Need:
        """A version whose files ask for this, on this machine."""
        source = self.folder / f"v{number}"
        source.mkdir(exist_ok=True)
        (source / "MLmodel").write_text("flavors: {}\n")
        (source / "requirements.txt").write_text("\n".join(request.requirements))
        (source / "python_env.yaml").write_text(f"python: {request.python}\n")
        return Need("angler", "prod", VersionId("angler", number, 1), str(source), part)

    def collect(self, names: list[str], needs: Callable[[], Needs] = Needs) -> Removed:
        self.store.collect(names, needs, DAY)

        def ended() -> Removed | None:
            job = self.store.inventory(Needs()).removal
            assert job is not None
            assert job.error is None, job.error
            return job.result

        removed: Removed = wait_for(ended, "the removal", 120)
        return removed


@pytest.fixture
def platform(real, namespace, client, tmp_path) -> Iterator[Callable[[], Platform]]:
    made: list[Platform] = []
    if bundle := real.facts.get("ca_bundle"):
        data = {"ca.crt": Path(bundle).read_text()}
        bundle_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca"}}
        real.apply(bundle_map | {"data": data}, namespace=namespace)

    def make() -> Platform:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Platform(real, namespace, client, folder))
        return made[-1]

    yield make
    for each in made:
        each.close()


def there(real: Cluster, image: str) -> bool:
    """Whether the registry has an image."""
    command = [real.program("crane"), "manifest", "--insecure", push_reference(real, image)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def pod(name: str, image: str, **labels: str) -> dict[str, Any]:
    closed = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "main", "image": image, "command": ["sleep", "600"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [container | {"securityContext": closed}],
        },
    }


def waits(real: Cluster, namespace: str, name: str) -> str:
    """Why a pod's container waits."""
    status = real.get("pod", name, "-n", namespace)["status"]
    state = (status.get("containerStatuses") or [{}])[0].get("state", {})
    return str(state.get("waiting", {}).get("reason", ""))


def test_an_unused_image_goes_and_what_anybody_uses_stays(real, namespace, platform):
    ours = platform()
    used, unused = ours.build(USED), ours.build(UNUSED)
    theirs = platform()
    other = theirs.build(UNUSED)
    assert other.image != unused.image
    assert other.lock == unused.lock  # from the lock that is kept, and the layer that is there
    real.apply(pod("runs", used.image), namespace=namespace)  # nobody's predictor

    seen = {one.image: one for one in ours.store.inventory(Needs()).built}
    assert set(seen) == {used.image, unused.image}
    assert seen[unused.image].lock == unused.lock
    assert seen[unused.image].python.startswith("3.11.")
    assert seen[unused.image].size > 1000
    names = [one.name for one in seen.values()]
    kept = ours.collect(names).kept
    assert set(kept.values()) == {"it was asked for meanwhile"}  # a moment ago

    ours.ahead = 30 * DAY
    needed = Needs((ours.need(UNUSED, 3, "previous"),))
    wait_for(lambda: not ours.store.inventory(needed).unknown, "requirements to be read", 20)
    kept = ours.collect(names, lambda: needed).kept
    assert kept[seen[unused.image].name] == "angler@prod version 3 (previous)"
    assert "the pod" in kept[seen[used.image].name]
    assert there(real, unused.image)

    removed = ours.collect(names)
    assert removed.names == (seen[unused.image].name,)
    assert removed.message == ""
    assert not there(real, unused.image)
    assert there(real, used.image)
    assert there(real, other.image)
    assert [one.image for one in ours.store.inventory(Needs()).built] == [used.image]
    assert [one.image for one in theirs.store.inventory(Needs()).built] == [other.image]
    real.apply(pod("late", unused.image), namespace=namespace)
    failing = ("ErrImagePull", "ImagePullBackOff")
    wait_for(lambda: waits(real, namespace, "late") in failing, "a pull that fails", 60)

    again = ours.build(UNUSED)  # whoever needs it after all gets the same packages
    assert again == unused
    assert there(real, again.image)
    key = site.image_key(UNUSED, ours.place)
    assert ours.builds.claim([key], ours.clock()) == {key}
    assert "is being removed" in ours.builds.ensure(UNUSED).message
    ours.builds.release([key])
    assert ours.build(UNUSED) == again


def test_an_image_has_the_package_that_a_model_carries(real, namespace, platform, tmp_path):
    file = "carried-1.5-py3-none-any.whl"
    (tmp_path / "beside/code").mkdir(parents=True)
    content = wheel("carried", "1.5")
    (tmp_path / "beside/code" / file).write_bytes(content)
    url, name = real.fact("mlflow_url"), f"carries-{secrets.token_hex(4)}"
    model = {"name": name, "kind": "constant", "beside": tmp_path / "beside"}
    [version] = log_models(url, [model])
    query = {"name": name, "version": version}
    found = httpx.get(f"{url}{API}model-versions/get-download-uri", params=query, trust_env=False)
    asked = Wheel(f"code/{file}", file, hashlib.sha256(content).hexdigest())
    request = EnvironmentRequest("3.11.2", (f"./wheels/{file}",), wheels=(asked,))
    image = platform().build(request, found.json()["artifact_uri"])
    shown = pod("shows", image.image)
    shown["spec"]["restartPolicy"] = "Never"
    said = ["/opt/env/bin/python", "-c", "import carried; print(carried.VERSION)"]
    shown["spec"]["containers"][0]["command"] = said
    real.apply(shown, namespace=namespace)

    def ended() -> str:
        phase = real.get("pod", "shows", "-n", namespace)["status"]["phase"]
        return str(phase) if phase in ("Succeeded", "Failed") else ""

    wait_for(ended, "the pod to end", 120)
    assert real.kubectl("logs", "shows", "-n", namespace) == "1.5\n"


def test_what_runs_is_noted_as_used(real, namespace, platform):
    ours = platform()
    image = ours.build(USED)
    labels = {"schnitzel.dev/platform": ours.place.platform_id, "schnitzel.dev/predictor": "p"}
    real.apply(pod("runs", image.image, **labels), namespace=namespace)
    ours.ahead = 30 * DAY

    def users() -> Any:
        (one,) = ours.store.inventory(Needs()).built
        return one if one.users else None

    before = wait_for(users, "the pod to be seen", 20)
    assert [user.model for user in before.users] == ["p"]
    ours.store.note_uses()
    (after,) = ours.store.inventory(Needs()).built
    assert after.used_at - before.used_at > 29 * DAY
    known = ours.client.list(CONFIG_MAP, namespace, labels=site.REQUIREMENTS)
    version = known[0]["metadata"]["resourceVersion"]
    ours.store.note_uses()  # once a day is enough
    known = ours.client.list(CONFIG_MAP, namespace, labels=site.REQUIREMENTS)
    assert known[0]["metadata"]["resourceVersion"] == version


def test_a_removal_that_nobody_finished_is_waited_for_and_built_after(real, namespace, platform):
    ours = platform()
    before = ours.build(USED)
    name = site.object_name(site.image_key(USED, ours.place))
    real.apply(job("collect-begun", "sleep 600"), namespace=namespace)
    note = f"{site.REMOVAL}=collect-begun"
    real.kubectl("annotate", "configmap", name, note, "-n", namespace)
    ours.builds.close()
    ours.builds = ImageBuilds(ours.client, ours.place, 1)  # another Deployer took over
    uid = real.get("configmap", name, "-n", namespace)["metadata"]["uid"]
    assert ours.builds.ensure(USED).phase == "building"
    assert ours.builds.building(site.image_key(USED, ours.place))
    real.kubectl("delete", "job", "collect-begun", "-n", namespace)
    assert ours.build(USED) == before
    found = real.get("configmap", name, "-n", namespace)
    assert found["metadata"]["uid"] != uid
    assert site.removal_of(found) == ""
    assert json.loads(found["data"]["request.json"])["lock"]


def job(name: str, command: str) -> dict[str, Any]:
    made = pod(name, "registry.k8s.io/pause")
    made["spec"]["containers"][0]["command"] = ["/bin/sh", "-c", command]
    spec = made["spec"] | {"restartPolicy": "Never"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": spec}},
    }
