import socket
from pathlib import Path

import pytest

from stack.errors import SupervisorUnavailable
from stack.supervision import rpc


def test_a_silent_supervisord_does_not_hang_its_caller(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "sock"))
        silent.listen()
        with pytest.raises(SupervisorUnavailable, match="timed out"):
            rpc.call(tmp_path / "sock", "supervisor.getState", timeout=0.1)


def test_no_supervisord_is_said_with_a_next_step(tmp_path: Path) -> None:
    with pytest.raises(SupervisorUnavailable) as caught:
        rpc.call(tmp_path / "sock", "supervisor.getState")
    assert "schnitzel up" in caught.value.hint
