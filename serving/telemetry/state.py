"""What happens to the model goes in; state.json, which the Deployer reads, comes out.

On a cluster, the reason of a final failure also goes to the termination log, for the kubelet.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from serving.telemetry.redact import redact


@dataclass(frozen=True)
class State:
    """What state.json says.

    `phase` is starting, ready, unready or failed; `reason` is empty or one CamelCase word.
    """

    phase: str = "starting"
    reason: str = ""
    message: str = ""
    """One line, redacted."""
    traceback_id: str | None = None
    """Finds the whole traceback in the server's log."""
    pid: int = field(default_factory=os.getpid)
    worker_pid: int | None = None
    python: str | None = None
    batching: str | None = None
    """Whether one call answers requests that wait: trial, on or off."""
    restarts: int = 0
    at: float = field(default_factory=time.time)


class StateFile:
    """Keeps the current state, and the file that shows it.

    `termination_file` is told why, if it comes to that, the model is not tried again.
    """

    def __init__(self, path: str, termination_file: str | None = None) -> None:
        self._path, self._termination_file = Path(path), termination_file
        self.state = State()
        self._write()

    def change(self, **changes: Any) -> State:
        """Replace fields of the state, and write it if something changed.

        `message` is redacted, put on one line and cut at 500 characters.
        """
        if "message" in changes:
            changes["message"] = " ".join(redact(changes["message"]).split())[:500]
        new = replace(self.state, **changes)
        if new != self.state:
            self.state = replace(new, at=time.time())
            self._write()
            if new.phase == "failed" and self._termination_file:
                said = {"reason": new.reason, "message": new.message}
                last_words(self._termination_file, said)
        return self.state

    def _write(self) -> None:
        # Atomic: a reader sees the old state or the new one, never half of it.
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        beside.write_text(json.dumps(asdict(self.state)), encoding="utf-8")
        beside.replace(self._path)


def last_words(termination_file: str, said: dict[str, Any]) -> None:
    """Leave one line of JSON where the kubelet looks when a container has ended.

    The file is mounted by itself: it can be written, not replaced. The kubelet reads 4096 bytes.
    https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
    """
    with suppress(OSError):  # what is said is in the log as well
        Path(termination_file).write_text(json.dumps(said) + "\n", encoding="utf-8")
