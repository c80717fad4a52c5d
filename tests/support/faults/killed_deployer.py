"""The Deployer, killed with SIGKILL just before or after one input or output, or telling of each.

    killed_deployer.py EDGE before|after [MODEL]    end at it; "EDGE#2" is its second time, "any#7"
                                                    the seventh of all
    killed_deployer.py list FILE [MODEL]            run on, and write each edge that is met to FILE

Only calls that do something count, and of them only those that name the model, if one is given.
The calls are wrapped from outside; the Deployer's code knows nothing of this.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from deployer.analysis.probes import Examples
from deployer.controller import pace
from deployer.store.history import History
from deployer.store.records import Records
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.kinds import LEASE, Kind, kind_of
from deployer.targets.local import files, gateway
from deployer.targets.local.files import PredictorFiles
from deployer.targets.local.queue.consumers import Consumers
from stack.supervision import supervisor
from stack.supervision.supervisor import Supervisor

EDGES: list[tuple[type | ModuleType, str]] = [
    (Records, "save"),
    (History, "append"),
    (files, "write_private"),
    (PredictorFiles, "configure"),
    (PredictorFiles, "remove"),
    (supervisor, "write_private"),
    (Supervisor, "remove"),
    (gateway, "write_private"),
    (Consumers, "put"),
    (Examples, "_ask"),
]
"""What a Deployer does on this machine."""

WRITES = ("create", "server_side_apply", "json_patch", "patch_status", "replace", "delete")
"""What it does to a cluster, beside that: methods of its client, for each kind but the Lease."""

Met = Callable[[str, str], None]
"""Told an edge, and "before" or "after"."""


def _wrap(owner: Any, name: str, model: str, met: Met) -> None:
    real: Callable[..., Any] = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        edge = _edge(owner, name, args, kwargs)
        if not edge or model not in repr(args):
            return real(*args, **kwargs)
        met(edge, "before")
        result = real(*args, **kwargs)
        met(edge, "after")
        return result

    setattr(owner, name, call)


def _edge(owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """What a call is called; nothing if it changes nothing."""
    edge = f"{owner.__name__}.{name}"
    if owner is Client:
        kind = args[1] if isinstance(args[1], Kind) else kind_of(args[1])
        return "" if kind == LEASE or kwargs.get("dry_run") else f"{edge} {kind.name}"
    if name == "save":
        store, record = args
        return "" if store.load(record.id) == record else edge
    return edge


def _killing(edge: str, when: str) -> Met:
    """Die at this one."""
    wanted, _, number = edge.partition("#")
    left = int(number or 1)
    lock = threading.Lock()

    def met(edge: str, now: str) -> None:
        nonlocal left
        with lock:  # nobody else does anything meanwhile
            if now == when and wanted in (edge, "any"):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

    return met


def _listing(file: Path) -> Met:
    """Write each one down, once it has been done."""
    lock = threading.Lock()
    file.write_text("")

    def met(edge: str, now: str) -> None:
        with lock, file.open("a") as told:
            if now == "after":
                told.write(f"{edge}\n")

    return met


if __name__ == "__main__":
    what, how, *about = sys.argv[1:]
    told = _listing(Path(how)) if what == "list" else _killing(what, how)
    for owner, name in [*EDGES, *((Client, name) for name in WRITES)]:
        _wrap(owner, name, "".join(about), told)
    sys.argv = ["deployer", "run"]
    pace.RESYNC_SECONDS = (86_400.0, 86_400.0)  # as in hinted_deployer
    from deployer.__main__ import main

    sys.exit(main())
