# ruff: noqa: INP001 - run by its path, in the environment builder's image
"""Digests go in (JSON); the images of ours among them are out of the registry.

    remove.py REQUEST [--termination-file PATH]

The request: `repository`, `digests`, `labels` (whose images they are), `insecure` (the registry
speaks plain HTTP). An image without these labels is somebody else's, and is left alone.

On stdout, for each digest, as it is done: {"digest", "result"}, where the result is `removed`,
`gone` (it was not there) or `foreign`. To the termination file, if it came to an end before the
last one: {"reason", "message", "hint"}.

Exit codes: 0 all were looked at; 1 they cannot be removed; 2 wrong use; 75 not now (EX_TEMPFAIL).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from failures import Failed, report
from registry import Registry

NOT_NOW = 75


def remove(request: dict[str, Any]) -> None:
    """Remove what is ours of the images in a request."""
    registry = Registry(insecure=bool(request.get("insecure")))
    for digest in request["digests"]:
        name = f"{request['repository']}@{digest}"
        labels = registry.labels(name)
        if labels is None:
            result = "gone"
        elif request["labels"].items() <= labels.items():
            registry.delete(name)
            result = "removed"
        else:
            result = "foreign"
        sys.stdout.write(json.dumps({"digest": digest, "result": result}) + "\n")
        sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Remove what the request names; return the exit code."""
    parser = argparse.ArgumentParser(description="Remove environment images.")
    parser.add_argument("request")
    parser.add_argument("--termination-file", default="/dev/termination-log", type=Path)
    given = parser.parse_args(arguments)
    # A container's first process hears no signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(NOT_NOW))
    request = json.loads(given.request)
    if not request["labels"]:
        sys.stderr.write("error: whose images they are is not said\n\nhint: give `labels`\n")
        return 2
    try:
        remove(request)
    except Failed as error:
        report(error, given.termination_file)
        return NOT_NOW if error.transient else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
