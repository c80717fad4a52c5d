"""Map the paths of Seldon's operator to ours.

The operator's address of a model is `/v2/models/UNIT/infer`, where UNIT is the container's name;
its metrics are scraped at a path of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from serving.seldon.bootstrap import UNIT

if TYPE_CHECKING:
    from collections.abc import Mapping

METRICS = "PREDICTIVE_UNIT_METRICS_ENDPOINT"
PROMETHEUS = "/prometheus"


class OperatorPaths:
    """The operator's names of our paths.

    Args:
        model: the model's own name.
        environ: the operator's variables; without any, only its default path of metrics is known.
    """

    def __init__(self, model: str, environ: Mapping[str, str]) -> None:
        unit = environ.get(UNIT, "")
        self._metrics = environ.get(METRICS, PROMETHEUS).encode()
        self._unit = f"/v2/models/{quote(unit, safe='')}".encode() if unit != model else b""
        self._model = f"/v2/models/{quote(model, safe='')}".encode()

    def translate(self, path: bytes) -> bytes:
        """Return our path for one of the operator's; any other path unchanged."""
        if path == self._metrics:
            return b"/metrics"
        if self._unit and (path == self._unit or path.startswith(self._unit + b"/")):
            return self._model + path[len(self._unit) :]
        return path
