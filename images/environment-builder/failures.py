# ruff: noqa: INP001 - run by its path, in the environment builder's image
"""What went wrong goes in; one sentence with a next step, as the Deployer shows it, comes out."""

from __future__ import annotations


class Failed(Exception):  # noqa: N818 - it is what becomes of the build
    """The environment cannot be built, or its image cannot be kept.

    `reason` is the word that the Deployer shows; `passing` says that the cause may go away by
    itself; `log` is what the program that failed printed.
    """

    def __init__(
        self, reason: str, message: str, hint: str, *, passing: bool = False, log: str = ""
    ) -> None:
        super().__init__(message)
        self.reason, self.message, self.hint = reason, message, hint
        self.passing, self.log = passing, log
