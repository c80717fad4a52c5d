"""In: what failed. Out: one error class for each thing a caller can act on, with the next step."""


class StackError(Exception):
    """Something about the local platform failed; `hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SupervisorUnavailable(StackError):  # noqa: N818 - it names a state that callers wait out
    """Supervisord is not running, or does not answer in time."""


class ProgramError(StackError):
    """A program that supervisord cannot be given: a name, path or value that it cannot carry."""


class PortError(StackError):
    """No free port was found for a component."""


class SettingsError(StackError):
    """platform.yaml or a SCHNITZEL_* variable was refused; the Deployer's words say why."""


class ComponentError(StackError):
    """A component did not become healthy; the message ends with its last log lines."""
