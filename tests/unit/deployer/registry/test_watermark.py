"""What the registry's polls and listings see of a registry that changes while they read it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st
from support.mlflow_searches import SimulatedMlflow, stages

from deployer.errors import RegistryMalformed, RegistryUnreachable
from deployer.registry import snapshot
from deployer.registry.snapshot import OVERLAP_MS, Registry

PAGE = 3


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    monkeypatch.setattr(snapshot, "PAGE", PAGE)
    monkeypatch.setattr(snapshot, "POLL_ROWS", PAGE)


@pytest.fixture
def mlflow():
    return SimulatedMlflow()


@pytest.fixture
def registry(mlflow):
    for number in range(1, 6):
        mlflow.commit("angler", number)
    read = Registry(mlflow, lambda: None)
    read.list_all(1.0)
    mlflow.now += 60_000
    return read


def truth(mlflow: SimulatedMlflow) -> dict[tuple[str, int], str]:
    return {key: row.stage for key, row in mlflow.rows.items()}


def once(change: Callable[[], object], after: int = 1) -> Callable[[], None]:
    """Change something after so many pages, and only once."""
    pages = iter(range(1, 1000))

    def between() -> None:
        if next(pages) == after:
            change()

    return between


def test_ties_beyond_a_page_are_all_seen_and_nothing_older_is_read(registry, mlflow):
    for number in range(6, 6 + 3 * PAGE + 1):
        mlflow.commit("angler", number, "Production")
    assert registry.poll() == {"angler"}
    assert stages(registry) == truth(mlflow)
    mlflow.commit("angler", 1, "Production")  # at the same millisecond as those that were seen
    mlflow.pages_read = 0
    assert registry.poll() == {"angler"}
    assert stages(registry)["angler", 1] == "Production"
    assert mlflow.pages_read == 4
    assert registry.poll() == set()


def test_a_poll_of_a_quiet_registry_reads_one_page(registry, mlflow):
    mlflow.commit("angler", 1, "Production")
    registry.poll()
    mlflow.now += 60_000
    mlflow.commit("angler", 2, "Production")
    registry.poll()
    mlflow.pages_read = 0
    assert registry.poll() == set()
    assert mlflow.pages_read == 1


def test_a_late_commit_within_the_overlap_is_polled_and_one_before_it_only_listed(registry, mlflow):
    mlflow.commit("angler", 1, "Production")
    registry.poll()
    mlflow.commit("angler", 2, "Production", late=OVERLAP_MS)
    assert registry.poll() == {"angler"}
    mlflow.commit("angler", 3, "Production", late=OVERLAP_MS + 1)
    assert registry.poll() == set()
    assert registry.list_all(2.0) == {"angler"}
    assert stages(registry) == truth(mlflow)


def test_what_moves_to_the_top_between_the_pages_of_a_poll_is_seen_by_the_next(registry, mlflow):
    for number in range(6, 12):
        mlflow.commit("angler", number, "Staging")
    mlflow.between = once(lambda: mlflow.commit("angler", 11, "Production"))
    registry.poll()
    registry.poll()
    assert stages(registry) == truth(mlflow)


def test_what_slips_over_a_page_as_another_goes_is_seen_by_the_next_poll(registry, mlflow):
    for number in range(6, 12):
        mlflow.commit("angler", number, "Production")
    mlflow.between = once(lambda: mlflow.rows.pop(("angler", 6)))
    registry.poll()
    registry.poll()
    assert {k: v for k, v in stages(registry).items() if k != ("angler", 6)} == truth(mlflow)


@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.parametrize("page", [1, 2, 3])
def test_what_is_promoted_while_a_long_listing_is_read_is_polled_after_it(
    registry, mlflow, page, number
):
    """The listing takes longer than the overlap, and sees what another did at its very end."""

    def promote() -> None:
        mlflow.commit("angler", number, "Production")
        mlflow.now += 2 * OVERLAP_MS
        mlflow.commit("other", 1)

    mlflow.between = once(promote, after=page)
    registry.list_all(2.0)
    assert ("angler", number) in stages(registry), "it is lacking, and yet it was there throughout"
    registry.poll()
    assert stages(registry) == truth(mlflow)


def test_a_hint_about_one_model_does_not_hide_what_another_did_before(registry, mlflow):
    mlflow.commit("angler", 1, "Production")
    mlflow.now += 2 * OVERLAP_MS
    mlflow.commit("other", 1, "Production")
    assert registry.refresh("other") == {"other"}
    assert registry.poll() == {"angler"}


def test_a_poll_that_breaks_between_its_pages_adopts_nothing_and_the_next_sees_all(
    registry, mlflow
):
    for number in range(6, 12):
        mlflow.commit("angler", number, "Production")
    before = registry.snapshot

    def broken() -> None:
        raise RegistryUnreachable("MLflow does not answer.")

    for look in (registry.poll, lambda: registry.list_all(2.0)):
        mlflow.between = once(broken, after=2)
        with pytest.raises(RegistryUnreachable):
            look()
        assert registry.snapshot is before
    mlflow.between = lambda: None
    assert registry.poll() == {"angler"}
    assert stages(registry) == truth(mlflow)


def test_a_listing_whose_pages_go_round_is_refused(registry, mlflow, monkeypatch):
    mlflow.commit("angler", 6, "Production")
    before, get = registry.snapshot, mlflow.get
    monkeypatch.setattr(mlflow, "get", lambda *a, **k: get(*a, **k) | {"next_page_token": "0"})
    for look in (registry.poll, lambda: registry.list_all(2.0)):
        with pytest.raises(RegistryMalformed, match="repeats a page"):
            look()
    assert registry.snapshot is before


COMMITS = st.tuples(
    st.integers(0, 5_000),  # milliseconds since the one before
    st.sampled_from(["angler", "other"]),
    st.integers(1, 6),
    st.sampled_from(["None", "Production", "Archived"]),
    st.integers(0, OVERLAP_MS),  # late
)
LOOKS = st.sampled_from(["poll", "list", "look"])
TURNS = st.lists(
    st.tuples(st.lists(COMMITS, max_size=5), LOOKS, st.lists(COMMITS, max_size=2)), max_size=8
)


@settings(max_examples=100)
@given(TURNS)
def test_a_poll_has_seen_every_commit_that_was_late_by_no_more_than_the_overlap(turns):
    mlflow = SimulatedMlflow()
    registry = Registry(mlflow, lambda: None)

    def commit(passed: int, name: str, number: int, stage: str, late: int) -> None:
        mlflow.now += passed
        known = mlflow.rows.get((name, number))
        late = min(late, mlflow.now - known.updated) if known else late  # its own never goes back
        mlflow.commit(name, number, stage, late)

    registry.list_all(1.0)
    for before, look, meanwhile in turns:
        for one in before:
            commit(*one)
        mlflow.between = once(lambda changes=meanwhile: [commit(*one) for one in changes])
        {"poll": registry.poll, "list": lambda: registry.list_all(2.0)}.get(
            look, lambda: registry.refresh("other")
        )()
        mlflow.between = lambda: None
        registry.poll()
        assert stages(registry) == truth(mlflow)
