"""Check whether our own process listens on a TCP port of this machine.

Another program may take a port between our check and our start, and answer in our place. The facts
come from /proc/net/tcp (proc(5): the local address in hex, state 0A is LISTEN, the tenth field is
the inode) and the descriptors of processes.
"""

import os
from contextlib import suppress

from stack.supervision.processes import Entry, table, with_descendants

LISTEN = "0A"


def other_listener(port: int, pid: int) -> str:
    """Name the foreign program that listens on a port in place of a process and its descendants.

    Args:
        port: the port, on any address of this machine.
        pid: the pid of the process that should listen.

    Returns:
        Empty if the right process listens, or none, or if /proc does not show the listener.
    """
    inodes = _listening(port)
    if not inodes:
        return ""
    processes = table()
    ours = with_descendants({pid}, processes)
    if any(_holds(each, inodes) for each in ours):
        return ""
    for process in processes.values():
        if process.pid not in ours and _holds(process.pid, inodes):
            return f"{_name(process)} (pid {process.pid})"
    return "another user's program"


def _listening(port: int) -> set[str]:
    inodes = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(name, encoding="ascii") as file:  # noqa: PTH123 - as in processes
            next(file)
            for line in file:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes


def _holds(pid: int, inodes: set[str]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    with suppress(OSError):
        for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - as in processes
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{descriptor}") in wanted:  # noqa: PTH115 - likewise
                    return True
    return False


def _name(process: Entry) -> str:
    with suppress(OSError), open(f"/proc/{process.pid}/comm", encoding="utf-8") as file:  # noqa: PTH123 - as in processes
        return file.read().strip()
    return "a program"
