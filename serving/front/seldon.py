"""Our application goes in; the same comes out, known by the operator's names, too.

The operator's address of a model is `/v2/models/UNIT/infer`, where UNIT is the container's name,
and it has metrics scraped at a path of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from serving.seldon.placing import UNIT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from serving.front.asgi import Receive, Scope, Send

    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

METRICS = "PREDICTIVE_UNIT_METRICS_ENDPOINT"
PROMETHEUS = "/prometheus"


class Renamed:
    """An application that answers to the operator's names as well.

    Args:
        app: ours.
        model: the model's own name.
        environ: what the operator says; of nothing, only its path of metrics is known.
    """

    def __init__(self, app: Application, model: str, environ: Mapping[str, str]) -> None:
        self._app = app
        unit = environ.get(UNIT, "")
        self._metrics = environ.get(METRICS, PROMETHEUS).encode()
        self._unit = f"/v2/models/{quote(unit, safe='')}".encode() if unit != model else b""
        self._model = f"/v2/models/{quote(model, safe='')}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: bytes = scope.get("raw_path", b"")
        if path == self._metrics:
            scope["raw_path"] = b"/metrics"
        elif self._unit and (path == self._unit or path.startswith(self._unit + b"/")):
            scope["raw_path"] = self._model + path[len(self._unit) :]
        await self._app(scope, receive, send)
