"""Run a command and end all of its processes, even if the calling Airflow task is killed.

A separate program between an Airflow task and a step: `python process_guard.py GRACE COMMAND...`.
The task holds the guard's standard input open. When that closes (the task was killed, even by
SIGKILL), or when the guard gets SIGTERM, the command's process group gets SIGTERM and, GRACE
seconds later, SIGKILL. When the command exits, the guard ends the processes that it left running.
The guard needs only the standard library.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code, 128 + n after signal n, 127 if it cannot start."""
    grace, command = float(arguments[0]), arguments[1:]
    over, ended = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _adopt_orphans()
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        sys.stdout.write(f"{command[0]}: {error.strerror}\n")
        return 127

    def wait_for_the_task() -> None:
        os.read(sys.stdin.fileno(), 1)
        over.set()

    def wait_for_the_command() -> None:
        process.wait()
        ended.set()
        over.set()

    threading.Thread(target=wait_for_the_task, daemon=True).start()
    threading.Thread(target=wait_for_the_command, daemon=True).start()
    over.wait()
    _end(process.pid, ended, grace)
    ended.wait()
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end(group: int, ended: threading.Event, grace: float) -> None:
    """Send SIGTERM to the group, SIGKILL after `grace` seconds, and SIGKILL to children left."""
    deadline = time.monotonic() + grace
    alive = _signal_group(group, signal.SIGTERM)
    while alive and time.monotonic() < deadline:
        time.sleep(0.02)
        if ended.is_set():  # an earlier reap could take the command's own exit status
            _reap()
        alive = _signal_group(group, 0)
    _signal_group(group, signal.SIGKILL)
    ended.wait()
    _reap()
    while children := _children():
        for child in children:
            os.kill(child, signal.SIGKILL)
        os.waitpid(-1, 0)
        _reap()


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether the group had a process."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return


def _adopt_orphans() -> None:
    """Adopt processes that left the command's group once their parent is gone (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children() -> list[int]:
    """List our children, adopted ones too (Linux; elsewhere the list is empty)."""
    listing = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in listing.read_text().split()] if listing.exists() else []


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
