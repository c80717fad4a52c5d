import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.run.process import lives
from support.run.wait import wait_for

from stack.errors import ProgramError
from stack.supervision.processes import Record, boot_id, entry
from stack.supervision.program import Program
from stack.supervision.supervisor import Supervisor, SupervisorUnavailable

Make = Callable[..., Program]

# Starts a child that leaves the process group and ignores SIGTERM, and says who it is.
WITH_FUGITIVE = """
import os, signal, sys, time
child = os.fork()
if child == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    with open(sys.argv[1], "w") as file:
        file.write(str(child))
time.sleep(600)
"""


def pid_of(supervisor: Supervisor, name: str) -> int:
    pid = supervisor.processes()[name].pid
    assert pid is not None
    return pid


def pid_in(path: Path) -> int:
    return int(path.read_text()) if path.exists() and path.read_text() else 0


def supervisord_pid(tmp_path: Path) -> int:
    return int((tmp_path / "run" / "supervisord.pid").read_text())


def kill_supervisord(tmp_path: Path) -> None:
    pid = supervisord_pid(tmp_path)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not lives(pid))


def test_a_program_runs_and_its_state_is_told(supervisor: Supervisor, program: Make) -> None:
    assert not supervisor.alive()
    before = int(time.time())  # supervisord counts whole seconds
    assert supervisor.ensure() is True
    assert supervisor.ensure() is False
    supervisor.put(program("a"))
    assert supervisor.processes()["a"].pid
    wait_for(lambda: supervisor.processes()["a"].state == "RUNNING")
    process = supervisor.processes()["a"]
    assert process.name == "a"
    assert entry(process.pid or 0) is not None
    assert before <= (process.started or 0) <= time.time()
    assert process.exit_status is None


def test_an_unchanged_program_is_left_alone(supervisor: Supervisor, program: Make) -> None:
    supervisor.ensure()
    supervisor.put(program("a"))
    before = pid_of(supervisor, "a")
    supervisor.put(program("a"))
    assert pid_of(supervisor, "a") == before


def test_a_changed_program_is_replaced_and_no_other_is_touched(
    supervisor: Supervisor, program: Make
) -> None:
    supervisor.ensure()
    supervisor.put(program("a"))
    supervisor.put(program("b"))
    a, b = pid_of(supervisor, "a"), pid_of(supervisor, "b")
    supervisor.put(program("a", environment={"X": "1"}))
    assert pid_of(supervisor, "b") == b
    assert pid_of(supervisor, "a") != a
    assert not lives(a)


def test_as_long_as_the_mark_stays_so_do_the_processes(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    """Through starts, a crash, a program that gives up, and a removal by somebody else."""
    told: dict[object, dict[str, object]] = {}

    def state(name: str) -> tuple[str, int | None] | None:
        before, found, after = supervisor.mark(), supervisor.processes(), supervisor.mark()
        # The caller of put and remove waits for the end of these.
        seen = {n: (p.state, p.pid) for n, p in found.items() if p.state[:4] != "STOP"}
        if before == after and len(seen) == len(found):
            assert told.setdefault(before, seen) == seen
        return seen.get(name)

    def goes_to(name: str, wanted: str) -> int | None:
        return wait_for(lambda: (now := state(name)) and now[0] == wanted and (now[1] or 1))

    marks: list[object] = [supervisor.mark()]
    assert marks == [None]
    supervisor.ensure()
    supervisor.put(program("a"))
    first = goes_to("a", "RUNNING")
    assert first
    marks.append(supervisor.mark())
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: (now := state("a")) and now[0] == "RUNNING" and now[1] != first)
    marks.append(supervisor.mark())
    supervisor.put(program("b", "raise SystemExit(3)", start_seconds=1, start_retries=1))
    goes_to("b", "FATAL")
    marks.append(supervisor.mark())
    Supervisor(tmp_path / "run", "test").remove("a", grace=5)
    wait_for(lambda: state("a") is None)
    marks.append(supervisor.mark())
    assert len(set(marks)) == len(marks)
    assert all(state("b") == ("FATAL", None) for _ in range(20))
    assert supervisor.mark() == marks[-1]


def test_it_listens_while_it_lives(supervisor: Supervisor, tmp_path: Path) -> None:
    assert not supervisor.listens()
    supervisor.ensure()
    assert supervisor.listens()
    kill_supervisord(tmp_path)
    assert not supervisor.listens()


def test_restart_gives_a_new_process(supervisor: Supervisor, program: Make) -> None:
    supervisor.ensure()
    supervisor.put(program("a"))
    before = pid_of(supervisor, "a")
    supervisor.restart("a")
    wait_for(lambda: supervisor.processes()["a"].pid not in (None, before))


