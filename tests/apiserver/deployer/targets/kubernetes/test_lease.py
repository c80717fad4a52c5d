"""One of two Deployers acts, on a real API server, whatever is done to them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.faults.api_proxy import ApiProxy
from support.run.process import Running
from support.run.wait import wait_for
from support.systems.cluster import Cluster

from deployer.targets.kubernetes import lease
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.lease import Lease, LeaseNotHeld, LeaseNotRenewed

ROOT = Path(__file__).parents[5]
HOLDER = ROOT / "tests/support/kubernetes/lease_holder.py"
TAKEOVER = 15.0
"""Seconds that docs/guides/kubernetes.md promises."""

Start = Callable[[str], Running]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What every Lease of this process takes for the time; it looks often."""
    moment = [100.0]
    monkeypatch.setattr(lease, "clock", lambda: moment[0])
    monkeypatch.setattr(lease, "EVERY", 0.05)
    return moment


@pytest.fixture
def start(real: Cluster, namespace: str, tmp_path: Path) -> Iterator[Start]:
    running: list[Running] = []

    def begin(identity: str) -> Running:
        arguments = (str(real.kubeconfig), namespace, "schnitzel-p1", identity)
        command = [sys.executable, str(HOLDER), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        running.append(Running(command, tmp_path / f"{identity}.log", environment))
        return running[-1]

    yield begin
    for one in running:
        one.signal(signal.SIGCONT)
        one.stop(0)


def written(client: Client, namespace: str, identity: str) -> int:
    """How many objects a process has made."""
    return len(client.list(kinds.CONFIG_MAP, namespace, labels=f"by={identity}"))


def state(pid: int) -> str:
    """The state of a process, in a letter: proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_that_was_stopped_writes_nothing_after_it_goes_on(
    client: Client, namespace: str, start: Start
):
    one = start("one")
    wait_for(lambda: written(client, namespace, "one") > 3, "the first to write")
    two = start("two")
    one.signal(signal.SIGUSR1)  # it stops itself between two writes: none is on its way
    wait_for(lambda: state(one.pid) == "T", "its stop")
    wait_for(lambda: written(client, namespace, "two") > 3, "the second to take over")
    before = written(client, namespace, "one")
    one.signal(signal.SIGCONT)
    count = written(client, namespace, "two")
    wait_for(lambda: "lost" in one.tail(), "the first to notice")
    wait_for(lambda: written(client, namespace, "two") > count + 20, "the second to go on")
    assert written(client, namespace, "one") == before
    assert "lost" not in two.tail()
    found = client.get(kinds.LEASE, namespace, "schnitzel-p1")["spec"]
    assert found["holderIdentity"] == "two"
    assert found["leaseTransitions"] == 1
    two.signal(signal.SIGKILL)
    wait_for(lambda: written(client, namespace, "one") > before, "a takeover")
    taken = client.get(kinds.LEASE, namespace, "schnitzel-p1")["spec"]
    assert taken["holderIdentity"] == "one"
    assert taken["leaseTransitions"] == 2
    assert taken["leaseDurationSeconds"] == lease.LASTS


def test_a_takeover_takes_no_longer_than_the_documentation_says():
    """It comes with the first look after the Lease has run out: see the last test here."""
    looks_every = 1.2 * lease.EVERY
    assert lease.LASTS + looks_every + lease.TIMEOUT <= TAKEOVER


def test_it_is_given_back_at_a_clean_end_so_that_another_takes_over_at_once(
    client: Client, namespace: str, now: list[float]
):
    """At once: no time goes by here, in which it could run out."""

    def made(name: str) -> Lease:
        return Lease(
            client,
            namespace,
            "schnitzel-p1",
            name,
        )

    one, two = made("one"), made("two")
    one.start()
    wait_for(one.held, "the first to hold it")
    two.start()
    wait_for(lambda: two.holder == "one", "the second to see the first")
    with pytest.raises(LeaseNotHeld, match="one does") as caught:
        two.raise_if_not_held()
    assert "get lease schnitzel-p1" in caught.value.hint
    one.raise_if_not_held()
    one.close()
    assert not one.held()
    wait_for(two.held, "the second to hold it")
    two.close()


def test_it_is_not_held_for_longer_than_it_could_be_renewed(
    proxy: ApiProxy,
    proxied: Client,
    namespace: str,
    now: list[float],
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level("INFO", logger=lease.__name__)

    def said(how: str) -> str:
        return f"The Lease schnitzel-p1 is {how}."

    one = Lease(
        proxied,
        namespace,
        "schnitzel-p1",
        "one",
    )
    one.start()
    wait_for(one.held, "it to be held")
    proxy.down = True
    now[0] += lease.RENEW_WITHIN - 0.1
    assert one.held()
    now[0] += 0.1
    assert not one.held()
    with pytest.raises(LeaseNotHeld):
        proxied.with_guard(one.raise_if_not_held).create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}
        )
    wait_for(lambda: caplog.messages[-1:] == [said("not ours")], "word of it")
    with pytest.raises(LeaseNotRenewed, match="cannot renew its Lease") as caught:
        one.raise_if_not_held()
    assert caught.value.reason == "ClusterUnavailable", "that, and no other Deployer, is in the way"
    proxy.down = False
    wait_for(lambda: caplog.messages[-1:] == [said("ours")], "it to be ours again")
    one.close()


def test_a_takeover_needs_no_clock_of_another_machine(
    proxy: ApiProxy, proxied: Client, client: Client, namespace: str, now: list[float]
):
    far = {"renewTime": "2001-01-01T00:00:00.000000Z", "acquireTime": "2001-01-01T00:00:00.000000Z"}
    spec = {"holderIdentity": "other", "leaseDurationSeconds": 4, **far}
    meta = {"namespace": namespace, "name": "schnitzel-p1"}
    head = {"apiVersion": kinds.LEASE.api_version, "kind": "Lease", "metadata": meta}
    client.create(head | {"spec": spec})
    one = Lease(proxied, namespace, "schnitzel-p1", "one")
    one.start()
    try:
        wait_for(lambda: one.holder == "other", "a look")
        now[0] += 3.9  # though its time looks long past
        looks = len(proxy.requests)
        wait_for(lambda: len(proxy.requests) > looks + 3, "more looks")
        assert not one.held()
        assert proxy.writes() == []
        now[0] += 0.1
        looks = len(proxy.requests)
        wait_for(one.held, "it to be taken over")
        # The look that was under way, and the one after it.
        before = [method for method, _ in proxy.requests[looks:]]
        assert before.index("PUT") <= 2
    finally:
        one.close()
