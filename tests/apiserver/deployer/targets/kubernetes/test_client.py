"""The client of the Kubernetes API, against a real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from support.faults.api_proxy import ApiProxy, drop, lose, status
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems.cluster import Cluster

from deployer.errors import SettingsInvalid, TargetUnavailable
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import (
    AdmissionRefused,
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    Immutable,
    Invalid,
    Missing,
    Unauthenticated,
    Unavailable,
)
from deployer.targets.kubernetes.client.session import ClusterAccess, Session


def config_map(namespace: str, name: str = "one", **data: str) -> dict:
    meta = {"namespace": namespace, "name": name, "labels": {"app": "test"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def kubeconfig(folder: Path, server: str, user: dict, ca: str | None = None) -> Path:
    named = {"name": "x"}
    path = folder / "kubeconfig"
    target = {"server": server} | ({"certificate-authority-data": ca} if ca else {})
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "x",
                "clusters": [named | {"cluster": target}],
                "users": [named | {"user": user}],
                "contexts": [named | {"context": {"cluster": "x", "user": "x"}}],
            }
        )
    )
    return path


def place_of(real: Cluster) -> tuple[str, str]:
    """The API server's address and its authority's certificate, in base64."""
    shown = real.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json")
    found = json.loads(shown)["clusters"][0]["cluster"]
    return found["server"], found["certificate-authority-data"]


class TestWithoutACluster:
    def test_a_context_that_is_not_there_is_a_wrong_setting(self, tmp_path):
        path = kubeconfig(tmp_path, "http://127.0.0.1:1", {})
        with pytest.raises(SettingsInvalid, match="nowhere") as caught:
            Session(ClusterAccess(path, "nowhere"))
        assert "platform.yaml" in caught.value.hint

    def test_a_kubeconfig_that_is_not_there_is_a_wrong_setting(self, tmp_path):
        with pytest.raises(SettingsInvalid, match="kubeconfig"):
            Session(ClusterAccess(tmp_path / "kubeconfig"))

    def test_outside_of_a_pod_there_is_no_account(self, monkeypatch):
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        with pytest.raises(SettingsInvalid, match="this pod's account"):
            Session(ClusterAccess(in_cluster=True))

    def test_a_server_that_is_not_there_is_unavailable_and_no_token_is_told(self, tmp_path):
        server = f"http://127.0.0.1:{free_port()}"
        session = Session(ClusterAccess(kubeconfig(tmp_path, server, {"token": "s3cret"})))
        with pytest.raises(Unavailable) as caught:
            Client(session).with_timeout(1).get(kinds.NODE, "", "node1")
        assert isinstance(caught.value, TargetUnavailable)
        assert not caught.value.reached
        assert caught.value.transient
        assert server.removeprefix("http://") in caught.value.message
        assert "s3cret" not in f"{caught.value} {caught.value.hint}"


class TestVerbs:
    def test_an_object_is_made_read_applied_listed_and_deleted(self, client, namespace):
        made = client.create(config_map(namespace, a="1"))
        assert client.get(kinds.CONFIG_MAP, namespace, "one")["data"] == {"a": "1"}
        meta = {k: made["metadata"][k] for k in ("uid", "resourceVersion")}
        wanted = config_map(namespace, b="2")
        wanted["metadata"] |= meta
        assert client.server_side_apply(wanted)["data"] == {"a": "1", "b": "2"}
        (listed,) = client.list(kinds.CONFIG_MAP, namespace, labels="app=test")
        assert (listed["kind"], listed["apiVersion"]) == ("ConfigMap", "v1")
        client.delete(kinds.CONFIG_MAP, namespace, "one", uid=meta["uid"])
        assert client.find(kinds.CONFIG_MAP, namespace, "one") is None
        client.delete(kinds.CONFIG_MAP, namespace, "one", uid=meta["uid"])
        with pytest.raises(Missing):
            client.get(kinds.CONFIG_MAP, namespace, "one")

    def test_a_listing_goes_over_pages(self, client, namespace, monkeypatch):
        monkeypatch.setattr("deployer.targets.kubernetes.client.client.PAGE", 3)
        for number in range(7):
            client.create(config_map(namespace, f"m{number}"))
        pages = list(client.pages(kinds.CONFIG_MAP, namespace, labels="app=test"))
        assert [len(page.items) for page in pages] == [3, 3, 1]
        assert len({page.resource_version for page in pages}) == 1

    def test_a_dry_run_writes_nothing(self, client, namespace):
        client.create(config_map(namespace), dry_run=True)
        assert client.find(kinds.CONFIG_MAP, namespace, "one") is None

    def test_what_was_read_before_is_neither_changed_nor_deleted(self, client, namespace):
        old = client.create(config_map(namespace, a="1"))
        new = client.server_side_apply(config_map(namespace, a="2"))
        uid, version = old["metadata"]["uid"], old["metadata"]["resourceVersion"]
        stale = config_map(namespace, a="3")
        stale["metadata"] |= {"uid": uid, "resourceVersion": version}
        with pytest.raises(Conflict):
            client.server_side_apply(stale)
        with pytest.raises(Conflict):
            client.replace(stale)
        place = (kinds.CONFIG_MAP, namespace, "one")
        with pytest.raises(Conflict):
            client.delete(*place, uid=uid, resource_version=version)
        with pytest.raises(Conflict):
            client.delete(*place, uid="another")
        another = config_map(namespace, a="3")
        another["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
        with pytest.raises(Conflict):
            client.server_side_apply(another)
        assert client.get(kinds.CONFIG_MAP, namespace, "one") == new

    def test_a_patch_of_single_fields_changes_only_the_object_that_was_read(
        self, client, namespace
    ):
        made = client.create(config_map(namespace, a="1"))
        place = (kinds.CONFIG_MAP, namespace, made["metadata"]["name"])
        change = {"op": "add", "path": "/data/a", "value": "2"}
        other = {
            "op": "replace",
            "path": "/metadata/uid",
            "value": "00000000-0000-0000-0000-000000000000",
        }
        with pytest.raises(Conflict):
            client.json_patch(*place, [other, change])
        assert client.get(*place)["data"] == {"a": "1"}
        same = other | {"value": made["metadata"]["uid"]}
        assert client.json_patch(*place, [same, change])["data"] == {"a": "2"}

    def test_an_object_that_was_deleted_is_not_made_again_by_an_apply(self, client, namespace):
        old = client.create(config_map(namespace))
        client.delete(kinds.CONFIG_MAP, namespace, "one", uid=old["metadata"]["uid"])
        again = config_map(namespace)
        again["metadata"]["uid"] = old["metadata"]["uid"]
        with pytest.raises(Conflict, match="uid mismatch"):
            client.server_side_apply(again)
        assert client.find(kinds.CONFIG_MAP, namespace, "one") is None

    def test_a_watch_tells_changes_and_ends_when_it_is_closed(self, client, namespace):
        start = list(client.pages(kinds.CONFIG_MAP, namespace))[-1].resource_version
        seen: list[tuple[str, str]] = []
        stream = client.watch(kinds.CONFIG_MAP, namespace, start, labels="app=test")

        def read() -> None:
            for kind, obj in stream.events():
                seen.append((kind, obj["metadata"]["name"]))

        thread = threading.Thread(target=read)
        thread.start()
        made = client.create(config_map(namespace))
        client.delete(kinds.CONFIG_MAP, namespace, "one", uid=made["metadata"]["uid"])
        wait_for(lambda: len(seen) == 2, "both events")
        stream.close()
        thread.join(10)
        assert not thread.is_alive()
        assert seen == [("ADDED", "one"), ("DELETED", "one")]


class TestErrors:
    def test_a_name_that_is_taken(self, client, namespace):
        client.create(config_map(namespace))
        with pytest.raises(AlreadyExists):
            client.create(config_map(namespace))

    def test_a_kind_that_the_cluster_does_not_know(self, client, namespace):
        unknown = kinds.Kind("example.com/v1", "Fish", "fishes")
        with pytest.raises(Missing, match=r"knows no fishes.example.com"):
            client.list(unknown, namespace)

    def test_a_namespace_that_is_not_there_is_named_with_the_command_that_makes_it(self, client):
        with pytest.raises(Missing) as caught:
            client.create(config_map("t-nowhere"))
        assert caught.value.hint == "kubectl create namespace t-nowhere"

    def test_a_field_that_the_server_refuses_is_named(self, client, namespace):
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": namespace, "name": "s"},
            "spec": {"ports": [{"port": 99999}]},
        }
        with pytest.raises(Invalid, match="99999") as caught:
            client.create(service)
        assert "spec.ports[0].port" in caught.value.fields
        with pytest.raises(Invalid, match='unknown field "dta"'):
            client.create(config_map(namespace) | {"dta": {}})

    def test_a_field_that_cannot_be_changed(self, client, namespace):
        fixed = client.create(config_map(namespace, a="1") | {"immutable": True})
        fixed["data"] = {"a": "2"}
        with pytest.raises(Immutable, match="immutable"):
            client.replace(fixed)

    def test_what_admission_refuses_is_told_in_its_words(self, client, namespace):
        account = {"namespace": namespace, "name": "default"}
        if client.find(kinds.SERVICE_ACCOUNT, namespace, "default") is None:
            made = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}
            with suppress(AlreadyExists):
                client.create(made)
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": namespace, "name": "p"},
            "spec": {"containers": [{"name": "c", "image": "i"}], "hostNetwork": True},
        }
        with pytest.raises(AdmissionRefused, match="violates PodSecurity"):
            client.create(pod)

    def test_a_missing_permission_names_the_command_that_mends_it(
        self, real, client, namespace, tmp_path
    ):
        meta = {"namespace": namespace, "name": "deployer"}
        client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        token = real.kubectl("create", "token", "deployer", "-n", namespace).strip()
        server, ca = place_of(real)
        limited = Client(Session(ClusterAccess(kubeconfig(tmp_path, server, {"token": token}, ca))))
        with pytest.raises(Forbidden) as caught:
            limited.list(kinds.DEPLOYMENT, namespace)
        error = caught.value
        assert (error.verb, error.resource, error.namespace) == (
            "list",
            "deployments.apps",
            namespace,
        )
        assert token not in f"{error.message} {error.hint}"
        folder = str(Path(real.program("kubectl")).parent)
        environment = {
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
            "KUBECONFIG": str(real.kubeconfig),
        }
        subprocess.run(error.hint, shell=True, check=True, env=environment)  # noqa: S602

        def allowed() -> bool:
            try:
                return limited.list(kinds.DEPLOYMENT, namespace) == []
            except Forbidden:
                return False

        wait_for(allowed, "the permission")
        limited.close()

    def test_credentials_that_are_refused(self, real, tmp_path):
        server, ca = place_of(real)
        path = kubeconfig(tmp_path, server, {"token": "s3cret"}, ca)
        with pytest.raises(Unauthenticated) as caught:
            Client(Session(ClusterAccess(path))).list(kinds.DEPLOYMENT, "default")
        assert "s3cret" not in f"{caught.value} {caught.value.hint}"

    def test_a_plugin_is_asked_again_when_its_token_is_refused(
        self, real, client, namespace, tmp_path
    ):
        meta = {"namespace": namespace, "name": "deployer"}
        client.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        token = real.kubectl("create", "token", "deployer", "-n", namespace).strip()
        (tmp_path / "token").write_text("refused")
        plugin = tmp_path / "plugin.py"
        plugin.write_text(
            "import json, pathlib\n"
            f"path = pathlib.Path({str(tmp_path / 'token')!r})\n"
            "status = {'token': path.read_text()}\n"
            f"path.write_text({token!r})\n"
            "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', "
            "'kind': 'ExecCredential', 'status': status}))\n"
        )
        user = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": sys.executable,
                "args": [str(plugin)],
                "interactiveMode": "Never",
            }
        }
        server, ca = place_of(real)
        found = Client(Session(ClusterAccess(kubeconfig(tmp_path, server, user, ca))))
        with pytest.raises(Forbidden):  # it knows by now who we are
            found.list(kinds.DEPLOYMENT, namespace)
        found.close()


class TestTrouble:
    def test_too_many_requests_are_asked_again_after_as_long_as_the_server_says(
        self, proxy: ApiProxy, proxied: Client, namespace
    ):
        busy = status(429, "TooManyRequests", "too many requests", Retry_After="1")
        proxy.once(busy, method="POST")
        began = time.monotonic()
        proxied.create(config_map(namespace))
        assert time.monotonic() - began >= 1
        assert [method for method, _ in proxy.writes()] == ["POST", "POST"]

    def test_a_server_that_asks_for_long_patience_is_left_to_the_caller(
        self, proxy: ApiProxy, proxied: Client, namespace
    ):
        busy = status(429, "TooManyRequests", "too many requests", Retry_After="60")
        proxy.once(busy)
        with pytest.raises(Unavailable) as caught:
            proxied.list(kinds.CONFIG_MAP, namespace)
        assert caught.value.retry_after == 60

    def test_a_write_whose_answer_was_lost_has_no_second_effect(
        self, proxy: ApiProxy, proxied: Client, client: Client, namespace
    ):
        proxy.once(lose, method="POST")
        with pytest.raises(AlreadyExists):
            proxied.create(config_map(namespace, a="1"))
        (made,) = client.list(kinds.CONFIG_MAP, namespace, labels="app=test")
        wanted = config_map(namespace, a="2")
        wanted["metadata"] |= {k: made["metadata"][k] for k in ("uid", "resourceVersion")}
        proxy.once(lose, method="PATCH")
        with pytest.raises(Conflict):
            proxied.server_side_apply(wanted)
        assert client.get(kinds.CONFIG_MAP, namespace, "one")["data"] == {"a": "2"}
        proxy.once(lose, method="DELETE")
        proxied.delete(kinds.CONFIG_MAP, namespace, "one", uid=made["metadata"]["uid"])
        assert client.find(kinds.CONFIG_MAP, namespace, "one") is None

    @pytest.mark.parametrize(
        "fault", [drop, status(500, "InternalError", "etcd"), status(503, "", "starting")]
    )
    def test_a_transient_error_is_retried(self, proxy, proxied, namespace, fault):
        proxy.once(fault)
        proxied.create(config_map(namespace, a="1"))
        proxy.once(fault)
        assert proxied.get(kinds.CONFIG_MAP, namespace, "one")["data"] == {"a": "1"}

    def test_a_guard_is_asked_at_each_try_of_a_write_and_for_no_read(
        self, proxy: ApiProxy, proxied: Client, namespace
    ):
        asked = []

        def guard() -> None:
            asked.append(len(proxy.writes()))
            if len(asked) == 2:
                raise Unavailable("not any more")

        guarded = proxied.with_guard(guard)
        guarded.list(kinds.CONFIG_MAP, namespace)
        guarded.create(config_map(namespace), dry_run=True)
        assert asked == []
        proxy.once(drop, method="POST")
        before = len(proxy.writes())
        with pytest.raises(Unavailable, match="not any more"):
            guarded.create(config_map(namespace))
        assert len(proxy.writes()) == before + 1

    def test_an_expired_page_is_gone(self, proxy: ApiProxy, proxied: Client, namespace):
        proxy.once(status(410, "Expired", "The provided continue parameter is too old"))
        with pytest.raises(Gone):
            proxied.list(kinds.CONFIG_MAP, namespace)
