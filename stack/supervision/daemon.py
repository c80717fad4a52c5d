"""Manage one supervisord: its files, its start, its strays, and calls to it.

stack.supervision.supervisor manages the programs.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from stack.errors import StackError, SupervisorUnavailable
from stack.files import write_private
from stack.supervision import rpc
from stack.supervision.processes import (
    MARKER,
    Entry,
    ancestors,
    end_all,
    family,
    marked,
    read_record,
    table,
    with_descendants,
)
from stack.supervision.program import ACTIVITY_LOG, Program, render

OWNER = "SCHNITZEL_SUPERVISOR"  # supervisord's own variable with the hash of its folder
SUPERVISORD = (sys.executable, "-P", "-m", "supervisor.supervisord", "-c", "supervisord.conf")
OTHERS = "conf.d"
"""The folder beneath a supervisord's folder where operators put programs of their own."""
POLL_SECONDS = 0.02  # a call costs about 1 ms, and makes supervisord reap its children


class Daemon:
    """A supervisord and the folder with its files."""

    def __init__(
        self,
        root: Path,
        identifier: str,
        environment: Mapping[str, str] | None,
        *,
        elsewhere: bool = False,
    ) -> None:
        self.root = root
        self._elsewhere = elsewhere
        self._identifier = identifier
        self._environment = environment
        self._key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]

    def call(self, method: str, *arguments: object) -> Any:
        """Call a method of supervisord; raises as stack.supervision.rpc.call does."""
        return rpc.call(self._socket(), f"supervisor.{method}", *arguments)

    def alive(self) -> bool:
        """Check whether supervisord runs and answers."""
        try:
            return bool(self.call("getState")["statename"] == "RUNNING")
        except StackError:
            return False

    def listens(self) -> bool:
        """Check whether supervisord accepts connections."""
        return rpc.listens(self._socket())

    def start(self) -> None:
        """Start supervisord with the programs on file; needs `lock`, and no stray left.

        Raises:
            SupervisorUnavailable: supervisord does not start; with its output.
        """
        self._make_socket_folder()
        self.write_config()
        environment = dict(os.environ if self._environment is None else self._environment)
        environment.pop(MARKER, None)
        environment[OWNER] = self._key
        # supervisord daemonizes, in its own session, once its socket is open.
        done = subprocess.run(
            SUPERVISORD,
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        if done.returncode != 0 or not wait_until(self.alive, 15.0):
            output = done.stdout.decode(errors="replace").strip()
            raise SupervisorUnavailable(
                f"supervisord did not start: {output or 'it does not answer'}",
                f"See {self.root / ACTIVITY_LOG}.",
            )

    def exec(self) -> NoReturn:
        """Become supervisord as the first process of a container, which can have no strays."""
        with self.lock():
            for record in self.root.glob("pids/*.json"):
                record.unlink(missing_ok=True)
            self._make_socket_folder()
            self.write_config()
        environment = {**os.environ, OWNER: self._key}
        os.chdir(self.root)
        os.execve(  # noqa: S606 - a list, no shell
            sys.executable, [*SUPERVISORD, "--nodaemon"], environment
        )

    def stop(self) -> None:
        """Shut supervisord and its programs down, and wait up to 5 s; needs `lock`."""
        self.call("shutdown")
        wait_until(lambda: not self._own_pids(table()), 5.0)

    def end_orphans(self) -> None:
        """End every process of this folder's supervisords; needs `lock`."""
        if self.root.exists():
            end_all(self._orphans, grace=3.0)
            for record in self.root.glob("pids/*.json"):
                record.unlink(missing_ok=True)

    def remove_socket(self) -> None:
        """Remove a socket outside of the folder; needs `lock`, and no stray left."""
        place = self._socket().parent
        if place != self.root:
            with suppress(OSError):  # another user's, or gone already
                for left in place.glob("sock*"):
                    left.unlink()
                place.rmdir()

    def members(self, name: str) -> list[Entry]:
        """List the processes of a program, including those that left its process group."""
        if self._elsewhere:  # pids of another container mean nothing here
            return []
        processes = table()
        pids = marked(processes.values(), MARKER, f"{self._key}:{name}\0")
        record = read_record(str(self.record_path(name)))
        if record is not None:
            pids |= family(record, processes)
        return [processes[pid] for pid in with_descendants(pids, processes)]

    def definition(self, name: str) -> Program | None:
        """Read the program on file; None if there is none, or another version wrote it."""
        try:
            return Program.from_definition(self.definition_path(name).read_text())
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def reload(self, changed: str) -> None:
        """Load the programs on file, and drop the changed one, which is stopped; needs `lock`."""
        self.write_config()
        self.call("reloadConfig")  # this call alone touches no program
        try:
            self.call("removeProcessGroup", changed)
        except rpc.RemoteError as fault:
            if fault.code != rpc.BAD_NAME:
                raise

    def write_config(self) -> None:
        """Write supervisord.conf for the programs on file."""
        names = sorted(path.stem for path in self.root.glob("programs/*.json"))
        programs = [program for name in names if (program := self.definition(name)) is not None]
        for program in programs:  # supervisord refuses a whole file that names a missing folder
            program.log.parent.mkdir(parents=True, exist_ok=True)
        text = render(self.root, self._identifier, self._key, self._socket(), programs)
        text += f"\n[include]\nfiles = {OTHERS}/*.conf\n"
        write_private(self.root / "supervisord.conf", text)

    def is_ours(self, name: str) -> bool:
        """Check whether a program is our own: its definition or its record exists here."""
        return self.definition_path(name).exists() or self.record_path(name).exists()

    def definition_path(self, name: str) -> Path:
        """Return the path of a program's definition."""
        return self.root / "programs" / f"{name}.json"

    def record_path(self, name: str) -> Path:
        """Return the path of the record with the pid and start time of a program's process."""
        return self.root / "pids" / f"{name}.json"

    @contextmanager
    def lock(self, name: str = "") -> Iterator[None]:
        """Hold a lock among all threads and processes; creates the folder if it is missing.

        Args:
            name: the program to change. Its holder takes the lock of all programs ("") only for
                the short time in which supervisord's configuration changes.
        """
        for folder in ("programs", "pids", "locks"):
            (self.root / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        # A few files for all names: names that share a file only wait for each other.
        lock = f"locks/{zlib.crc32(name.encode()) % 64}" if name else "lock"
        # Never follow a link: a model in a container of its own may put one here.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        with os.fdopen(os.open(self.root / lock, flags, 0o600), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _orphans(self) -> list[Entry]:
        processes = table()
        pids = marked(processes.values(), MARKER, f"{self._key}:") | self._own_pids(processes)
        for path in self.root.glob("pids/*.json"):
            record = read_record(str(path))
            if record is not None:
                pids |= family(record, processes)
        pids = with_descendants(pids, processes) - ancestors(os.getpid(), processes)
        return [processes[pid] for pid in pids if pid in processes]

    def _own_pids(self, processes: dict[int, Entry]) -> set[int]:
        return marked(processes.values(), OWNER, f"{self._key}\0")

    def _socket(self) -> Path:
        # bind() takes 107 bytes at most, and supervisord first binds "<name>.<pid>".
        plain = self.root / "supervisord.sock"
        if len(os.fsencode(plain)) <= 90:
            return plain
        return Path("/tmp") / f"schnitzel-{os.getuid()}-{self._key}" / "sock"  # noqa: S108 - see _make_socket_folder

    def _make_socket_folder(self) -> None:
        folder = self._socket().parent
        folder.mkdir(exist_ok=True, mode=0o700)
        if folder.lstat().st_uid != os.getuid():
            raise SupervisorUnavailable(
                f"{folder} belongs to another user.", f"Have it removed: rm -r {folder}"
            )
        folder.chmod(0o700)  # a process that reaches the socket can start programs


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds or the time is over; return whether it held."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
