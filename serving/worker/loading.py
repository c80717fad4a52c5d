"""Load the model, and describe it for the front.

Runs in the worker.

The time of a start was measured with a scikit-learn model, mlflow 3.17.2, Python 3.11, two cores:
3.6 s as `load_model` does it, 1.6 s as done here. Three things make the difference: no check of
every installed package against the model's requirements (0.4-0.7 s; the Python environment was
built from them), no garbage collection meanwhile (loop.py; 0.7-1.0 s), and parts of mlflow that
serving never touches are imported when first used (0.2 s). Importing in threads gained nothing.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

# `import mlflow` imports these for their names only. Each is executed at its first use.
LATER = frozenset({"mlflow.genai", "mlflow.gateway", "mlflow.projects"})


class _Later:
    """A finder that defers the execution of the modules in LATER until their first use."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in LATER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def load(artifact: str) -> tuple[Any, dict[str, Any]]:
    """Return the pyfunc model in the folder `artifact`, and a description for the front.

    The description is JSON: `python` and `mlflow` (versions), `signature` (`inputs`, `outputs`,
    `params`, each MLflow's list of specs or None), `seconds` (of `import` and `load`). Raises
    whatever importing or loading raises.
    """
    begin = time.perf_counter()
    finder = _Later()
    sys.meta_path.insert(0, finder)
    try:
        pyfunc = importlib.import_module("mlflow.pyfunc")
        imported = time.perf_counter()
        model = pyfunc.load_model(artifact, suppress_warnings=True)
    finally:
        sys.meta_path.remove(finder)
    description = {
        "python": ".".join(map(str, sys.version_info[:3])),
        "mlflow": importlib.import_module("mlflow.version").VERSION,
        "signature": _signature(model),
        "seconds": {"import": imported - begin, "load": time.perf_counter() - imported},
    }
    return model, description


def _signature(model: Any) -> dict[str, Any]:
    signature = model.metadata.signature
    parts = signature.to_dict() if signature is not None else {}
    return {
        name: json.loads(parts[name]) if parts.get(name) else None
        for name in ("inputs", "outputs", "params")
    }
