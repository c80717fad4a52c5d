"""What a build's Job leaves behind, as a deployment's failure."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.kubernetes.build_place import PLACE

from deployer.targets.kubernetes.images.results import failure, pending, termination_message

ROOT = Path(__file__).parents[6]
BUILDS = [path for path in ROOT.glob("images/environment-builder/*.py") if path.stem != "remove"]
ONLY_OF_REMOVALS = {"DeletionUnsupported"}


def reasons() -> set[str]:
    """Every reason that is written out in the builder."""
    calls = (node for path in BUILDS for node in ast.walk(ast.parse(path.read_text())))
    return {
        str(call.args[0].value)
        for call in calls
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", "") == "Failed"
        and isinstance(call.args[0], ast.Constant)
    } - ONLY_OF_REMOVALS


def pod(code: int, **said: str) -> dict[str, Any]:
    ended = {"exitCode": code, "message": json.dumps(said)}
    return {"status": {"containerStatuses": [{"state": {"terminated": ended}}]}}


@pytest.mark.parametrize("reason", sorted(reasons()))
@pytest.mark.parametrize(("code", "transient"), [(1, False), (75, True)])
def test_a_build_that_failed_is_told_in_the_builders_own_words(reason, code, transient):
    told = failure({}, pod(code, reason=reason, message="So it is.", hint="Do this."), PLACE)
    assert (told.reason, told.message, told.hint) == (reason, "So it is.", "Do this.")
    assert told.transient is transient


@pytest.mark.parametrize(("code", "transient"), [(1, False), (75, True)])
def test_wheels_that_could_not_be_fetched_are_why_a_build_failed(code, transient):
    said = {"reason": "ArtifactUnreachable", "message": "No answer.", "hint": "Wait."}
    before = {"state": {"terminated": {"exitCode": code, "message": json.dumps(said)}}}
    builder = {"state": {"waiting": {"reason": "PodInitializing"}}}
    ended = {"initContainerStatuses": [before], "containerStatuses": [builder]}
    told = failure({}, {"status": ended}, PLACE)
    assert (told.reason, told.message, told.hint) == tuple(said.values())
    assert told.transient is transient


def test_the_last_word_is_the_builders_once_the_wheels_are_there():
    fetched = {"state": {"terminated": {"exitCode": 0, "message": '{"wheels": 1}'}}}
    made = pod(0, image="r.example/envs@sha256:1")
    made["status"]["initContainerStatuses"] = [fetched]
    assert termination_message(made) == {"image": "r.example/envs@sha256:1"}


def test_a_build_that_still_fetches_wheels_says_so():
    running = {"status": {"initContainerStatuses": [{"state": {"running": {}}}]}}
    assert "wheels" in pending(running)
    assert "wheels" not in pending({"status": {}})


@pytest.mark.parametrize("reason", ["RegistryUnreachable", "Nonsense", "annotations"])
def test_a_word_that_no_build_says_is_no_reason(reason):
    assert failure({}, pod(1, reason=reason), PLACE).reason == "EnvironmentUnbuildable"


def test_the_guide_has_every_reason_of_a_build_and_no_other():
    guide = (ROOT / "docs/guides/images.md").read_text()
    section = guide.partition("### When a build fails\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == reasons()
