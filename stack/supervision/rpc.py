"""Call supervisord's XML-RPC interface over its Unix socket, with a timeout.

supervisor.xmlrpc.SupervisorTransport speaks the same protocol but sets no timeout: a stopped
supervisord would hang its caller forever. The interface: supervisord.org/api.html.
"""

import http.client
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from stack.errors import StackError, SupervisorUnavailable

# supervisor.xmlrpc.Faults
BAD_NAME = 10


class RemoteError(StackError):
    """Supervisord refused a call; `code` is one of supervisor.xmlrpc.Faults."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message, "See the supervisord.log beside its configuration.")
        self.code = code


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path, self._timeout)
        self._connection = host, connection  # close() closes it
        return connection


def listens(path: Path, timeout: float = 1.0) -> bool:
    """Check whether a process accepts connections, which costs a third of the shortest call."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def call(path: Path, method: str, *arguments: object, timeout: float = 10.0) -> Any:
    """Call a method such as "supervisor.getState".

    Raises:
        SupervisorUnavailable: no process listens, or no answer came within `timeout` seconds.
        RemoteError: supervisord refused.
    """
    transport = _UnixTransport(str(path), timeout)
    try:
        with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport) as proxy:
            return getattr(proxy, method)(*arguments)
    except xmlrpc.client.Fault as fault:
        raise RemoteError(
            fault.faultCode, f"supervisord refused {method}: {fault.faultString}"
        ) from fault
    except (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError) as error:
        raise SupervisorUnavailable(
            f"supervisord does not answer at {path}: {error or type(error).__name__}",
            "Run: schnitzel up",
        ) from error
