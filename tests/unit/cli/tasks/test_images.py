"""`image list` and `image collect`: what was built, what goes, what came of it."""

from __future__ import annotations

from typing import Any

import pytest

from cli import errors

PATH = "/api/v1/images"
NAMES = ("a1" * 16, "b2" * 16)


def image(name: str, kept: str = "", **fields: Any) -> Any:
    return {
        "name": name,
        "image": f"registry.example/environments@sha256:{'0' * 64}",
        "lock": "c3" * 32,
        "python": "3.11.2",
        "bytes": 286_400_000,
        "made_at": "2026-01-02T03:04:05+00:00",
        "used_at": None,
        "state": "ready",
        "users": [],
        "collectable": not kept,
        "kept": kept,
        **fields,
    }


def places(*images: Any, **fields: Any) -> Any:
    place = {
        "name": "main",
        "where": "registry.example/environments",
        "grace_seconds": 1209600.0,
        "message": "",
        "hint": "",
        "images": list(images),
        "collection": None,
        **fields,
    }
    return {"places": [place]}


def collection(state: str, **fields: Any) -> Any:
    since = "2026-01-02T03:04:05+00:00"
    nothing = {"removed": [], "kept": [], "message": "", "hint": ""}
    return {"state": state, "since": since, **nothing, **fields}


TWO = places(image(NAMES[0], "angler@prod version 7 (serving)"), image(NAMES[1]))


def test_the_list_says_what_each_is_kept_for(schnitzel, deployer):
    deployer.answer("GET", PATH, TWO)
    done = schnitzel("image", "list")
    assert done.code == errors.OK, done.err
    kept, free = done.out.splitlines()[1:]
    assert kept.split()[:5] == ["main", NAMES[0][:12], "3.11.2", "286", "MB"]
    assert kept.endswith("angler@prod version 7 (serving)")
    assert free.endswith("may be collected")
    assert schnitzel("image", "list", "-o", "json").json == TWO


def test_the_list_waits_until_it_is_known_what_is_needed(schnitzel, deployer, steps):
    unsure = places(message="it is not known yet what 2 versions ask for")
    deployer.answer("GET", PATH, steps(unsure, unsure, TWO))
    assert "may be collected" in schnitzel("image", "list").out


def test_a_cluster_that_does_not_answer_is_named(schnitzel, deployer):
    deployer.answer("GET", PATH, places(message="The cluster at x does not answer.", where=""))
    done = schnitzel("image", "list")
    assert "main: The cluster at x does not answer." in done.out


@pytest.mark.parametrize(("arguments", "code"), [(["--dry-run"], errors.OK), ([], errors.USAGE)])
def test_nothing_goes_in_a_dry_run_or_without_a_yes(schnitzel, deployer, arguments, code):
    deployer.answer("GET", PATH, TWO)
    done = schnitzel("image", "collect", *arguments)
    assert done.code == code
    assert not deployer.requests("POST")


def test_exactly_what_was_shown_goes(schnitzel, deployer, steps):
    gone = places(image(NAMES[0], "x"), collection=collection("done", removed=[NAMES[1]]))
    running = places(*TWO["places"][0]["images"], collection=collection("running"))
    deployer.answer("GET", PATH, steps(TWO, running, gone))
    deployer.answer("POST", f"{PATH}/collect", running)
    done = schnitzel("image", "collect", "--yes")
    assert done.code == errors.OK, done.err
    assert deployer.requests("POST")[0]["body"] == {"names": [NAMES[1]]}
    assert "removed: 1" in done.err


def test_a_registry_that_refuses_fails_the_command_with_what_to_do(schnitzel, deployer, steps):
    refused = collection(
        "done", kept=[{"name": NAMES[1], "why": "it does not let images be deleted."}],
        message="The registry does not let images be deleted.", hint="Allow it there.",
    )  # fmt: skip
    deployer.answer(
        "GET", PATH, steps(TWO, places(*TWO["places"][0]["images"], collection=refused))
    )
    deployer.answer("POST", f"{PATH}/collect", TWO)
    done = schnitzel("image", "collect", "--yes")
    assert done.code == errors.FAILED
    assert f"kept {NAMES[1][:12]}: it does not let" in done.err
    assert "hint: Allow it there." in done.err


def test_where_nothing_may_go_nothing_is_asked(schnitzel, deployer):
    deployer.answer("GET", PATH, places(image(NAMES[0], "angler@prod version 7 (serving)")))
    done = schnitzel("image", "collect")
    assert done.code == errors.OK
    assert "nothing may be collected" in done.err
