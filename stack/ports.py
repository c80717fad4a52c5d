"""Choose a free port for each listener, and record it.

A recorded port is kept while it is free or held by our own program, so that URLs last; a taken port
is replaced by the next free port, and a notice says so.
"""

import json
import socket
from collections.abc import Collection, Mapping
from pathlib import Path

from stack.errors import PortError
from stack.files import write_private

TRIES = 200


def is_free(port: int) -> bool:
    """Check whether a server could listen on a port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # Servers set it too: a connection that lingers in TIME_WAIT is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def recorded(path: Path) -> dict[str, int]:
    """Read the recorded ports by listener; empty if there is no such file."""
    try:
        return {str(name): int(port) for name, port in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def choose(
    wanted: Mapping[str, int], path: Path, ours: Collection[str]
) -> tuple[dict[str, int], list[str]]:
    """Choose and record a port for each listener.

    Args:
        wanted: the port in the settings by listener.
        path: ports.json; a file beside it keeps the wanted ports of that time.
        ours: the listeners that run now, and so hold their recorded port themselves.

    Returns:
        The ports by listener, and a sentence for each port that is not the wanted port.

    Raises:
        PortError: 200 ports in a row are taken.
    """
    before, wanted_path = recorded(path), path.with_name(f".{path.stem}-wanted.json")
    wanted_before = recorded(wanted_path)
    chosen: dict[str, int] = {}
    notices = []
    for name, want in wanted.items():
        kept = before.get(name)
        if kept is not None and wanted_before.get(name) == want:
            first, held = kept, name in ours
        else:
            first, held = want, before.get(name) == want and name in ours
        others = {*chosen.values(), *(port for other, port in wanted.items() if other != name)}
        chosen[name] = first if held else _next_free(name, first, others)
        if chosen[name] != want:
            notices.append(f"Port {want} is taken: {name} is on port {chosen[name]} instead.")
    merged = before | chosen
    if merged != before:
        write_private(path, json.dumps(merged, indent=1) + "\n")
    if dict(wanted) != wanted_before:
        write_private(wanted_path, json.dumps(dict(wanted), indent=1) + "\n")
    return chosen, notices


def _next_free(name: str, first: int, others: Collection[int]) -> int:
    for port in range(first, min(first + TRIES, 65536)):
        if (port == first or port not in others) and is_free(port):
            return port
    component, _, listener = name.partition("_")
    field = f"{listener}_port" if listener else "port"
    raise PortError(
        f"No free port for {name}: {first} to {first + TRIES - 1} are taken.",
        f"Name another one: SCHNITZEL_{component.upper()}__{field.upper()}=20000 schnitzel up",
    )
