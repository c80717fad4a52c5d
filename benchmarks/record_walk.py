"""The walk of a record through a pass on a cluster: how many rooms, stays and returns.

    python benchmarks/record_walk.py [--list]

A real pass over a new deployment, with the real parts of a Deployer; only the connections to the
API server are replaced, by a store that gives back what it is sent. Every call of a function of
ours is followed, from `Reconciler.run` to the written objects. A stay begins when the walk enters
another room than the one that it is in, by a call or by the return from one, and is a return in a
room where it was before. A loop counts once: what is repeated at once, stay for stay, is left out.
Rooms are packages (`rollout`, `targets.kubernetes.apply`); modules are counted likewise.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import orjson
import yaml

import deployer
from deployer.config import settings as settings_of
from deployer.controller.reconcile import Reconciler
from deployer.controller.scope import Key
from deployer.state.record import Description, Promotion, Record
from deployer.state.registry import ModelVersion, RegisteredModel, RegistrySnapshot, VersionId
from deployer.targets.kubernetes.client.session import Session
from deployer.targets.kubernetes.lease import Lease
from deployer.wiring import Wiring, wire
from stack.paths import Layout

ROOT = Path(deployer.__file__).parent
MODEL, ENVIRONMENT, ID = "angler", "prod", "angler-prod"
KEY = Key(ID, MODEL, ENVIRONMENT)
LONGEST = 40
"""Stays of one turn of a loop."""

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
"""


class Answer:
    """An answer of the store, or a watch that says nothing."""

    def __init__(self, status: int, body: Any) -> None:
        self.status, self.headers, self.data = status, {}, orjson.dumps(body)

    def stream(self, _: int) -> Iterator[bytes]:
        """Say nothing, for ever."""
        threading.Event().wait()
        yield b""

    def close(self) -> None:
        """Nothing is open."""

    def shutdown(self) -> None:
        """Likewise."""


class Store:
    """Objects by their paths, as they were sent."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.versions = itertools.count(1)
        self.writes = 0

    def request(self, method: str, path: str, query: Any, body: Any, *_: Any, **__: Any) -> Answer:
        """Keep and give back; of a patch, what the Deployer reads again."""
        path = path.removesuffix("/status")
        if method == "GET":
            if query and {"limit", "watch"} & set(query):
                return Answer(200, {"items": [], "metadata": {"resourceVersion": "1"}})
            found = self.objects.get(path)
            return Answer(200, found) if found else Answer(404, {"message": '"it" not found'})
        self.writes += 1
        sent = orjson.loads(body)
        if method == "POST":
            found = sent
            meta = found["metadata"]
            meta["uid"] = f"uid-{next(self.versions)}"
            meta["managedFields"] = [{"manager": "schnitzel", "operation": "Update"}]
            path = f"{path}/{meta['name']}"
        else:
            found = self.objects[path]
            if isinstance(sent, list):
                found["spec"]["record"] = next(o["value"] for o in sent if "/spec" in o["path"])
            else:
                found |= {name: value for name, value in sent.items() if name != "metadata"}
        found["metadata"]["resourceVersion"] = str(next(self.versions))
        self.objects[path] = found
        return Answer(200, found)


class Walk:
    """Follows the calls of the thread that it is started in.

    Args:
        room_of: Names the room of a module, given its dotted name below `deployer`.
    """

    def __init__(self, room_of: Callable[[str], str]) -> None:
        self._room_of = room_of
        self._functions: set[tuple[str, str]] = set()
        self._stays: list[str] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take in one event of `sys.setprofile`."""
        code = frame.f_code
        if event == "call" and (room := self._room(code.co_filename)):
            self._functions.add((code.co_filename, code.co_qualname))
            self._enter(room)
        elif event == "return" and (room := self._caller(frame)):
            self._enter(room)

    @property
    def stays(self) -> list[str]:
        """The rooms in their order, each loop once."""
        found, before = list(self._stays), -1
        while len(found) != before:
            before = len(found)
            for length in range(1, LONGEST + 1):
                found = _without_repeats(found, length)
        return found

    def __str__(self) -> str:
        stays = self.stays
        rooms = len(set(stays))
        return (
            f"{len(stays)} stays in {rooms}, {len(stays) - rooms} of them returns; "
            f"{len(self._stays)} with every turn of a loop; {len(self._functions)} functions"
        )

    def _enter(self, room: str) -> None:
        if not self._stays or self._stays[-1] != room:
            self._stays.append(room)

    def _caller(self, frame: FrameType) -> str:
        back = frame.f_back
        while back is not None:
            if room := self._room(back.f_code.co_filename):
                return room
            back = back.f_back
        return ""

    def _room(self, file: str) -> str:
        if not file.startswith(f"{ROOT}/"):
            return ""
        return self._room_of(file.removeprefix(f"{ROOT}/").removesuffix(".py").replace("/", "."))


