"""The Deployer, killed with SIGKILL just before its Nth input or output: N, then its arguments.

Only the calls at its edges are wrapped, from outside; its code knows nothing of this.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployer.history import History
from deployer.records import Records
from deployer.targets.examples import Examples
from deployer.targets.local.files import PredictorFiles
from deployer.targets.local.gateway import Gateway
from stack.supervisor import Supervisor

EDGES: list[tuple[type, str]] = [
    (Records, "save"),
    (History, "append"),
    (PredictorFiles, "define"),
    (PredictorFiles, "configure"),
    (PredictorFiles, "remove"),
    (Supervisor, "put"),
    (Supervisor, "remove"),
    (Gateway, "route"),
    (Examples, "ask"),
]


def _arm(edge: str, when: str) -> None:
    lock = threading.Lock()

    def wrap(owner: type, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            hit = f"{owner.__name__}.{name}" == edge and _counts(name, args)
            if hit and when == "before":
                _die(lock)
            result = real(*args, **kwargs)
            if hit and when == "after":
                _die(lock)
            return result

        setattr(owner, name, call)

    for owner, name in EDGES:
        wrap(owner, name)


def _counts(name: str, args: tuple[Any, ...]) -> bool:
    """Whether a call really does something: a record saved unchanged does not."""
    if name == "save":
        store, record = args
        return store.load(record.id) != record
    return True


def _die(lock: threading.Lock) -> None:
    with lock:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _arm(sys.argv[1], sys.argv[2])
    sys.argv = ["deployer", "run"]
    sys.path.insert(0, str(Path(__file__).parent))
    from deployer.__main__ import main

    sys.exit(main())
