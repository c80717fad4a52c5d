"""Requests, batches and the worker's life go in; the server's Prometheus page comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.telemetry import metrics
from serving.telemetry.metrics import Counter, Gauge, Histogram, Info

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.predictor import Predictor


class Instruments:
    """The metrics of one server."""

    def __init__(self, predictor: Predictor) -> None:
        self._requests = Counter(
            "schnitzel_requests_total", "Requests answered.", ("route", "code")
        )
        self._durations = Histogram(
            "schnitzel_request_duration_seconds", "From a request's head to the end of its answer.",
            metrics.SECONDS, ("route",),
        )  # fmt: skip
        self._batches = Histogram(
            "schnitzel_batch_requests", "Requests answered by one call of the model.", metrics.ROWS
        )
        self._rows = Histogram(
            "schnitzel_batch_rows", "Rows in one call of the model, where known.", metrics.ROWS
        )
        self._model = Histogram(
            "schnitzel_model_duration_seconds", "Time in one call of the model.", metrics.SECONDS
        )
        self._all: list[metrics.Metric] = [
            Info(
                "schnitzel_predictor_info",
                "What is served.",
                predictor=predictor.predictor,
                model=predictor.model,
                version=predictor.model_version,
                environment=predictor.environment,
            ),
            self._requests,
            self._durations,
            self._batches,
            self._rows,
            self._model,
        ]

    def watch(self, name: str, says: str, read: Callable[[], float]) -> None:
        """Show a value that `read` returns."""
        self._all.append(Gauge(name, says, read))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer. `route` is infer, invocations, own (the backend's) or other."""
        self._requests.add(route, str(status))
        self._durations.observe(seconds, route)

    def batch(self, requests: int, rows: int, seconds: float) -> None:
        """Count a call of the model."""
        self._batches.observe(requests)
        self._model.observe(seconds)
        if rows:
            self._rows.observe(rows)

    def called(self, seconds: float) -> None:
        """Count a call of a server that has the model, which may put several into one batch."""
        self._model.observe(seconds)

    def page(self) -> bytes:
        """Return the page."""
        return metrics.text(self._all).encode()
