"""Serve the model of a predictor file until SIGTERM.

    python -m serving PREDICTOR_JSON
    python -m serving                 (the predictor of the environment: serving/standalone.py)
    python -m serving URI FOLDER      (only fetches a model: serving/seldon/initializer.py)

Exit codes: 0 stopped by a signal; 2 wrong use; 64 the model can never be loaded; any other code is
a crash.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from serving.backends import process
from serving.predictor import BadPredictor, Predictor
from serving.seldon import bootstrap
from serving.telemetry import log


def main(arguments: list[str]) -> int:
    """Serve the predictor of the argument, or of the environment, and return the exit code."""
    if len(arguments) == 2:
        from serving.seldon import initializer  # noqa: PLC0415 - it brings a store's client along

        return initializer.main(*arguments)
    if len(arguments) > 2:
        sys.stderr.write(
            "error: one predictor file is expected\n\nhint: python -m serving PREDICTOR_JSON\n"
        )
        return 2
    try:
        predictor = _predictor(arguments)
    except BadPredictor as error:
        sys.stderr.write(f"error: {error}\n\nhint: {error.hint}\n")
        return 2
    # The kernel ignores signals to a container's first process that has no handler for them. An
    # exception, raised in the midst of an import, could end in a crash.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    log.start(predictor.predictor)
    try:
        listening = bootstrap.listen(predictor, os.environ)
        admin = bootstrap.listen_admin(predictor)
    except (OSError, BadPredictor) as error:
        sys.stderr.write(f"error: {error}\n\nhint: is another server running there?\n")
        return 1
    first = None
    if predictor.backend is None:
        with suppress(OSError):  # the pool starts a worker again, and reports why it cannot
            first = process.start(predictor, first=True)
    # The front's other modules are imported while the worker loads the model.
    from serving.front import server  # noqa: PLC0415

    return server.run(predictor, listening, admin, first)


def _predictor(arguments: list[str]) -> Predictor:
    if arguments:
        return bootstrap.predictor(arguments[0], os.environ)
    from serving import standalone  # noqa: PLC0415 - the platform's own servers have a file

    found = standalone.predictor(os.environ)
    if found.artifact_uri:
        from serving.artifact.fetch import fetch  # noqa: PLC0415 - it brings a store's client along
        from serving.artifact.store import Unfetchable  # noqa: PLC0415

        sys.stderr.write(f"fetching {found.artifact_uri}\n")
        try:
            fetch(found)
        except Unfetchable as error:
            raise BadPredictor(error.message, error.hint) from error
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
