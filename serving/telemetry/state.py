"""Write state.json, from which the Deployer reads the state of the model.

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
    """The content of state.json.

    `phase` is starting, ready, unready or failed; `reason` is empty or a CamelCase reason.
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
    """Whether one call of the model answers several waiting requests: trial, on or off."""
    restarts: int = 0
    at: float = field(default_factory=time.time)


class StateFile:
    """The current state, and the file that shows it.

    `termination_file` gets the reason once the model is given up. A ready model is shown as unready
    while `hold` holds it.
    """

    def __init__(self, path: str, termination_file: str | None = None) -> None:
        self._path, self._termination_file = Path(path), termination_file
        self._model = self.state = State()
        self._held: tuple[str, str] | None = None
        self._write()

    def hold(self, reason: str, message: str) -> None:
        """Show a ready model as unready, for a reason that is not its own, until `release`."""
        self._held = reason, message
        self.change()

    def release(self) -> None:
        """Show the model's own state."""
        self._held = None
        self.change()

    def change(self, **changes: Any) -> State:
        """Replace fields of the state, and write the file if a field changed.

        `message` is redacted, put on one line and cut at 500 characters.
        """
        self._model = replace(self._model, **changes)
        new = self._model
        if self._held is not None and new.phase == "ready":
            new = replace(new, phase="unready", reason=self._held[0], message=self._held[1])
        line = " ".join(redact(new.message).split())[:500]
        new = replace(new, message=line, at=self.state.at)
        if new != self.state:
            self.state = replace(new, at=time.time())
            self._write()
            if new.phase == "failed" and self._termination_file:
                said = {"reason": new.reason, "message": new.message}
                write_termination_message(self._termination_file, said)
        return self.state

    def _write(self) -> None:
        replace_file(self._path, json.dumps(asdict(self.state)))


def beside(state_file: str, kind: str) -> Path:
    """Return another file of the same server: share.2.json beside state.2.json."""
    path = Path(state_file)
    return path.with_name(f"{kind}{path.name.removeprefix('state')}")


def replace_file(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of the old text or all of the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def write_termination_message(termination_file: str, said: dict[str, Any]) -> None:
    """Write one line of JSON to the termination log, which the kubelet reads when a container ends.

    The file is mounted as a single file: it can be written, not replaced. The kubelet reads 4096
    bytes. https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
    """
    with suppress(OSError):  # the log has the same content
        Path(termination_file).write_text(json.dumps(said) + "\n", encoding="utf-8")
