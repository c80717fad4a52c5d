"""What supervisord, a model server's state file and its replicas amount to."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.world import World

from deployer.spec.model import ServingSpec
from deployer.state.predictor import ExampleAnswer, Phase
from deployer.targets.local.files import PredictorFiles
from deployer.targets.local.observe import complete, observe_server, together
from deployer.targets.local.preparation import LocalPrepared
from stack.supervision.supervisor import Process

NOW = 1000.0
PORTS = ("port", "admin_port")


@pytest.fixture(scope="module")
def predictor():
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle()
    return world.record.champion


def process(state="RUNNING", pid=7):
    return Process("m", state, pid, NOW - 10 if pid else None, None, "pid 7, uptime 0:00:10")


def failed(**state):
    return {"phase": "failed", "pid": 7, "at": NOW, "message": "it ended", **state}


@pytest.mark.parametrize(
    ("state", "transient"),
    [
        ({"reason": "OutOfMemory"}, True),
        ({"reason": "OutOfMemory", "traceback_id": "t1"}, True),
        ({"reason": "CrashLoop"}, True),
        ({"reason": "LoadError", "traceback_id": None}, True),
        ({"reason": "LoadError", "traceback_id": "t1"}, False),
    ],
)
def test_only_what_the_machine_may_have_caused_is_tried_again(predictor, state, transient):
    ended = process("EXITED", None)
    seen = observe_server(predictor, ended, failed(**state), None, NOW)
    assert seen["phase"] is Phase.FAILED
    assert seen["transient"] is transient


def test_a_server_that_never_comes_up_may_come_up_later(predictor):
    seen = observe_server(predictor, process("FATAL", None), {}, None, NOW)
    assert (seen["phase"], seen["reason"], seen["transient"]) == (Phase.FAILED, "CrashLoop", True)


def test_a_prepared_predictor_without_a_process_has_yet_to_be_started(predictor):
    """Else a start that failed once would never be tried again."""
    prepared = LocalPrepared(Phase.READY, NOW)
    assert observe_server(predictor, None, {}, prepared, NOW)["phase"] is Phase.ABSENT


def replica(phase, since=NOW, **fields):
    return {"phase": phase, "since": since, "reason": "", "message": "", "pid": 1, **fields}


def test_a_predictor_is_ready_when_all_its_replicas_are():
    ready = replica(Phase.READY, NOW - 5)
    seen = together([ready, replica(Phase.STARTING, NOW - 9, pid=2)])
    assert (seen["phase"], seen["replicas"], seen["replicas_ready"]) == (Phase.STARTING, 2, 1)
    assert seen["message"] == "1 of 2 replicas are ready"
    assert seen["pid"] == 1
    both = together([ready, replica(Phase.READY, NOW)])
    assert (both["phase"], both["since"], both["replicas_ready"]) == (Phase.READY, NOW, 2)
    assert both["message"] == ""


def test_the_replica_furthest_behind_gives_the_reason():
    broken = replica(Phase.FAILED, reason="OutOfMemory", message="too much", transient=True)
    seen = together([replica(Phase.READY), replica(Phase.STARTING), broken])
    assert (seen["phase"], seen["reason"], seen["transient"]) == (Phase.FAILED, "OutOfMemory", True)
    assert seen["message"] == "1 of 3 replicas are ready: too much"


def test_a_single_replica_speaks_for_itself(predictor):
    alone = {"predictor": predictor, **replica(Phase.STARTING, message="loading")}
    seen = complete(together([alone]), 0, 20001, ExampleAnswer())
    assert (seen.message, seen.replicas, seen.replicas_ready) == ("loading", 1, 0)


def with_spec(predictor, **spec):
    whole = predictor.spec.model_dump(mode="json") | spec
    return replace(predictor, spec=ServingSpec.model_validate(whole))


def test_each_replica_has_a_name_a_port_and_files_of_its_own(tmp_path, predictor):
    many = with_spec(predictor, replicas=3)
    files = PredictorFiles(tmp_path, "here")
    names = files.replicas(many)
    assert names == [many.name, f"{many.name}.2", f"{many.name}.3"]
    assert len(files.replicas(with_spec(predictor, autoscaling={"min": 2, "max": 9}))) == 2
    definition = files.define("angler-prod", "angler", "prod", many)
    written = {files.configure(definition, name, tmp_path, tmp_path) for name in names}
    ports = files.ports(many)
    assert len(written) == len(set(ports)) == 3
    assert {files.server(name)["state_file"] for name in names} == {
        str(tmp_path / many.name / name) for name in ("state.json", "state.2.json", "state.3.json")
    }
    files.configure(definition, names[1], tmp_path, tmp_path)
    assert files.ports(many) == ports, "a replica keeps its port"
    assert PredictorFiles(tmp_path, "here").all() == [definition]


def test_each_replica_has_an_admin_port_beside_its_port(tmp_path, predictor):
    many = with_spec(predictor, replicas=3)
    files = PredictorFiles(tmp_path, "here")
    names = files.replicas(many)
    definition = files.define("angler-prod", "angler", "prod", many)

    def admin_ports():
        return [files.server(name)["admin_port"] for name in names]

    for name in names:
        files.configure(definition, name, tmp_path, tmp_path)
    before = admin_ports()
    assert len({*before, *files.ports(many)}) == 6
    for name in reversed(names):
        files.configure(definition, name, tmp_path, tmp_path)
    assert admin_ports() == before, "it keeps that, too"


def test_a_replica_that_an_earlier_release_started_gets_an_admin_port_with_its_next_start(
    tmp_path, predictor
):
    files = PredictorFiles(tmp_path, "here")
    definition = files.define("angler-prod", "angler", "prod", predictor)
    file = files.configure(definition, predictor.name, tmp_path, tmp_path)
    server = files.server(predictor.name)
    file.write_text(json.dumps({k: v for k, v in server.items() if k != "admin_port"}))
    [port] = files.ports(predictor)
    other = files.define("other-prod", "other", "prod", replace(predictor, name="other"))
    files.configure(other, "other", tmp_path, tmp_path)
    assert port not in (files.server("other")["port"], files.server("other")["admin_port"])
    files.configure(definition, predictor.name, tmp_path, tmp_path)
    assert files.ports(predictor) == [port]
    found = [files.server(name)[kind] for name in (predictor.name, "other") for kind in PORTS]
    assert len(set(found)) == 4
