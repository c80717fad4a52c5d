"""What is ours on a real API server, known without asking it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from support.faults.api_proxy import ApiProxy, drop, status
from support.faults.proxy import reply
from support.run.ports import free_port
from support.run.wait import wait_for

from deployer.state.record import Record
from deployer.targets.kubernetes.cache.cache import Cache
from deployer.targets.kubernetes.cache.objects import LiveObject, Packer
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import Missing, Unavailable
from deployer.targets.kubernetes.client.session import ClusterAccess, Session
from deployer.targets.kubernetes.records import crd

UNSTREAMED = (
    status(
        422,
        "Invalid",
        "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the"
        " WatchList feature gate is enabled",
    ),
    status(
        500,
        "InternalError",
        "a watch stream was requested by the client but the required storage feature"
        " RequestWatchProgress is disabled",
    ),
)
"""What API server 1.34 answers with the feature off, and what it answers with etcd 3.4.23."""
KINDS = (kinds.CONFIG_MAP, kinds.MODEL_DEPLOYMENT)


def config_map(namespace: str, name: str = "one", platform: str = "p1", **data: str) -> dict:
    labels = {"schnitzel.dev/platform": platform, "schnitzel.dev/deployment": "angler-prod"}
    meta = {"namespace": namespace, "name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def problems(cache: Cache) -> list[Exception]:
    """The errors of the kinds that cannot be watched now."""
    return [informer.problem for informer in cache._informers.values() if informer.problem]


class Listener:
    """A cache, and its notifications."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.changed: list[str] = []
        self.deleted: list[tuple[str, bool]] = []
        self.cache = Cache(
            client, "p1", [namespace], KINDS, changed=self.changed.append, deleted=self._deleted
        )
        self._namespace = namespace

    def _deleted(self, live: LiveObject, by_us: bool) -> None:
        self.deleted.append((live.key.name, by_us))

    def names(self) -> set[str]:
        return {obj.key.name for obj in self.cache.of(self._namespace, "angler-prod")}

    def data(self, name: str = "one") -> dict | None:
        there = self.cache.of(self._namespace, "angler-prod")
        live = [obj for obj in there if obj.kind == kinds.CONFIG_MAP and obj.key.name == name]
        return live[0].object().get("data") if live else None


@pytest.fixture
def listen(namespace: str) -> Iterator[Callable[[Client], Listener]]:
    made: list[Listener] = []

    def listener(client: Client) -> Listener:
        made.append(Listener(client, namespace))
        return made[-1]

    yield listener
    for one in made:
        one.cache.close(10)


