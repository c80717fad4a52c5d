"""Define an error class for each failure that a caller can act on, with the next step."""


class StackError(Exception):
    """A failure of the local platform; `hint` names the next step."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SupervisorUnavailable(StackError):  # noqa: N818 - names a state that callers wait out
    """Supervisord is not running, or does not answer in time."""


class ProgramError(StackError):
    """A program with a name, path or value that supervisord's configuration cannot carry."""


class PortError(StackError):
    """No free port was found for a component."""


class SettingsError(StackError):
    """The Deployer refused platform.yaml or a SCHNITZEL_* variable; its own message says why."""


class ComponentError(StackError):
    """A component did not become healthy; the message ends with its last log lines."""
