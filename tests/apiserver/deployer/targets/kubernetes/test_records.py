"""Records as ModelDeployments: what they hold, and how they are kept on a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from support.faults.api_proxy import ApiProxy, lose
from support.kubernetes.drawn_records import RECORDS, SERVED, told
from support.run.wait import wait_for

from deployer.errors import DeletedByHand
from deployer.state.record import Failure
from deployer.store.records import Records
from deployer.store.sqlite import Database
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import Conflict, ForeignObject, Unavailable
from deployer.targets.kubernetes.records import crd
from deployer.targets.kubernetes.records.deletions import DeletionLedger
from deployer.targets.kubernetes.records.records import ClusterRecords

KINDS = (kinds.MODEL_DEPLOYMENT,)


@pytest.fixture
def cache(client: Client, namespace: str) -> Iterator[Cache]:
    records: list[ClusterRecords] = []
    found = Cache(
        client,
        "p1",
        [namespace],
        KINDS,
        deleted=lambda live, by_us: [r.note_deleted(live, by_us) for r in records],
    )
    found.start()
    assert found.wait(30)
    found.records = records  # type: ignore[attr-defined]
    yield found
    found.close(10)


@pytest.fixture
def records(client: Client, cache: Cache, namespace: str) -> ClusterRecords:
    made = ClusterRecords(client, cache, lambda _environment, _model: namespace)
    cache.records.append(made)  # type: ignore[attr-defined]
    return made


class TestOnACluster:
    def test_a_record_outlives_the_deployer(self, client, cache, records, namespace):
        assert records.load("angler-prod") is None
        records.save(SERVED)
        assert records.load("angler-prod") == SERVED
        assert records.all() == [SERVED]
        again = ClusterRecords(client, cache, lambda *_: namespace)
        assert again.load("angler-prod") == SERVED

    @settings(
        max_examples=20,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    @given(record=RECORDS)
    def test_any_record_comes_back_from_the_api_server_as_it_was(
        self, client, cache, namespace, record
    ):
        writer = ClusterRecords(client, cache, lambda *_: namespace)
        record = replace(record, model="angler")  # an object's model never changes
        writer.save(record)
        reader = ClusterRecords(client, cache, lambda *_: namespace)
        assert reader.load(record.id) == record

    def test_only_a_change_is_written(self, proxy: ApiProxy, proxied, cache, namespace):
        mine = ClusterRecords(proxied, cache, lambda *_: namespace)
        mine.save(SERVED)
        mine.save(SERVED)
        assert [method for method, _ in proxy.writes()] == ["POST"]
        changed = replace(SERVED, allow_retire=True, failures={"x": Failure("A", "b", "c", 1.0)})
        mine.save(changed)
        mine.save(changed)
        mine.save(replace(changed, failures={}))
        assert mine.load("angler-prod") == replace(changed, failures={})
        assert [method for method, _ in proxy.writes()] == ["POST", "PATCH", "PATCH"]

    def test_a_record_that_somebody_else_wrote_meanwhile_is_not_overwritten(
        self, client, proxy: ApiProxy, proxied, records, namespace
    ):
        records.save(SERVED)
        stale = Cache(proxied, "p1", [namespace], KINDS)
        stale.start()
        assert stale.wait(30)
        proxy.down = True
        proxy.cut()
        records.save(replace(SERVED, note="the other Deployer's"))
        late = ClusterRecords(client, stale, lambda *_: namespace)
        with pytest.raises(Conflict):
            late.save(replace(SERVED, note="mine"))
        with pytest.raises(Conflict):
            late.publish(told(), "1/1", 1.0)
        assert (
            crd.record_of(client.get(kinds.MODEL_DEPLOYMENT, namespace, "angler-prod")).note
            == "the other Deployer's"
        )
        stale.close(10)

    def test_an_answer_that_is_lost_leaves_one_record_that_the_next_pass_finds(
        self, proxy: ApiProxy, proxied, cache, namespace
    ):
        mine = ClusterRecords(proxied, cache, lambda *_: namespace)
        proxy.once(lose, method="POST")
        with pytest.raises(Conflict):
            mine.save(SERVED)
        assert wait_for(lambda: mine.load("angler-prod"), "the record") == SERVED
        mine.save(SERVED)

    def test_another_platforms_object_is_left_alone(self, client, records, namespace):
        theirs = client.create(crd.manifest(SERVED, "p2", namespace))
        with pytest.raises(ForeignObject, match="another platform"):
            records.save(replace(SERVED, note="mine"))
        assert client.get(kinds.MODEL_DEPLOYMENT, namespace, "angler-prod") == theirs

    def test_what_somebody_deleted_is_made_again_only_when_a_person_allows_it(
        self, real, records, namespace
    ):
        records.save(SERVED)
        real.kubectl("delete", "modeldeployment", "angler-prod", "-n", namespace)
        wait_for(lambda: records.object("angler-prod") is None, "the deletion to be seen")
        assert records.load("angler-prod") is None
        with pytest.raises(DeletedByHand, match="was deleted by hand") as caught:
            records.save(SERVED)
        assert "schnitzel deploy apply angler -e prod" in caught.value.hint
        records.allow("angler-prod")
        records.save(SERVED)
        assert records.load("angler-prod") == SERVED

    def test_what_was_deleted_while_no_deployer_ran_is_asked_about_too(
        self, real, client, namespace, tmp_path
    ):
        database = Database(tmp_path / "deployer.db")

        def started() -> tuple[Cache, ClusterRecords]:
            seen = Cache(client, "p1", [namespace], KINDS)
            seen.start()
            assert seen.wait(30)
            ledger = DeletionLedger("tests", Records(database))
            return seen, ClusterRecords(client, seen, lambda *_: namespace, ledger)

        def delete(*names: str) -> None:
            real.kubectl("delete", "modeldeployment", "-n", namespace, *names)

        retired = replace(SERVED, id="retired-prod", draining=()).with_champion(None)
        seen, first = started()
        for record in (SERVED, replace(SERVED, id="other-prod"), retired):
            first.save(record)
        seen.close(10)
        delete("angler-prod", "retired-prod")
        seen, second = started()
        first.raise_if_deleted(retired)
        with pytest.raises(DeletedByHand, match="angler-prod was deleted by hand"):
            second.raise_if_deleted(SERVED)
        seen.close(10)
        delete("other-prod")
        seen, third = started()
        with pytest.raises(DeletedByHand, match="None of the 2 ModelDeployments"):
            third.raise_if_deleted(SERVED)
        third.allow("angler-prod")
        third.save(SERVED)
        seen.close(10)
        seen, fourth = started()
        assert fourth.all() == [SERVED]
        with pytest.raises(DeletedByHand, match="other-prod was deleted by hand"):
            fourth.save(replace(SERVED, id="other-prod"))
        seen.close(10)
        database.close()

    def test_its_status_is_shown_and_written_on_change_alone(
        self, real, proxy: ApiProxy, proxied, cache, namespace
    ):
        mine = ClusterRecords(proxied, cache, lambda *_: namespace)
        assert not mine.publish(told(), "1/1", 1.0)
        mine.save(SERVED)
        assert mine.publish(told(), "1/1", 1.0)
        assert not mine.publish(told(), "1/1", 2.0)
        assert len(proxy.writes()) == 2
        shown = real.kubectl("get", "md", "-n", namespace, "--no-headers").split()
        assert shown[:7] == [
            "angler-prod",
            "prod",
            "1",
            "1",
            "1/1",
            "Ready",
            "http://models.example/prod/angler/",
        ]
        assert mine.load("angler-prod") == SERVED

    def test_an_event_is_shown_with_it_and_comes_once(
        self, real, proxy: ApiProxy, proxied, cache, namespace, now
    ):
        mine = ClusterRecords(proxied, cache, lambda *_: namespace)
        mine.save(SERVED)
        proxy.once(lose, method="POST", path="/events")
        mine.emit_event("angler-prod", "CrashLoop", "It crashed.", now, warning=True)
        shown = real.kubectl("describe", "md", "angler-prod", "-n", namespace)
        assert shown.count("It crashed.") == 1
        assert "Warning" in shown
        mine.emit_event("nowhere-prod", "CrashLoop", "It crashed.", now, warning=True)

    def test_what_is_not_known_is_not_taken_for_no_record(self, client, namespace):
        cache = Cache(client, "p1", [namespace], KINDS)
        fresh = ClusterRecords(client, cache, lambda *_: namespace)
        for look in (fresh.all, lambda: fresh.load("angler-prod"), lambda: fresh.save(SERVED)):
            with pytest.raises(Unavailable):
                look()

    def test_deleting_a_deployments_object_lets_the_garbage_collector_take_the_rest(self, records):
        records.save(SERVED)
        live = records.object("angler-prod")
        assert live
        reference = crd.owner_reference(live.key.name, live.uid)
        assert reference["uid"] == live.uid
        assert reference["controller"] is True