def test_before_anything_is_known_nothing_is_said_to_be_there(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    path = tmp_path / "kubeconfig"
    path.write_text(
        "{apiVersion: v1, kind: Config, current-context: x, users: [{name: x, user: {}}],"
        f" clusters: [{{name: x, cluster: {{server: '{url}'}}}}],"
        " contexts: [{name: x, context: {cluster: x, user: x}}]}"
    )
    cache = Cache(Client(Session(ClusterAccess(path))), "p1", ["prod"], KINDS)
    for look in (
        lambda: cache.of("prod", "angler-prod"),
        lambda: cache.all(kinds.CONFIG_MAP),
        lambda: cache.find(kinds.MODEL_DEPLOYMENT, "angler-prod"),
        cache.deployments,
    ):
        with pytest.raises(Unavailable, match="still being listed"):
            look()
    with pytest.raises(Unavailable, match="not watched"):
        cache.of("elsewhere", "angler-prod")
    cache.start()
    wait_for(lambda: len(problems(cache)) == 2, "both problems")
    with pytest.raises(Unavailable, match="does not answer"):
        cache.of("prod", "angler-prod")
    cache.close(10)


def break_off(proxy, seen) -> None:
    """Let no request through any more; a watch that is just beginning is broken off as well."""
    proxy.down = True

    def both() -> bool:
        proxy.cut()
        return len(problems(seen.cache)) == 2

    wait_for(both, "both watches to break off")


def deployment(namespace: str) -> dict:
    made = config_map(namespace)
    container = {"name": "server", "image": "registry.example/server:1", "args": ["b", "a"]}
    pod = {"metadata": {"labels": {"b": "2", "a": "1"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"a": "1"}}, "replicas": 0, "template": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": made["metadata"],
        "spec": spec,
    }


def model_deployment(namespace: str) -> dict:
    return crd.manifest(Record("angler-prod", "angler", "prod"), "p1", namespace)


class TestOnACluster:
    @pytest.mark.parametrize("make", [config_map, deployment, model_deployment])
    def test_every_way_to_see_an_object_gives_one_fingerprint(self, client, namespace, make):
        """So that our own write, seen again in a listing or a watch, is no change."""
        kind = kinds.kind_of(make(namespace))
        before = [page.resource_version for page in client.pages(kind, namespace)][-1]
        made = client.create(make(namespace))
        name = made["metadata"]["name"]
        applied = client.server_side_apply(make(namespace))
        [listed] = [o for o in client.list(kind, namespace) if o["metadata"]["name"] == name]
        stream = client.watch(kind, namespace, before, seconds=5)
        watched = next(obj for event, obj in stream.events() if event == "ADDED")
        stream.close()
        ways = (made, applied, client.get(kind, namespace, name), listed, watched)
        for each in ways:  # the Deployment's controller notes its revision meanwhile
            each["metadata"].pop("annotations", None)
        assert len({Packer(kind).pack(each).fingerprint for each in ways}) == 1

    def test_what_is_there_comes_changes_and_goes(self, client, namespace, listen):
        client.create(config_map(namespace, "before", a="1"))
        client.create(config_map(namespace, "theirs", platform="p2"))
        seen = listen(client)
        seen.cache.start()
        assert seen.cache.wait(30)
        assert seen.names() == {"before"}
        made = client.create(config_map(namespace, a="1"))
        wait_for(lambda: seen.names() == {"before", "one"}, "the new one")
        assert seen.data() == {"a": "1"}
        client.server_side_apply(config_map(namespace, a="2"))
        wait_for(lambda: seen.data() == {"a": "2"}, "the change")
        assert seen.cache.deployments() == {"angler-prod"}
        wait_for(lambda: seen.changed == ["angler-prod"] * 3, "word of all three")
        seen.changed.clear()
        client.delete(kinds.CONFIG_MAP, namespace, "one", uid=made["metadata"]["uid"])
        wait_for(lambda: seen.names() == {"before"}, "the end")
        wait_for(lambda: seen.changed == ["angler-prod"], "word of it")
        assert seen.deleted == [("one", False)]

    def test_what_we_delete_is_known_to_be_our_doing(self, client, namespace, listen):
        seen = listen(client)
        seen.cache.start()
        assert seen.cache.wait(30)
        uid = client.create(config_map(namespace))["metadata"]["uid"]
        wait_for(seen.names, "the object")
        seen.cache.mark_deleting(uid)
        client.delete(kinds.CONFIG_MAP, namespace, "one", uid=uid)
        wait_for(lambda: seen.deleted == [("one", True)], "word of it")

    def test_our_own_write_is_known_at_once_and_an_older_sight_does_not_undo_it(
        self, proxy: ApiProxy, proxied: Client, client: Client, namespace, listen
    ):
        old = client.create(config_map(namespace, a="1"))
        seen = listen(proxied)
        seen.cache.start()
        assert seen.cache.wait(30)
        proxy.down = True
        proxy.cut()
        new = client.server_side_apply(config_map(namespace, a="2"))
        seen.cache.record_write(kinds.CONFIG_MAP, new)
        assert seen.data() == {"a": "2"}
        seen.cache.record_write(kinds.CONFIG_MAP, old)
        assert seen.data() == {"a": "2"}
        seen.cache.record_write(kinds.CONFIG_MAP, config_map(namespace, "theirs", platform="p2"))
        assert seen.names() == {"one"}

    def test_a_late_answer_does_not_bring_back_what_was_deleted(self, client, namespace, listen):
        seen = listen(client)
        seen.cache.start()
        assert seen.cache.wait(30)
        made = client.create(config_map(namespace, a="1"))
        wait_for(seen.names, "the object")
        client.delete(kinds.CONFIG_MAP, namespace, "one", uid=made["metadata"]["uid"])
        wait_for(lambda: not seen.names(), "the end")
        seen.cache.record_write(kinds.CONFIG_MAP, made)
        assert seen.names() == set()
        client.create(config_map(namespace, a="2"))
        wait_for(lambda: seen.data() == {"a": "2"}, "the next of its name")

    def test_a_watch_that_breaks_off_is_taken_up_where_it_was(
        self, proxy: ApiProxy, proxied: Client, client: Client, namespace, listen
    ):
        going = client.create(config_map(namespace, "going"))
        seen = listen(proxied)
        seen.cache.start()
        assert seen.cache.wait(30)
        break_off(proxy, seen)
        client.create(config_map(namespace, a="1"))
        client.delete(kinds.CONFIG_MAP, namespace, "going", uid=going["metadata"]["uid"])
        assert seen.names() == {"going"}  # as last seen; its age tells
        listings = proxy.listings()
        proxy.down = False
        wait_for(lambda: seen.names() == {"one"}, "what happened meanwhile")
        wait_for(lambda: not problems(seen.cache), "the end of the problem")
        assert proxy.listings() == listings
        assert seen.deleted == [("going", False)]

    def test_a_moment_that_is_forgotten_is_followed_by_a_new_listing(
        self, proxy: ApiProxy, proxied: Client, client: Client, namespace, listen
    ):
        going = client.create(config_map(namespace, "going"))
        seen = listen(proxied)
        seen.cache.start()
        assert seen.cache.wait(30)
        break_off(proxy, seen)
        client.create(config_map(namespace, a="1"))
        client.delete(kinds.CONFIG_MAP, namespace, "going", uid=going["metadata"]["uid"])
        gone = status(410, "Expired", "too old resource version: 1 (2)")
        proxy.once(gone, path="/configmaps?watch=true")
        proxy.down = False
        wait_for(lambda: seen.names() == {"one"}, "what happened meanwhile")
        assert proxy.faults == []
        assert seen.deleted == [("going", False)]

    def test_a_cluster_that_was_put_back_is_read_anew_and_nothing_counts_as_deleted(
        self, proxy: ApiProxy, proxied: Client, client: Client, namespace, listen
    ):
        made = client.create(config_map(namespace, a="1"))
        seen = listen(proxied)
        seen.cache.start()
        assert seen.cache.wait(30)
        wait_for(lambda: proxy.watches() == 2, "both watches")
        future = made | {"data": {"a": "of a time that was undone"}}
        future["metadata"] = made["metadata"] | {"resourceVersion": str(2**60)}
        seen.cache.record_write(kinds.CONFIG_MAP, future)
        back = status(504, "Timeout", f"Timeout: Too large resource version: {2**60}, current: 5")
        proxy.once(back, path="/configmaps?watch=true")
        proxy.cut()

        def read_anew() -> bool:
            try:
                return seen.data() == {"a": "1"}
            except Unavailable:
                return False

        wait_for(read_anew, "the objects as they are")
        assert seen.deleted == []

    def test_a_listing_that_fails_between_its_pages_begins_anew(
        self, proxy: ApiProxy, proxied: Client, client: Client, namespace, listen, monkeypatch
    ):
        monkeypatch.setattr("deployer.targets.kubernetes.client.client.PAGE", 2)
        for number in range(5):
            client.create(config_map(namespace, f"m{number}"))
        proxy.always(UNSTREAMED[0], path="sendInitialEvents=")
        proxy.once(status(410, "Expired", "the continue token is too old"), path="continue=")
        for _ in range(4):
            proxy.once(drop, path="continue=")
        seen = listen(proxied)
        seen.cache.start()
        assert seen.cache.wait(30)
        assert len(seen.names()) == 5
        assert proxy.faults == []

    def test_a_list_is_streamed_from_the_servers_memory(
        self, proxy: ApiProxy, proxied: Client, client: Client, namespace, listen
    ):
        for number in range(5):
            client.create(config_map(namespace, f"m{number}"))
        seen = listen(proxied)
        seen.cache.start()
        assert seen.cache.wait(30)
        assert len(seen.names()) == 5
        assert proxy.listings() == len(KINDS)
        assert not any("limit=" in path for _, path in proxy.requests)

    @pytest.mark.parametrize("refusal", UNSTREAMED, ids=["feature-off", "old-etcd"])
    def test_a_server_that_streams_no_list_is_asked_for_pages(
        self, proxy: ApiProxy, proxied: Client, client: Client, namespace, listen, refusal
    ):
        client.create(config_map(namespace))
        proxy.always(refusal, path="sendInitialEvents=")
        seen = listen(proxied)
        seen.cache.start()
        assert seen.cache.wait(30)
        assert seen.names() == {"one"}
        assert not problems(seen.cache)

    def test_of_a_streamed_list_that_breaks_off_nothing_stays_that_is_not_there(
        self, proxy: ApiProxy, proxied: Client, client: Client, namespace, listen
    ):
        client.create(config_map(namespace))
        gone = config_map(namespace, "gone")
        gone["metadata"] |= {"uid": "0-0", "resourceVersion": "1"}
        event = json.dumps({"type": "ADDED", "object": gone}).encode() + b"\n"
        proxy.once(lambda request: reply(request, 200, event), path="/configmaps?watch=true")
        seen = listen(proxied)
        seen.cache.start()
        assert seen.cache.wait(30)
        assert seen.names() == {"one"}
        assert proxy.faults == []

    def test_silence_of_a_cluster_is_not_taken_for_a_look(self, client, listen, monkeypatch):
        seen = listen(client)
        seen.cache.start()
        assert seen.cache.wait(30)
        seen.names()
        monkeypatch.setattr("deployer.targets.kubernetes.cache.informer.STALE_SECONDS", 0.0)
        with pytest.raises(Unavailable, match="said nothing"):
            seen.names()

    def test_a_kind_that_the_cluster_does_not_know_is_told(self, client, namespace):
        unknown = kinds.Kind("example.com/v1", "Fish", "fishes")
        cache = Cache(client, "p1", [namespace], [kinds.CONFIG_MAP, unknown])

        def told() -> Missing | None:
            try:
                cache.of(namespace, "angler-prod")
            except Missing as error:
                return error
            except Unavailable:  # the ConfigMaps are still being listed
                return None
            raise AssertionError("it was not told")

        cache.start()
        error = wait_for(told, "the kind to be missed")
        assert "fishes" in error.message
        assert "kubectl get crd" in error.hint
        cache.close(10)

    def test_a_namespace_can_be_added_and_the_whole_cluster_watched(
        self, real, client, namespace, listen
    ):
        seen = listen(client)
        seen.cache.start()
        assert seen.cache.wait(30)
        whole = Cache(client, "p1", [""], KINDS)
        whole.start()
        assert whole.wait(30)
        with real.namespace() as other:
            seen.cache.add(other)
            assert seen.cache.wait(30)
            client.create(config_map(other))
            for cache in (seen.cache, whole):
                wait_for(lambda c=cache: c.of(other, "angler-prod"), "the object")
                assert cache.of(namespace, "angler-prod") == ()
        whole.close(10)

    def test_a_listeners_mistake_ends_no_watch(self, client, namespace):
        told = []

        def changed(deployment: str) -> None:
            told.append(deployment)
            raise RuntimeError

        cache = Cache(client, "p1", [namespace], KINDS, changed=changed)
        cache.start()
        assert cache.wait(30)
        client.create(config_map(namespace, "a"))
        client.create(config_map(namespace, "b"))
        wait_for(lambda: len(told) == 2, "word of both")
        cache.close(10)

    def test_its_threads_end_when_it_is_closed(self, client, namespace):
        before = threading.active_count()
        cache = Cache(client, "p1", [namespace], KINDS)
        cache.start()
        assert cache.wait(30)
        cache.close(10)
        wait_for(lambda: threading.active_count() == before, "their end")
