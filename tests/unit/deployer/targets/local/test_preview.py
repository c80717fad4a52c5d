"""What a deployment would change on this machine, read from its files; nothing runs for it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from support.world import World

from deployer.plan.preview import ObjectChange, Preview
from deployer.state.deployment import Deployment, WeightedPredictor
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase, Predictor
from deployer.targets.local import preview as showing
from deployer.targets.local.files import PredictorFiles
from deployer.targets.local.gateway import Gateway


@pytest.fixture
def deployment() -> Deployment:
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle()
    serving = world.record.champion
    assert serving
    return Deployment("angler-prod", "angler", "prod", (WeightedPredictor(serving, 100),))


class Machine:
    """The files of model servers and routes in one folder."""

    def __init__(self, folder: Path) -> None:
        self.files = PredictorFiles(folder / "predictors", "here")
        self.routes = folder / "routes"
        self.gateway = Gateway(self.routes, "http://127.0.0.1:1", "http://127.0.0.1:1")

    def start(self, deployment: Deployment) -> set[str]:
        """Write what the target writes; the names of the replicas that would run then."""
        running = set()
        shares = {}
        for weighted in deployment.predictors:
            predictor = weighted.predictor
            definition = self.files.define(deployment.id, "angler", "prod", predictor)
            for name in self.files.replicas(predictor):
                self.files.configure(definition, name, Path("/model"), Path("/python"))
                running.add(name)
            shares[predictor.name] = (self.files.ports(predictor), weighted.weight)
        self.gateway.route(deployment.id, "angler", "prod", shares)
        return running

    def preview(
        self,
        deployment: Deployment,
        running: Collection[str] = (),
        place: tuple[str, str] = ("", ""),
    ) -> Preview:
        def program(name: str, predictor: Predictor) -> dict[str, object]:
            return {"name": name, "environment": {"API_TOKEN": "hunter2"}}

        return showing.preview(
            deployment, self.files, self.gateway, running, program, lambda _: place
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def shown(found: Collection[ObjectChange]) -> list[tuple[str, str]]:
    return [(str(each.act), each.kind) for each in found]


def test_what_would_be_started_is_shown_masked_with_what_is_not_known_yet(machine, deployment):
    found = machine.preview(deployment)
    assert shown(found.objects) == [
        ("create", "Server"),
        ("create", "Program"),
        ("create", "Route"),
    ]
    assert "hunter2" not in str(found)
    assert [each for each in found.unknown if "ports" in each]
    assert [each for each in found.unknown if "fetched and built" in each]
    fields = {field.path: field.wanted for field in found.objects[0].fields}
    assert fields["model"] == "angler"
    assert fields["python"] == showing.UNKNOWN


def test_once_it_runs_nothing_would_change_and_the_digest_is_the_same(machine, deployment):
    before = machine.preview(deployment)
    running = machine.start(deployment)
    after = machine.preview(deployment, running, ("/model", "/python"))
    assert (after.objects, after.unknown) == ((), ())
    assert after.digest == before.digest


def test_a_server_that_an_earlier_release_started_is_left_alone(machine, deployment):
    running = machine.start(deployment)
    before = machine.preview(deployment, running, ("/model", "/python"))
    [weighted] = deployment.predictors
    file = machine.files.config_file(weighted.predictor.name)
    server = json.loads(file.read_text())
    del server["admin_port"]
    file.write_text(json.dumps(server))
    after = machine.preview(deployment, running, ("/model", "/python"))
    assert (after.objects, after.digest) == ((), before.digest)


def test_servers_in_a_container_are_reached_by_its_name_and_listen_to_its_network(
    tmp_path, deployment
):
    there = Machine(tmp_path)
    there.files = PredictorFiles(tmp_path / "predictors", "here", "0.0.0.0")  # noqa: S104
    there.gateway = Gateway(there.routes, "http://127.0.0.1:1", "http://127.0.0.1:1", "models")
    before = there.preview(deployment)
    running = there.start(deployment)
    [weighted] = deployment.predictors
    name = weighted.predictor.name
    assert there.files.server(name)["host"] == "0.0.0.0"  # noqa: S104
    [port] = there.files.ports(weighted.predictor)
    route = there.gateway.written(deployment.id)
    [server] = route["http"]["services"][name]["loadBalancer"]["servers"]
    assert server == {"url": f"http://models:{port}"}
    after = there.preview(deployment, running, ("/model", "/python"))
    assert (after.objects, after.digest) == ((), before.digest)


def test_another_spec_is_another_digest(machine, deployment):
    [weighted] = deployment.predictors
    bigger = replace(
        weighted.predictor, spec=weighted.predictor.spec.model_copy(update={"max_body": 7})
    )
    other = replace(deployment, predictors=(replace(weighted, predictor=bigger),))
    assert machine.preview(other).digest != machine.preview(deployment).digest


def test_a_route_that_somebody_changed_is_shown_field_by_field(machine, deployment):
    running = machine.start(deployment)
    file = machine.routes / "angler-prod.yaml"
    route = yaml.safe_load(file.read_text())
    route["http"]["services"]["angler-prod"]["weighted"]["services"][0]["weight"] = 1
    file.write_text(yaml.safe_dump(route))
    [change] = machine.preview(deployment, running).objects
    assert (str(change.act), change.kind) == ("update", "Route")
    [field] = change.fields
    assert field.path == "http.services.angler-prod.weighted.services[0].weight"
    assert (field.was, field.wanted) == (1, 100)


def test_what_is_needed_no_more_goes(machine, deployment):
    running = machine.start(deployment)
    found = machine.preview(replace(deployment, predictors=()), running)
    assert shown(found.objects) == [
        ("delete", "Route"),
        ("delete", "Program"),
        ("delete", "Server"),
    ]


def test_the_tree_has_a_process_for_each_replica_and_the_route(deployment):
    [weighted] = deployment.predictors
    name = weighted.predictor.name
    seen = ObservedPredictor(
        weighted.predictor, Phase.UNREADY, 0.0, "LoadError", "no\nvault", live_weight=100,
        replicas=2, replicas_ready=1,
    )  # fmt: skip
    parts = [
        {"name": name, "phase": Phase.READY, "pid": 7, "port": 20001, "reason": "", "message": ""},
        {"name": f"{name}.2", "phase": Phase.FAILED, "pid": None, "port": 20002,
         "reason": "LoadError", "message": "no\nvault"},
    ]  # fmt: skip
    root = showing.tree("angler-prod", Observed({name: seen}, 0.0), {name: parts})
    predictor, route = root.children
    assert (predictor.ready, predictor.problem) == ("1/2", "LoadError: no vault")
    assert [(p.kind, p.status, p.detail) for p in predictor.children] == [
        ("Process", "ready", "pid 7, port 20001"),
        ("Process", "failed", "port 20002"),
    ]
    assert predictor.children[1].problem == "LoadError: no vault"
    assert (route.kind, route.detail) == ("Route", f"{name} 100 %")
