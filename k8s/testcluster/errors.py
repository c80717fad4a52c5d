"""The one error of the test cluster, with the next step."""


class ClusterError(Exception):
    """The cluster cannot be brought up; `hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