def _without_repeats(stays: list[str], length: int) -> list[str]:
    found: list[str] = []
    for stay in stays:
        found.append(stay)
        while found[-length:] == found[-2 * length : -length]:
            del found[-length:]
    return found


def package(module: str) -> str:
    return module.rpartition(".")[0] or module


def make(folder: Path, store: Store) -> tuple[Reconciler, Wiring]:
    """The parts of a Deployer, with one deployment whose version was promoted just now."""
    home = folder / "home"
    home.mkdir()
    (folder / "kubeconfig").write_text(KUBECONFIG)
    prod = {"alias": "champion", "target": "kubernetes", "cluster": "one"}
    gateway = {"name": "g", "namespace": "g", "url": "http://127.0.0.1:9"}
    one = {"kubeconfig": str(folder / "kubeconfig"), "gateway": gateway}
    written = {
        "environments": {ENVIRONMENT: prod | {"overlay": {"image": "registry.example/own:1"}}},
        "clusters": {"one": one | {"server_image": "registry.example/server:1"}},
    }
    (home / "platform.yaml").write_text(yaml.safe_dump(written))
    os.environ |= {"SCHNITZEL_HOME": str(home), "SCHNITZEL_CACHE": str(folder / "cache")}
    Session.request = lambda _, *sent, **named: store.request(*sent, **named)  # type: ignore[method-assign,assignment,return-value,misc]
    Lease.raise_if_not_held = lambda _: None  # type: ignore[method-assign]
    wiring = wire(settings_of.load(), Layout(home), lambda _: None)
    cluster = wiring.clusters["one"]
    cluster.cache.start()
    assert cluster.cache.wait(10)
    version = VersionId(MODEL, 3, 1_700_000_000_000, "m-1")
    row = ModelVersion(version, "None", frozenset({"champion"}), "models:/m", "run", 5)
    models = {MODEL: RegisteredModel(MODEL, (row,))}
    now = time.time()
    wiring.context.registry._snapshot = RegistrySnapshot(models, now, frozenset({MODEL}))
    promotion = Promotion(version, "alias champion", 1, now, updated=5)
    described = {version.key: Description("mlflow-artifacts:/1/a", None)}
    record = Record(ID, MODEL, ENVIRONMENT, promotions=(promotion,), descriptions=described)
    wiring.context.records.save(record)
    return Reconciler(wiring.context, threading.Event(), frozenset), wiring


def followed(walk: Walk, act: Callable[..., Any], *given: Any) -> Any:
    sys.setprofile(walk)
    try:
        return act(*given)
    finally:
        sys.setprofile(None)


def passes(
    room_of: Callable[[str], str], *, path_of_write: bool
) -> Iterator[tuple[str, Walk, int]]:
    """Three passes, each with its walk and its number of writes; or the target's apply of each."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store()
        reconciler, wiring = make(Path(folder), store)
        target: Any = wiring.context.targets[ENVIRONMENT]
        assert target.server  # computed once for the process
        apply, status = target.apply, None
        for what in ("a first pass", "the next one", "a steady one"):
            walk, writes = Walk(room_of), store.writes
            if path_of_write:
                target.apply = partial(followed, walk, apply)
                done = reconciler.run(KEY, status)
            else:
                done = followed(walk, reconciler.run, KEY, status)
            assert done.error is None, done.error
            status = done.status
            yield what, walk, store.writes - writes


def main() -> None:
    """Walk and print."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--list", action="store_true", help="name each stay")
    chosen = arguments.parse_args()
    logging.disable()
    for path_of_write in (False, True):
        print("the apply alone:" if path_of_write else "the whole pass:")
        for name, room_of in (("rooms", package), ("modules", str)):
            for what, walk, writes in passes(room_of, path_of_write=path_of_write):
                print(f"  {name}, {what}: {walk}; the pass makes {writes} writes")
                if chosen.list:
                    print(*walk.stays, sep=" > ")


if __name__ == "__main__":
    main()
    os._exit(0)  # the watches would be waited for
