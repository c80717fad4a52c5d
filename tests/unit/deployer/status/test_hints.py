"""Next steps can be pasted into a shell, whatever a model is called."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.world import POLICY, World

from deployer.errors import UnsafePlan
from deployer.plan import plan
from deployer.state.deployment import Wanted
from deployer.state.observed import Observed, ObservedPredictor
from deployer.state.predictor import Phase
from deployer.state.record import Failure, Pause
from deployer.status import verdict
from deployer.targets.kubernetes.observe.predictor import Seen, observe

NAMES = ("fraud score", "it's", "a$(b)", "-dash")


@pytest.fixture(params=NAMES)
def world(request: pytest.FixtureRequest) -> World:
    """A deployment that serves version 1, of a model whose name a shell would take apart."""
    found = World()
    found.registry.stage(found.registry.add(), "Production")
    found.list_registry()
    found.settle()
    serving = found.record.champion
    assert serving
    version = replace(serving.version, model=request.param)
    renamed = replace(found.record, model=request.param)
    found.record = renamed.with_champion(replace(serving, version=version))
    return found


def commands(text: str) -> list[list[str]]:
    """The commands that a hint names, as a shell would take them apart."""
    return [shlex.split(found.rstrip(".")) for found in re.split(r"(?=\bschnitzel )", text)[1:]]


def placed(form: list[str], model: str) -> list[str]:
    """A command with the model's name in its place, or at the end if it looks like a flag."""
    words = [word.format(model) for word in form]
    if not model.startswith("-"):
        return words
    named = next(word for word in words if word.startswith(model))
    return [*(word for word in words if word != named), "--", named]


def hint_of(world: World, wanted: Wanted, **seen: object) -> str:
    serving = world.record.champion
    assert serving
    observed = {serving.name: replace(ObservedPredictor(serving, Phase.READY, 0.0), **seen)}
    return verdict.judge(world.record, wanted, Observed(observed, 0.0), "").next_step


def failed(world: World) -> str:
    serving = world.record.champion
    assert serving
    newer = replace(serving, digest="another", version=replace(serving.version, number=2))
    failure = Failure("LoadError", "it broke", "", 0.0, retry_at=9.0)
    world.record = replace(world.record, failures={"another": failure})
    return hint_of(world, Wanted(newer, newer.version))


def paused(world: World) -> str:
    world.record = replace(world.record, pause=Pause("ada", 0.0, ""))
    return hint_of(world, Wanted(None))


def serving(world: World) -> Wanted:
    champion = world.record.champion
    assert champion
    return Wanted(champion, champion.version)


def too_many(world: World) -> str:
    with pytest.raises(UnsafePlan) as caught:
        plan.raise_if_unsafe(world.record, plan.Retirements(9, 9), POLICY)
    return caught.value.hint


CASES: dict[str, tuple[Callable[[World], str], list[list[str]]]] = {
    "nothing promoted": (
        lambda w: hint_of(w, Wanted(None)),
        [["model", "promote", "{}@VERSION", "--to", "prod"]],
    ),
    "not ready": (
        lambda w: hint_of(w, serving(w), phase=Phase.UNREADY),
        [["deploy", "logs", "{}", "-e", "prod"]],
    ),
    "failed": (
        failed,
        [
            ["deploy", "logs", "{}", "-e", "prod"],
            ["deploy", "apply", "{}", "-e", "prod", "--retry"],
        ],
    ),
    "paused": (paused, [["deploy", "resume", "{}", "-e", "prod"]]),
    "too many": (too_many, [["deploy", "apply", "{}", "-e", "prod", "--allow-retire"]]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_next_step_names_the_model_so_that_it_can_be_pasted(world: World, case: str):
    hint, expected = CASES[case]
    told = hint(world)
    named = [placed(form, world.record.model) for form in expected]
    found = [words[1 : 1 + len(form)] for words, form in zip(commands(told), named, strict=True)]
    assert [[w.rstrip(".") for w in words] for words in found] == named


def test_what_a_crashed_pod_says_shows_its_log(world: World):
    predictor = world.record.champion
    assert predictor
    notes = {"schnitzel.dev/environment": "prod"}
    deployment = {"metadata": {"name": "d", "namespace": "prod", "annotations": notes},
                  "spec": {"replicas": 1}}  # fmt: skip
    ended = {"exitCode": 1, "reason": "Error", "message": "", "finishedAt": "2026-01-01T00:00:00Z"}
    state = {"name": "server", "ready": False, "restartCount": 5,
             "state": {"waiting": {"reason": "CrashLoopBackOff"}},
             "lastState": {"terminated": ended}}  # fmt: skip
    pod = {"metadata": {"name": "p", "namespace": "prod"}, "spec": {},
           "status": {"phase": "Running", "containerStatuses": [state]}}  # fmt: skip
    seen = observe(predictor, Seen(deployment, [pod]), 1.0)
    [words] = commands(seen.hint)
    expected = placed(["schnitzel", "deploy", "logs", "{}", "-e", "prod"], world.record.model)
    assert words[: len(expected)] == expected
