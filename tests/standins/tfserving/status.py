"""Map errors to HTTP's and gRPC's codes, as TensorFlow Serving has them.

http_server.cc, ToHTTPStatusCode.
"""

from __future__ import annotations

HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    "INTERNAL": 500,
    "UNKNOWN": 500,
}


class Status(Exception):  # noqa: N818 - named as there
    """An error with one of TensorFlow's codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def invalid(message: str) -> Status:
    return Status("INVALID_ARGUMENT", message)
