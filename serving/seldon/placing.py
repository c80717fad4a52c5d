"""Arguments and variables go in; what to serve, and where to listen, comes out.

Seldon's operator tells a container by variables where to listen and where the model is; under a
server name of its config, it mounts no file. The variables, with the version that they were seen
with, are in docs/guides/seldon.md.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.predictor import BadPredictor, Predictor, read

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
    """Return what to serve: as the file says, else as the variables do; ports are the operator's.

    Raises BadPredictor.
    """
    operated = UNIT in environ
    if Path(path).exists() or not (operated or FILE in environ):
        found = read(path)
    else:
        import tempfile  # noqa: PLC0415 - it takes 10 ms, and the model's process starts after this

        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps(_told(environ)))
            file.flush()
            found = read(file.name)
    if not operated:
        return found
    port = _number(HTTP_PORT, environ, found.port)
    return replace(found, port=port, artifact=environ.get(MODEL_FOLDER, found.artifact))


def listen(found: Predictor, environ: Mapping[str, str]) -> list[socket.socket]:
    """Return sockets that listen: where the predictor says, and wherever else the variables do.

    Raises OSError, which names the address.
    """
    places: list[tuple[str, int]] = [(found.host, found.port)]
    if UNIT in environ:
        metrics = _number(METRICS_PORT, environ, found.port)
        if metrics != found.port:
            places.append((found.host, metrics))
    sockets = [_listening(*place) for place in places]
    if SOCKET in environ:
        sockets.append(_unix(environ[SOCKET]))
    return sockets


def listen_admin(found: Predictor) -> list[socket.socket]:
    """Return the socket for questions about the server itself, if it is to have one.

    Raises OSError, which names the address.
    """
    return [] if found.admin_port is None else [_listening(found.host, found.admin_port)]


def _told(environ: Mapping[str, str]) -> dict[str, Any]:
    """The predictor file, from variables: what a server of the operator's config is told."""
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


def _number(name: str, environ: Mapping[str, str], otherwise: int) -> int:
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
        Path(path).unlink()  # of a server that was here before
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
    except OSError as error:
        raise OSError(f"cannot listen on {path}: {error}") from error
    listening.listen(BACKLOG)
    return listening
