"""Define supervised programs, and render supervisord's configuration for them."""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from stack.errors import ProgramError
from stack.supervision.processes import MARKER

State = Literal[
    "STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"
]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_KINDS: dict[str, Callable[[Any], Any]] = {  # the fields whose type JSON does not carry
    "command": tuple,
    "exit_codes": tuple,
    "directory": Path,
    "log": Path,
    "without": tuple,
}
ACTIVITY_LOG = "supervisord.log"
"""The file to which supervisord writes what it does, each change of a program's state among it."""
LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Program:
    """A supervised program; its values may hold any character but NUL."""

    name: str
    """Letters, digits, `.`, `_` and `-`, at most 128."""
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """Added to supervisord's own environment variables."""
    directory: Path
    """Absolute; must exist when the program starts."""
    log: Path
    """Standard output and error together; rotated at 10 MB, three old files kept."""
    autorestart: Literal["true", "false", "unexpected"] = "true"
    exit_codes: tuple[int, ...] = (0,)
    """The codes that autorestart="unexpected" takes for an intended end."""
    start_seconds: int = 1
    """Seconds alive until RUNNING; an earlier end is a failed start."""
    start_retries: int = 3
    """The number of failed starts in a row until FATAL."""
    stop_seconds: int = 10
    """Seconds from the stop signal to SIGKILL, both sent to the whole process group."""
    stop_signal: str = "TERM"
    without: tuple[str, ...] = ()
    """Beginnings of the names of inherited variables that the program does not get."""

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise ProgramError(
                f"The program {self.name!r} cannot be supervised: {problem}.",
                "Correct the program's definition.",
            )

    def _problem(self) -> str:
        strings = (*self.command, *self.environment, *self.environment.values())
        if not NAME.fullmatch(self.name):
            return "its name may hold letters, digits, '.', '_' and '-' only, 128 at most"
        if not self.command or not self.command[0]:
            return "it has no command"
        if any("\0" in string for string in strings):
            return "an argument or environment value holds a NUL"
        if any(not name or "=" in name for name in self.environment):
            return "an environment variable's name is empty or holds '='"
        if not self.directory.is_absolute() or not self.log.is_absolute():
            return "its folder and log need absolute paths"
        return ""

    def definition(self) -> str:
        """Serialize the program as JSON in ASCII, equal for equal programs."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {
            "environment": dict(self.environment),
            "directory": str(self.directory),
            "log": str(self.log),
        }
        return json.dumps(values, sort_keys=True, indent=1)

    @classmethod
    def from_definition(cls, text: str) -> "Program":
        """Parse a definition.

        Raises:
            ValueError, TypeError, KeyError: the text is no definition.
        """
        values: dict[str, Any] = json.loads(text)
        values.setdefault("without", ())  # written by a version that had no such field
        for name, kind in _KINDS.items():
            values[name] = kind(values[name])
        return cls(**values)


@dataclass(frozen=True)
class Process:
    """The state of a program as reported by supervisord."""

    name: str
    state: State
    """See supervisord.org/subprocess.html, "Process States"."""
    pid: int | None
    started: float | None
    """Whole seconds since the epoch; None unless the program runs."""
    exit_status: int | None
    """The exit status of its last end, -1 after a signal; None while it runs or before that."""
    message: str
    """supervisord's message, such as "exited too quickly" or "pid 123, uptime 0:00:07"."""


def render(root: Path, identifier: str, key: str, socket: Path, programs: list[Program]) -> str:
    """Render supervisord.conf for the programs; supervisord must run in `root`.

    Paths inside are relative to `root` where possible, because the format takes " ;" and " #" as
    the start of a comment and cannot escape them.
    """
    lines = [
        "[unix_http_server]",
        f"file = {_value(_relative(socket, root))}",
        "chmod = 0600",
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        "",
        "[supervisord]",
        f"identifier = {_value(identifier)}",
        "pidfile = supervisord.pid",
        f"logfile = {ACTIVITY_LOG}",
        "logfile_maxbytes = 1MB",
        "logfile_backups = 1",
        "loglevel = info",
        "nocleanup = true",
        "umask = 077",
    ]
    for program in programs:
        lines += ["", *_section(root, key, program)]
    return "\n".join(lines) + "\n"


def _section(root: Path, key: str, program: Program) -> list[str]:
    launcher = (sys.executable, "-I", "-S", str(LAUNCHER))
    files = (f"programs/{program.name}.json", f"pids/{program.name}.json")
    return [
        f"[program:{program.name}]",
        f"command = {_value(shlex.join((*launcher, *files)))}",
        f'environment = {MARKER}="{key}:{program.name}"',
        f"autorestart = {program.autorestart}",
        f"exitcodes = {','.join(str(code) for code in program.exit_codes)}",
        f"startsecs = {program.start_seconds}",
        f"startretries = {program.start_retries}",
        f"stopwaitsecs = {program.stop_seconds}",
        f"stopsignal = {program.stop_signal}",
        "stopasgroup = true",
        "killasgroup = true",
        "redirect_stderr = true",
        f"stdout_logfile = {_value(_relative(program.log, root))}",
        "stdout_logfile_maxbytes = 10MB",
        "stdout_logfile_backups = 3",
    ]


def _relative(path: Path, root: Path) -> str:
    return f"./{os.path.relpath(path, root)}"  # "./" keeps a leading "~" plain


def _value(text: str) -> str:
    if re.search(r"[\0-\x1f\x7f]|\s[;#]|^\s|\s$", text):
        raise ProgramError(
            f"supervisord's configuration cannot carry the path {text!r}.",
            "Use a folder without control characters, ' ;' or ' #' in its name.",
        )
    return text.replace("%", "%%")
