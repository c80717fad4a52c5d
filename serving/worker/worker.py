"""Start the worker: a file that the model's own interpreter runs.

    python -I worker.py SOCKET_FD FRONT_PID ARTIFACT OPTIONS

OPTIONS is JSON: `batching` with `enabled` and `max_rows`; `first`, whether this is the server's
first worker; `input`, `strict` or `mlflow`; `model` and `version`, as answers name them.

The worker needs the standard library, the model's packages (mlflow among them) and the files beside
this one. It loads them as a package of its own, without a path that the model could find: the model
can import no module of ours, and no module of ours can hide one of the model's. The worker ends
when the front does. Python 3.10 or later.
"""

from __future__ import annotations

import importlib
import json
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

PACKAGE = "_schnitzel"


def main(descriptor: str, front: str, artifact: str, options: str) -> None:
    """Load the model, report it to the front, and answer until the front is gone."""
    spec = ModuleSpec(PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(Path(__file__).parent)]
    sys.modules[PACKAGE] = module_from_spec(spec)
    loop = importlib.import_module(f"{PACKAGE}.loop")
    loop.main(int(descriptor), int(front), artifact, json.loads(options))


if __name__ == "__main__":
    main(*sys.argv[1:])
