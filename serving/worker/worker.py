"""Start the worker: a file that the model's own interpreter runs.

    python -I worker.py SOCKET_FD FRONT_PID ARTIFACT OPTIONS

OPTIONS is JSON: `batching` with `enabled` and `max_rows`; `first`, whether none ran before;
`input`, `strict` or `mlflow`; `model` and `version`, as answers name them. The worker needs the
standard library, the model's packages (mlflow among them) and the files beside this one. It loads
them as a package of its own, without a path that the model could find: nothing of ours can be
imported by the model, and nothing of ours can hide one of its modules. It ends when the front does.
Python 3.10 or later.
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
    """Load the model, say so, answer until the front is gone."""
    spec = ModuleSpec(PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(Path(__file__).parent)]
    sys.modules[PACKAGE] = module_from_spec(spec)
    loop = importlib.import_module(f"{PACKAGE}.loop")
    loop.main(int(descriptor), int(front), artifact, json.loads(options))


if __name__ == "__main__":
    main(*sys.argv[1:])
