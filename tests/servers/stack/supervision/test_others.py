"""A program that somebody else put beside ours, in the same supervisord, is left as it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.run.wait import wait_for

from stack.errors import StackError
from stack.supervision.daemon import OTHERS
from stack.supervision.program import Program
from stack.supervision.supervisor import Supervisor

SECTION = """[program:{name}]
command = {python} -S -c "import time; time.sleep(600)"
startsecs = 0
"""


def test_a_program_of_somebody_else_stays_as_it_is_and_its_name_is_not_taken(
    supervisor: Supervisor, program: Callable[..., Program]
) -> None:
    daemon = supervisor._daemon
    supervisor.ensure()
    file: Path = daemon.root / OTHERS / "theirs.conf"
    file.parent.mkdir()
    file.write_text(SECTION.format(name="theirs", python=sys.executable))
    daemon.call("reloadConfig")  # as a person does, with supervisorctl
    daemon.call("addProcessGroup", "theirs")

    def seen() -> dict[str, Any]:
        info: dict[str, Any] = daemon.call("getProcessInfo", "theirs")
        return info

    def runs() -> int:
        return wait_for(lambda: seen()["statename"] == "RUNNING" and int(seen()["pid"]), "theirs")

    pid, text = runs(), file.read_text()
    supervisor.put(program("ours"))
    assert set(supervisor.processes()) == {"ours"}
    with pytest.raises(StackError, match="foreign program") as said:
        supervisor.put(program("theirs"))
    assert str(file.parent) in said.value.hint
    supervisor.remove("theirs", grace=1)
    supervisor.put(program("ours", "import time; time.sleep(601)"))
    supervisor.restart("ours")
    supervisor.remove("ours", grace=1)
    assert runs() == pid
    supervisor.shutdown()
    assert file.read_text() == text
    supervisor.ensure()
    assert runs() != pid
    assert not supervisor.processes()
