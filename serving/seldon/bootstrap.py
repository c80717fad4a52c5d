"""Find the predictor and its addresses, from a file or from the variables of Seldon's operator.

Seldon's operator sets variables in a container for the port and the model's folder; for a server
name of its config, it mounts no file. docs/guides/seldon.md lists the variables, with the version
of the operator that sets them.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.predictor import BadPredictor, Predictor, parse, read

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIT = "PREDICTIVE_UNIT_ID"
HTTP_PORT = "PREDICTIVE_UNIT_HTTP_SERVICE_PORT"
METRICS_PORT = "PREDICTIVE_UNIT_METRICS_SERVICE_PORT"
MODEL_FOLDER = "MLSERVER_MODEL_URI"
FILE = "SCHNITZEL_PREDICTOR"
"""The predictor file's content, where no file can be mounted."""
SOCKET = "SCHNITZEL_SOCKET"
"""Path of a Unix socket to listen on as well."""

BACKLOG = 2048


def predictor(path: str, environ: Mapping[str, str]) -> Predictor:
    """Return the predictor of the file, else of the variables; ports are the operator's.

    Raises:
        BadPredictor: the predictor cannot be used.
    """
    operated = UNIT in environ
    if Path(path).exists() or not (operated or FILE in environ):
        found = read(path)
    else:
        found = parse(_content(environ), FILE)
    if not operated:
        return found
    port = _port(HTTP_PORT, environ, found.port)
    return replace(found, port=port, artifact=environ.get(MODEL_FOLDER, found.artifact))


def listen(found: Predictor, environ: Mapping[str, str]) -> list[socket.socket]:
    """Return listening sockets: the predictor's, and those that the variables add.

    Raises:
        OSError: an address cannot be listened on; the message names it.
    """
    places: list[tuple[str, int]] = [(found.host, found.port)]
    if UNIT in environ:
        metrics = _port(METRICS_PORT, environ, found.port)
        if metrics != found.port:
            places.append((found.host, metrics))
    sockets = [_listening(*place) for place in places]
    if SOCKET in environ:
        sockets.append(_unix(environ[SOCKET]))
    return sockets


def listen_admin(found: Predictor) -> list[socket.socket]:
    """Return the socket for questions about the server itself, if the predictor has an admin port.

    Raises:
        OSError: the address cannot be listened on; the message names it.
    """
    return [] if found.admin_port is None else [_listening(found.host, found.admin_port)]


def _content(environ: Mapping[str, str]) -> dict[str, Any]:
    """Build the predictor file from variables, for a server of the operator's config."""
    default: dict[str, Any] = {
        "predictor": environ.get("PREDICTOR_ID", "model"),
        "model": environ.get(UNIT, "model"),
        "model_version": environ.get("MLSERVER_MODEL_VERSION") or "1",
        "artifact": environ.get(MODEL_FOLDER, "/mnt/models"),
        "python": "/opt/env/bin/python",
        "host": "0.0.0.0",  # noqa: S104 - in a pod
        "port": 9000,
        "state_file": "/tmp/state.json",  # noqa: S108 - the pod's own
        "termination_file": "/dev/termination-log",
        "drain_whole": True,
    }
    try:
        given: dict[str, Any] = json.loads(environ.get(FILE) or "{}")
    except ValueError as error:
        hint = f"give {FILE} the content of a predictor file"
        raise BadPredictor(f"{FILE} is not JSON: {error}", hint) from error
    return default | given


def _port(name: str, environ: Mapping[str, str], otherwise: int) -> int:
    text = environ.get(name, str(otherwise))
    if not text.isdecimal():
        raise BadPredictor(f"{name} is {text!r}, and must be a number", f"unset {name}")
    return int(text)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error}") from error


def _unix(path: str) -> socket.socket:
    with suppress(FileNotFoundError):
        Path(path).unlink()  # a former server left it
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
    except OSError as error:
        raise OSError(f"cannot listen on {path}: {error}") from error
    listening.listen(BACKLOG)
    return listening
