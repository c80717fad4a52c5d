"""Collect the server's metrics, and render its Prometheus page."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from serving.telemetry import metrics, outcomes
from serving.telemetry.metrics import Counter, Gauge, Histogram, Info
from serving.telemetry.window import Windows

if TYPE_CHECKING:
    from serving.predictor import Predictor
    from serving.telemetry.metrics import Metric, Reading


class Instruments:
    """The metrics of one server.

    Attributes:
        windows: counts and sketches for the comparison of versions.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._requests = Counter(
            "schnitzel_requests_total", "Requests answered.", ("route", "code")
        )
        self._rejects = Counter(
            "schnitzel_rejected_requests_total", "Requests turned away, and why.", ("reason",)
        )
        self._durations = Histogram(
            "schnitzel_request_duration_seconds",
            "From a request that was read whole to its answer, ready to be sent.",
            metrics.SECONDS, ("route",),
        )  # fmt: skip
        self._stages = Histogram(
            "schnitzel_request_stage_duration_seconds",
            "Of a request that the model answered: its wait for the model (queue), the model's"
            " call (predict), and the way of its answer back to the front (encode).",
            metrics.SECONDS, ("stage",),
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
        self.windows = Windows()
        started = self.windows.started
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
            self._rejects,
            self._durations,
            self._stages,
            self._batches,
            self._rows,
            self._model,
            Gauge(
                "process_start_time_seconds",
                "When it started, unix time.",
                lambda: started,
            ),
            Gauge("process_cpu_seconds_total", "CPU time of the front.", time.process_time),
        ]

    def watch(self, name: str, says: str, read: Reading) -> None:
        """Add a gauge whose value `read` returns."""
        self._all.append(Gauge(name, says, read))

    def add(self, *metrics: Metric) -> None:
        """Add metrics that their owner counts."""
        self._all += metrics

    def record_answer(
        self,
        route: str,
        status: int,
        seconds: float,
        outcome: str,
        reason: str = "",
        *,
        mirrored: bool = False,
    ) -> None:
        """Count an answer.

        Args:
            route: infer, invocations, queue, own (the backend's) or other.
            status: the HTTP status.
            seconds: the duration of the request.
            outcome: one of telemetry.outcomes.
            reason: why the request was rejected, where status and outcome do not say.
            mirrored: whether the request is a copy, whose answer the gateway drops.
        """
        self._requests.add(route, str(status))
        self._durations.observe(seconds, route)
        if status >= 400:
            # On a route that does not ask the model, a 503 answers a probe.
            asked = route != "other" or status < 500
            reason = reason or (outcomes.reason(status, outcome) if asked else "")
            if reason:
                self._rejects.add(reason)
        if route != "other":
            self.windows.record_answer(outcome, seconds, mirrored=mirrored)

    def record_stages(self, queue: float, predict: float, encode: float) -> None:
        """Record the stages, in seconds, of a request that the model answered."""
        self._stages.observe(queue, "queue")
        self._stages.observe(predict, "predict")
        self._stages.observe(encode, "encode")

    def record_batch(self, requests: int, rows: int, seconds: float) -> None:
        """Count a call of the model."""
        self._batches.observe(requests)
        self.record_call(seconds)
        if rows:
            self._rows.observe(rows)

    def record_call(self, seconds: float) -> None:
        """Count a call of a model server, which may put several requests into one batch."""
        self._model.observe(seconds)
        self.windows.record_call(seconds)

    def record_summary(self, answers: bytes) -> None:
        """Count the worker's summary of the model's answers (JSON); drop a malformed summary."""
        with suppress(ValueError, TypeError, AttributeError):
            self.windows.record_summary(orjson.loads(answers))

    def page(self) -> bytes:
        """Render the Prometheus page."""
        return metrics.text(self._all).encode()
