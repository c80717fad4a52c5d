"""Keep programs running under a supervisord, and report their state.

supervisord does not adopt running children. So a file records each program's pid and start time,
each process carries a marker in its environment variables, and all processes that an earlier
supervisord left behind are ended before the next supervisord starts.
"""

import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from stack.errors import StackError, SupervisorUnavailable
from stack.files import Stamp, stamp, write_private
from stack.supervision import rpc
from stack.supervision.daemon import OTHERS, Daemon, wait_until
from stack.supervision.processes import Entry, end, end_all, entry
from stack.supervision.program import ACTIVITY_LOG, Process, Program, State

__all__ = ["Process", "Program", "Supervisor", "SupervisorUnavailable"]

SERVING = "schnitzel-serving"
"""The identifier of the supervisord of model servers."""
ENDED = (None, "STOPPED", "EXITED", "FATAL", "UNKNOWN")


class Supervisor:
    """A supervisord whose files lie in one folder; safe for many threads and processes.

    Args:
        root: the folder, created with mode 0700 if missing.
        identifier: the identifier in supervisord's configuration.
        environment: the variables of supervisord, and so of every program; default: the caller's.
        elsewhere: whether supervisord runs in another container with the same folder: this
            process calls it but never starts it, and cannot see its processes.
    """

    def __init__(
        self,
        root: Path,
        identifier: str,
        environment: Mapping[str, str] | None = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        self._daemon = Daemon(root, identifier, environment, elsewhere=elsewhere)
        self._elsewhere = elsewhere

    def alive(self) -> bool:
        """Check whether supervisord runs and answers."""
        return self._daemon.alive()

    def listens(self) -> bool:
        """Check whether supervisord accepts connections, at a fraction of the cost of `alive`.

        The connection also makes supervisord reap the children that ended.
        """
        return self._daemon.listens()

    def ensure(self, *, fresh: bool = False) -> bool:
        """Start supervisord if it is dead; return True if it was.

        Processes of the dead supervisord are ended first. Its programs start again, unless
        `fresh` is set: then the new supervisord starts without programs.

        Raises:
            SupervisorUnavailable: supervisord does not start; with its output.
        """
        if self.alive():
            return False
        if self._elsewhere:
            raise SupervisorUnavailable(
                "The container of the model servers does not answer.",
                "See what it says: docker compose logs models",
            )
        with self._daemon.lock():
            if self.alive():
                return False
            self._daemon.end_orphans()
            if fresh:
                for path in self._daemon.root.glob("programs/*.json"):
                    path.unlink(missing_ok=True)
            self._daemon.start()
        return True

    def put(self, program: Program) -> None:
        """Run a program as defined: start it if new, replace it if changed, else leave it.

        Raises:
            StackError: a foreign program has the same name, and is left as it is.
        """
        if self._is_in_place(program):
            return
        with self._daemon.lock(program.name):
            if self._is_in_place(program):  # another caller was faster
                return
            if not self._daemon.is_ours(program.name) and self._state(program.name):
                raise StackError(
                    f"supervisord runs a foreign program {program.name!r}.",
                    f"Give that program another name, in {self._daemon.root / OTHERS}.",
                )
            self._stop(program.name, program.stop_seconds)
            with self._daemon.lock():
                write_private(self._daemon.definition_path(program.name), program.definition())
                self._daemon.reload(program.name)
                self._daemon.call("addProcessGroup", program.name)
            # supervisord starts it in the next turn of its loop: no caller may see it STOPPED.
            wait_until(lambda: self._state(program.name) != "STOPPED", 5.0)

    def remove(self, name: str, *, grace: float) -> None:
        """Stop and delete a program: its process group, and the processes that left that group.

        Args:
            name: a program; an unknown or foreign program counts as removed.
            grace: seconds from the stop signal to SIGKILL; the program's own stop_seconds
                apply if they are fewer.
        """
        with self._daemon.lock(name):
            if not self._daemon.is_ours(name):
                return
            self._stop(name, grace)
            with self._daemon.lock():
                self._daemon.definition_path(name).unlink(missing_ok=True)
                self._daemon.reload(name)
                self._daemon.record_path(name).unlink(missing_ok=True)

    def restart(self, name: str) -> None:
        """Stop a program and start it again, even if it had failed or exited."""
        with self._daemon.lock(name):
            self._stop(name, self._stop_seconds(name))
            self._daemon.call("startProcess", name, False)

    def processes(self) -> dict[str, Process]:
        """Return our own programs by name.

        Raises:
            SupervisorUnavailable: supervisord is dead.
        """
        known = self._daemon.call("getAllProcessInfo")
        return {i["name"]: _process(i) for i in known if self._daemon.is_ours(i["name"])}

    def mark(self) -> tuple[Stamp, Stamp] | None:
        """Return a value that is another one once `processes` may be; None if there is none.

        supervisord writes each change of a program's state to its activity log, and a removal ends
        with that of the program's record.
        """
        log, records = (stamp(self._daemon.root / name) for name in (ACTIVITY_LOG, "pids"))
        return (log, records) if log and records else None

    def tail(self, name: str, lines: int) -> str:
        """Return the last lines of a program's log, dead or alive; "" if there is no log."""
        program = self._daemon.definition(name)
        if program is None or not program.log.exists():
            return ""
        with program.log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 1024 * lines))
            return b"".join(deque(file, lines)).decode(errors="replace")

    def shutdown(self) -> None:
        """Stop all programs in parallel, then supervisord; return once no process is left.

        The definitions stay on file, so that `ensure` starts the programs again. Strays of a dead
        supervisord are ended too.
        """
        if not self._daemon.root.exists():
            return
        with self._daemon.lock():
            with suppress(StackError):
                names = list(self.processes())
                # supervisord's own shutdown stops one program after the other
                with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
                    list(pool.map(lambda name: self._stop(name, self._stop_seconds(name)), names))
                self._daemon.stop()
            self._daemon.end_orphans()
            self._daemon.remove_socket()

    def _state(self, name: str) -> State | None:
        try:
            return cast(State, self._daemon.call("getProcessInfo", name)["statename"])
        except rpc.RemoteError as fault:
            if fault.code == rpc.BAD_NAME:
                return None
            raise

    def _is_in_place(self, program: Program) -> bool:
        return self._daemon.definition(program.name) == program and self._state(
            program.name
        ) not in (None, "STOPPED")

    def _stop(self, name: str, grace: float) -> None:
        members = self._daemon.members(name)
        if self._state(name) not in ENDED:
            with suppress(rpc.RemoteError):  # the program may have ended, or be stopping, by now
                self._daemon.call("stopProcess", name, False)
            if not wait_until(lambda: self._state(name) in ENDED, grace):
                end(members, grace=0.0)
                wait_until(lambda: self._state(name) in ENDED, 5.0)
        # Processes that left the group (setsid) are known from before the stop, or by their marker.
        end_all(lambda: [*filter(_is_alive, members), *self._daemon.members(name)], grace=1.0)

    def _stop_seconds(self, name: str) -> int:
        program = self._daemon.definition(name)
        return program.stop_seconds if program else 10


def _process(info: dict[str, Any]) -> Process:
    pid = info["pid"] or None
    return Process(
        name=info["name"],
        state=info["statename"],
        pid=pid,
        started=float(info["start"]) if pid else None,
        exit_status=info["exitstatus"] if not pid and info["stop"] else None,
        message=info["spawnerr"] or info["description"],
    )


def _is_alive(process: Entry) -> bool:
    now = entry(process.pid)
    return now is not None and now.start == process.start
