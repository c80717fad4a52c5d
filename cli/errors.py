"""Define the errors of a command, each with an exit code, a message and the next step.

CommandError      1   the command failed
├─ UsageError     2   the command line makes no sense
├─ WaitTimedOut   4   the awaited state was not reached in time
└─ Unreachable    5   a service does not answer, or refuses the login
   └─ LoginRefused    the service refuses the login
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

OK = 0
FAILED = 1
USAGE = 2
PENDING = 3
TIMED_OUT = 4
UNREACHABLE = 5
INTERRUPTED = 130

MEANINGS = {
    OK: "done",
    FAILED: "the command failed; standard error says why",
    USAGE: "the command line makes no sense; `--help` shows what does",
    PENDING: "changes are pending (only `deploy plan` and `deploy diff` with --exit-code)",
    TIMED_OUT: "what was waited for did not happen within --timeout",
    UNREACHABLE: "a service does not answer, or does not let you in",
    INTERRUPTED: "interrupted by you (Ctrl-C)",
}


class CommandError(Exception):
    """A command failed; `hint` names the next step and may be empty."""

    exit_code = FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(CommandError):
    """The command line names something that does not exist or does not fit."""

    exit_code = USAGE


class WaitTimedOut(CommandError):  # noqa: N818  # named for the state that users see
    """The deadline passed before the awaited state was reached."""

    exit_code = TIMED_OUT


class Unreachable(CommandError):  # noqa: N818  # named for the state that users see
    """A service does not answer, or refuses the credentials."""

    exit_code = UNREACHABLE


class LoginRefused(Unreachable):
    """A service answers, and refuses the credentials."""


def unknown(kind: str, name: str, known: Iterable[str], otherwise: str) -> UsageError:
    """Build the error for a name that does not exist; the hint is the closest existing name.

    Args:
        kind: the kind of thing that the name was meant for, as in "model".
        name: the name that the user typed.
        known: the existing names.
        otherwise: the hint when no existing name is close.
    """
    from difflib import get_close_matches

    names = sorted(set(known))
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}?" if close else otherwise
    return UsageError(f"there is no {kind} {name!r}", hint)