def test_removing_a_program_that_is_not_known_is_no_error(supervisor: Supervisor) -> None:
    supervisor.ensure()
    supervisor.remove("nobody", grace=1)


def test_removal_ends_children_that_left_the_group_and_ignore_the_signal(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    supervisor.ensure()
    supervisor.put(program("a", WITH_FUGITIVE, str(tmp_path / "child")))
    child = wait_for(lambda: pid_in(tmp_path / "child"))
    parent = pid_of(supervisor, "a")
    supervisor.remove("a", grace=1)
    assert not lives(parent)
    assert not lives(child)
    assert supervisor.processes() == {}


def test_a_stubborn_program_is_asked_then_killed_after_the_grace_and_not_after_its_own_time(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    stubborn = (
        "import signal,sys,time; say = lambda text: open(sys.argv[1], 'w').write(text);"
        "signal.signal(signal.SIGTERM, lambda *_: say('2')); say('1'); time.sleep(3600)"
    )
    supervisor.ensure()
    supervisor.put(program("a", stubborn, str(tmp_path / "on"), stop_seconds=3600))
    wait_for(lambda: pid_in(tmp_path / "on") == 1)
    pid = pid_of(supervisor, "a")
    supervisor.remove("a", grace=1)
    assert not lives(pid)
    assert pid_in(tmp_path / "on") == 2, "it was not asked first"


HOSTILE = {
    "PERCENT": "100%(x)s %% %d %(ENV_HOME)s",
    "QUOTES": """a"b'c`d""",
    "LIST": 'a,b="c",d=e',
    "LINES": "one\ntwo\r\n[program:evil]\ncommand=/bin/false\n",
    "COMMENT": "value ; not a comment # nor this",
    "SPACES": "  both ends  ",
    "EMPTY": "",
    "UNICODE": "Käse 🧀",
    "BYTES": os.fsdecode(b"\xff\xfe"),
    "BACKSLASH": "\\n \\",
    "DOLLAR": "$HOME ${HOME} $(id)",
}


def test_hostile_values_and_arguments_arrive_as_they_are(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    code = (
        "import json,os,sys; path=sys.argv[1]; json.dump([dict(os.environ), sys.argv[2:]],"
        "open(path+'.new','w')); os.rename(path+'.new', path)"
    )
    target = tmp_path / "seen.json"
    supervisor.ensure()
    supervisor.put(
        program("a", code, str(target), *HOSTILE.values(), environment=HOSTILE, autorestart="false")
    )
    wait_for(target.exists)
    environment, arguments = json.loads(target.read_text())
    assert {name: environment[name] for name in HOSTILE} == HOSTILE
    assert arguments == list(HOSTILE.values())
    assert not [name for name in environment if name.startswith("SUPERVISOR_")]


def test_a_secret_is_in_no_command_line_and_in_files_of_the_owner_only(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    supervisor.ensure()
    supervisor.put(program("a", environment={"PASSWORD": "s3cr3t-value"}))
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert b"s3cr3t-value" not in path.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
    run = tmp_path / "run"
    assert run.stat().st_mode & 0o777 == 0o700
    for path in run.rglob("*"):
        if path.is_file() and "s3cr3t-value" in path.read_text(errors="replace"):
            assert path.stat().st_mode & 0o777 == 0o600
    assert (run / "supervisord.conf").stat().st_mode & 0o777 == 0o600
    assert (run / "supervisord.sock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name", ["deep/" * 30 + "down", "with space", "100%(x)s", "a ;b #c", "~root", "Käse", "[x]*?"]
)
def test_any_folder_will_do(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    supervisor = Supervisor(root / "run", "test")
    try:
        supervisor.ensure()
        supervisor.put(
            Program("a", ("sh", "-c", "echo here; exec sleep 600"), {}, root, root / "logs/a.log")
        )
        wait_for(lambda: supervisor.tail("a", 5) == "here\n")
    finally:
        supervisor.shutdown()
    assert not supervisor.alive()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "a:b"}, "name"),
        ({"name": ""}, "name"),
        ({"command": ()}, "no command"),
        ({"environment": {"A=B": "x"}}, "variable"),
        ({"environment": {"A": "x\0y"}}, "NUL"),
        ({"directory": Path("relative")}, "absolute"),
    ],
)
def test_what_cannot_be_supervised_is_refused(fields: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {
        "name": "a",
        "command": ("true",),
        "environment": {},
        "directory": Path("/"),
        "log": Path("/log"),
    }
    with pytest.raises(ProgramError, match=words):
        Program(**(good | fields))


def test_a_program_that_crashes_comes_back_without_what_it_left_behind(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    supervisor.ensure()
    supervisor.put(program("a", WITH_FUGITIVE, str(tmp_path / "child")))
    child = wait_for(lambda: pid_in(tmp_path / "child"))
    crashed = pid_of(supervisor, "a")
    os.kill(crashed, signal.SIGKILL)
    wait_for(lambda: supervisor.processes()["a"].pid not in (None, crashed))
    wait_for(lambda: pid_in(tmp_path / "child") not in (0, child))
    assert not lives(child)


def test_an_exit_that_was_meant_is_final_and_its_status_told(
    supervisor: Supervisor, program: Make
) -> None:
    supervisor.ensure()
    supervisor.put(
        program("a", "raise SystemExit(64)", autorestart="unexpected", exit_codes=(0, 64))
    )
    wait_for(lambda: supervisor.processes()["a"].state == "EXITED")
    process = supervisor.processes()["a"]
    assert (process.pid, process.started, process.exit_status) == (None, None, 64)
    supervisor.put(
        program("a", "raise SystemExit(64)", autorestart="unexpected", exit_codes=(0, 64))
    )
    assert supervisor.processes()["a"].state == "EXITED"


def test_a_command_that_does_not_exist_says_so_in_its_log(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.ensure()
    log = tmp_path / "logs" / "a.log"
    supervisor.put(Program("a", ("/no/such", "x"), {}, tmp_path, log, start_retries=0))
    wait_for(lambda: supervisor.processes()["a"].state == "FATAL")
    assert "cannot start /no/such: No such file or directory" in supervisor.tail("a", 3)


def test_tail_gives_the_last_lines_only(supervisor: Supervisor, program: Make) -> None:
    supervisor.ensure()
    supervisor.put(program("a", "for i in range(100): print(i)", autorestart="false"))
    wait_for(lambda: supervisor.tail("a", 2) == "98\n99\n")
    assert supervisor.tail("nobody", 5) == ""


def test_a_killed_supervisord_is_replaced_and_its_strays_are_ended_first(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    supervisor.ensure()
    supervisor.put(program("a", WITH_FUGITIVE, str(tmp_path / "child")))
    supervisor.put(program("b"))
    child = wait_for(lambda: pid_in(tmp_path / "child"))
    strays = [pid_of(supervisor, "a"), pid_of(supervisor, "b"), child]
    kill_supervisord(tmp_path)
    assert not supervisor.alive()
    with pytest.raises(SupervisorUnavailable):
        supervisor.processes()
    assert all(lives(pid) for pid in strays)
    assert supervisor.ensure() is True
    assert not any(lives(pid) for pid in strays)
    wait_for(lambda: {p.state for p in supervisor.processes().values()} == {"RUNNING"})
    assert set(supervisor.processes()) == {"a", "b"}


def test_a_fresh_one_knows_no_program(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    supervisor.ensure()
    supervisor.put(program("a"))
    kill_supervisord(tmp_path)
    supervisor.ensure(fresh=True)
    assert supervisor.processes() == {}


def test_a_stray_that_hides_its_environment_is_found_by_its_group(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    # As setproctitle does: nothing of the marker is left, and the leader of the group is dead.
    child = (
        "import time,sys; open(sys.argv[1],'w').write(str(__import__('os').getpid()));"
        "time.sleep(600)"
    )
    parent = (
        "import subprocess,sys,os,time; subprocess.Popen([sys.executable, '-S', '-c', sys.argv[2],"
        " sys.argv[1]], env={'PATH': '/usr/bin'}); time.sleep(600)"
    )
    supervisor.ensure()
    supervisor.put(program("a", parent, str(tmp_path / "child"), child))
    stray = wait_for(lambda: pid_in(tmp_path / "child"))
    leader = pid_of(supervisor, "a")
    kill_supervisord(tmp_path)
    os.kill(leader, signal.SIGKILL)
    wait_for(lambda: not lives(leader))
    assert lives(stray)
    supervisor.ensure(fresh=True)
    assert not lives(stray)


@pytest.fixture
def other_listener() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("wrong", ["start", "boot"])
def test_a_stranger_with_a_recorded_pid_is_never_touched(
    wrong: str, supervisor: Supervisor, tmp_path: Path, other_listener: subprocess.Popen[bytes]
) -> None:
    it = entry(other_listener.pid)
    assert it is not None
    record = Record(boot_id(), it.pid, it.group, it.session, it.start)._asdict()
    record[wrong] = it.start - 1 if wrong == "start" else "another-boot"
    (tmp_path / "run" / "pids").mkdir(parents=True)
    (tmp_path / "run" / "pids" / "a.json").write_text(json.dumps(record))
    supervisor.ensure()
    supervisor.shutdown()
    assert other_listener.poll() is None


def test_a_torn_record_or_definition_is_no_obstacle(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    for folder in ("pids", "programs"):
        (tmp_path / "run" / folder).mkdir(parents=True)
        (tmp_path / "run" / folder / "a.json").write_text('{"pid": 1')
    supervisor.ensure()
    supervisor.put(program("a"))
    assert supervisor.processes()["a"].pid


def test_many_at_once_start_one_supervisord_and_each_program_once(
    program: Make, tmp_path: Path
) -> None:
    code = "import os,sys,time; open(sys.argv[1],'a').write('x'); time.sleep(600)"

    def work(number: int) -> bool:
        mine = Supervisor(tmp_path / "run", "test")
        started = mine.ensure()
        mine.put(program(f"p{number % 4}", code, str(tmp_path / f"count{number % 4}")))
        return started

    supervisor = Supervisor(tmp_path / "run", "test")
    try:
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(work, range(8))) == 1
        wait_for(lambda: {p.state for p in supervisor.processes().values()} == {"RUNNING"})
        assert len(supervisor.processes()) == 4
        # Two callers with the same program at once: the second one changes nothing.
        wait_for(lambda: all((tmp_path / f"count{n}").exists() for n in range(4)))
        wait_for(lambda: all((tmp_path / f"count{n}").read_text() for n in range(4)))
        assert [(tmp_path / f"count{n}").read_text() for n in range(4)] == ["x"] * 4
    finally:
        supervisor.shutdown()


def test_one_whose_socket_was_swept_away_is_replaced(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    supervisor.ensure()
    supervisor.put(program("a"))
    first, a = supervisord_pid(tmp_path), pid_of(supervisor, "a")
    (tmp_path / "run" / "supervisord.sock").unlink()
    assert supervisor.ensure() is True
    assert not lives(first)
    assert not lives(a)


def test_stale_pid_and_socket_files_do_not_stop_a_start(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    supervisor.ensure()
    kill_supervisord(tmp_path)
    assert (tmp_path / "run" / "supervisord.sock").exists()
    (tmp_path / "run" / "supervisord.pid").write_text(str(os.getpid()))
    assert supervisor.ensure() is True


def test_shutdown_leaves_no_process_and_keeps_what_was_to_run(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    supervisor.ensure()
    supervisor.put(program("a", WITH_FUGITIVE, str(tmp_path / "child")))
    supervisor.put(program("b"))
    pids = [wait_for(lambda: pid_in(tmp_path / "child")), supervisord_pid(tmp_path)]
    pids += [pid_of(supervisor, "a"), pid_of(supervisor, "b")]
    supervisor.shutdown()
    assert not any(lives(pid) for pid in pids)
    supervisor.shutdown()  # a second time is no error
    assert supervisor.ensure() is True
    assert set(supervisor.processes()) == {"a", "b"}


@pytest.mark.parametrize("how", ["shut down", "killed"])
def test_a_socket_that_had_to_lie_elsewhere_is_gone_with_its_folder(
    how: str, tmp_path: Path
) -> None:
    deep = tmp_path / ("deep/" * 30)
    supervisor = Supervisor(deep / "run", "test")
    try:
        supervisor.ensure()
        text = (deep / "run" / "supervisord.conf").read_text()
        [place] = re.findall(r"^file = (.*)$", text, re.MULTILINE)
        socket = (deep / "run" / place).resolve()
        assert socket.is_socket()
        if how == "killed":
            kill_supervisord(deep)
    finally:
        supervisor.shutdown()
    assert not socket.parent.exists()
    assert supervisor.ensure() is True
    supervisor.shutdown()


def test_a_supervisord_that_a_program_started_outlives_that_program(
    supervisor: Supervisor, program: Make, tmp_path: Path
) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[3].split(':'); from pathlib import Path;"
        "from stack.supervision.supervisor import Program, Supervisor;"
        "inner = Supervisor(Path(sys.argv[1]), 'inner'); inner.ensure();"
        "inner.put(Program('x', ('sleep', '600'), {}, Path('/'), Path(sys.argv[2])));"
        "import time; time.sleep(600)"
    )
    inner = Supervisor(tmp_path / "inner", "inner")
    supervisor.ensure()
    try:
        supervisor.put(
            program("a", code, str(tmp_path / "inner"), str(tmp_path / "x.log"), ":".join(sys.path))
        )
        wait_for(lambda: inner.alive() and "x" in inner.processes())
        served = pid_of(inner, "x")
        supervisor.shutdown()
        assert pid_of(inner, "x") == served
    finally:
        inner.shutdown()
