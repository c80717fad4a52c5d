"""A secret of a platform is found wherever in a cluster it turned up; a Secret may hold it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, cast

import pytest
from support.canaries import FETCH, STORE, Canaries
from support.cluster_canaries import PULL, ClusterCanaries, settings
from support.systems.cluster import Cluster
from support.systems.mlflow import MlflowServer


class Kubectl:
    """A cluster that has what it is given."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "audit.log"
        self.log.write_text("")
        self.facts = {"audit_log": str(self.log), "registry_pull": "pull", "registry_push": "push"}
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.said = ""

    def fact(self, name: str) -> str:
        return self.facts[name]

    def apply(self, *objects: dict[str, Any], namespace: str) -> None:
        named = [
            each | {"metadata": each["metadata"] | {"namespace": namespace}} for each in objects
        ]
        self.objects.setdefault(namespace, []).extend(named)

    def kubectl(self, command: str, *_: str) -> str:
        return {"api-resources": "pods\nevents\n", "logs": self.said}[command]

    def get(self, kinds: str, *words: str) -> dict[str, Any]:
        if kinds == "namespaces":
            names = ({"name": name} for name in ("ours-prod", "theirs-prod"))
            return {"items": [{"kind": "Namespace", "metadata": name} for name in names]}
        return {"items": self.objects.get(words[1], [])}


class Tags:
    """An MLflow whose search finds a version with tags."""

    def __init__(self) -> None:
        self.tags: list[dict[str, str]] = []

    def get(self, path: str, **_: Any) -> dict[str, Any]:
        return {"model_versions": [{"tags": self.tags}]} if path.endswith("versions/search") else {}


@pytest.fixture
def canaries(tmp_path: Path) -> Canaries:
    home = tmp_path / "home"
    home.mkdir()
    made = Canaries(home)
    made.plant()
    return made


@pytest.fixture
def there(tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path)


@pytest.fixture
def planted(canaries: Canaries, there: Kubectl) -> ClusterCanaries:
    made = ClusterCanaries(canaries, cast(Cluster, there), "ours", "builds")
    made.plant("ours-prod")
    made.plant_for_builds()
    return made


def test_what_was_planted_is_what_the_settings_name(there, planted):
    named = {name for section in settings("ours").values() for name in section.values()}
    assert {each["metadata"]["name"] for own in there.objects.values() for each in own} == named


def test_secrets_in_their_place_are_no_finding(canaries, planted):
    planted.look(cast(MlflowServer, Tags()), {})
    canaries.check()


def test_a_secret_is_found_with_its_name_and_without_its_value(canaries, there, planted):
    value, mlflow = canaries.value, Tags()
    where = {"namespace": "ours-prod"}
    login = base64.b64encode(f"tests:{value(FETCH)}".encode()).decode()
    noted = {"name": "noted", "annotations": {"last": value(PULL)}}
    there.objects["ours-prod"] += [
        {"kind": "Event", "metadata": where | {"name": "event"}, "message": value(STORE)},
        {"kind": "Secret", "metadata": where | noted, "data": {}},
    ]
    there.objects["builds"].append(
        {"kind": "ConfigMap", "metadata": {"name": "lock"}, "data": {"lock": canaries.index}}
    )
    there.said = f"[pod/a/server] hello\n[pod/a/artifact] Authorization: Basic {login}\n"
    there.log.write_text(json.dumps({"requestURI": f"/x?token={value('Token')}"}))
    mlflow.tags = [{"key": "status", "value": value("WebhookSecret")}]
    planted.look(cast(MlflowServer, mlflow), {})
    with pytest.raises(AssertionError) as error:
        canaries.check()
    said = str(error.value)
    for place in (
        "Event/event in ours-prod", "Secret/noted in ours-prod", "ConfigMap/lock",
        "pod/a/artifact", "audit log", "MLflow's model-versions",
    ):  # fmt: skip
        assert place in said
    assert value(STORE) not in said
