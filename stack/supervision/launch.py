"""Replace this process by a supervised program, after ending the remains of its last run.

supervisord starts this launcher instead of the command itself, so that no quoting or %-expansion of
supervisord's configuration format touches an argument or a value, and no secret is in that
configuration. Before the launcher becomes the program, it ends the processes that an earlier run of
the program left behind (workers whose parent was killed keep ports and memory), and records its own
process.

Run as `python -I -S launch.py DEFINITION RECORD`; exits with 127 if the command cannot be run.
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120 - pathlib would double the start time

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
    write_record,
)


def _earlier_life(marker: str, record_path: str) -> list[Entry]:
    processes = table()
    pids = marked(processes.values(), MARKER, f"{marker}\0")
    record = read_record(record_path)
    if record is not None:
        pids |= family(record, processes)
    pids = with_descendants(pids - {os.getpid()}, processes) - ancestors(os.getpid(), processes)
    return [processes[pid] for pid in pids]


def main(definition_path: str, record_path: str) -> None:
    """Become the program of a definition file."""
    with open(definition_path, encoding="ascii") as file:  # noqa: PTH123 - as above
        definition = json.load(file)
    marker = os.environ[MARKER]
    end_all(lambda: _earlier_life(marker, record_path), grace=2.0)
    write_record(record_path)
    foreign = ("SUPERVISOR_", *definition.get("without", ()))
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and name != "SCHNITZEL_SUPERVISOR"
    }
    environment.update(definition["environment"])
    environment[MARKER] = marker
    try:
        os.chdir(definition["directory"])
        os.execvpe(definition["command"][0], definition["command"], environment)  # noqa: S606 - a list, no shell
    except OSError as error:
        sys.exit(f"cannot start {definition['command'][0]}: {error.strerror}: {error.filename}")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2])
    except SystemExit as error:
        sys.stderr.write(f"{error.code}\n")
        sys.exit(127)
