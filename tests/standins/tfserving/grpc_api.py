"""Answer gRPC's Predict, GetModelMetadata and GetModelStatus."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from models import Models
from status import Status
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)


def _asked(spec: Any) -> tuple[str, str | None, str | None]:
    version = str(spec.version.value) if spec.WhichOneof("version_choice") == "version" else None
    return spec.name, version, spec.version_label or None


def _answered(context: Any, answer: Callable[[], Any]) -> Any:
    try:
        return answer()
    except Status as error:
        code = getattr(grpc.StatusCode, error.code, grpc.StatusCode.INTERNAL)
        return context.abort(code, error.message)


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models: Models) -> None:
        self._models = models

    def Predict(self, request: Any, context: Any) -> Any:
        return _answered(
            context, lambda: self._models.find(*_asked(request.model_spec)).answer(request)
        )

    def GetModelMetadata(self, request: Any, context: Any) -> Any:
        def answer() -> Any:
            servable = self._models.find(*_asked(request.model_spec))
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = servable.name
            response.model_spec.version.value = servable.version
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for name, signature in servable.signatures.items():
                signatures.signature_def[name].CopyFrom(signature)
            response.metadata["signature_def"].Pack(signatures)
            return response

        return _answered(context, answer)


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models: Models) -> None:
        self._models = models

    def GetModelStatus(self, request: Any, context: Any) -> Any:
        return _answered(context, lambda: self._models.status(*_asked(request.model_spec)))


def serve(port: int, models: Models) -> grpc.Server:
    """Return a running server."""
    server = grpc.server(ThreadPoolExecutor(8))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Predictions(models), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(models), server)
    if not server.add_insecure_port(f"0.0.0.0:{port}"):
        raise Status("INVALID_ARGUMENT", "Failed to BuildAndStart gRPC server")
    server.start()
    return server
