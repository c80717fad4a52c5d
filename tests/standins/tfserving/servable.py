"""Answer with TensorFlow's own session for a folder with a SavedModel.

It is loaded as the real one loads it (as a graph with a session, signatures from its MetaGraphDef),
and warmed with assets.extra/tf_serving_warmup_requests before anybody may ask.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from status import Status, invalid
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

v1 = tf.compat.v1
DEFAULT = "serving_default"
WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
MOST_WARMUPS = 1000


class Servable:
    """One version of one model."""

    def __init__(
        self, name: str, version: int, folder: Path, tags: list[str], most: int | None
    ) -> None:
        self.name, self.version, self._most = name, version, most
        self._session = v1.Session(graph=v1.Graph())
        try:
            with self._session.graph.as_default():
                loaded = v1.saved_model.loader.load(self._session, tags, str(folder))
        except tf.errors.OpError as error:
            raise Status(_code(error), _message(error)) from error
        except (OSError, RuntimeError, ValueError) as error:
            raise Status("NOT_FOUND", f"{error} (in {folder})") from error
        self.signatures = loaded.signature_def
        self.warmed = 0

    def signature(self, name: str) -> Any:
        found = self.signatures.get(name or DEFAULT)
        if found is None:
            raise invalid(f'Serving signature name: "{name or DEFAULT}" not found in signature def')
        return found

    def predict(
        self, signature_name: str, inputs: dict[str, np.ndarray], wanted: list[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Return each output. Raises Status."""
        signature = self.signature(signature_name)
        known, sent = set(signature.inputs), set(inputs)
        if known != sent:
            raise invalid(
                f"input size does not match signature: {len(sent)}!={len(known)} "
                f"len({{{','.join(sorted(sent))}}}) != len({{{','.join(sorted(known))}}}). Sent "
                f"extra: {{{','.join(sorted(sent - known))}}}. Missing but required: "
                f"{{{','.join(sorted(known - sent))}}}."
            )
        self._check_batch(inputs)
        names = wanted or list(signature.outputs)
        for name in names:
            if name not in signature.outputs:
                raise invalid(
                    f"output tensor alias not found in signature: {name} Outputs expected to be "
                    f"in the set {{{','.join(sorted(signature.outputs))}}}."
                )
        try:
            found = self._session.run(
                [signature.outputs[name].name for name in names],
                {signature.inputs[name].name: value for name, value in inputs.items()},
            )
        except tf.errors.OpError as error:
            raise Status(_code(error), _message(error)) from error
        except (ValueError, TypeError) as error:  # what Python's session finds before TensorFlow
            raise invalid(str(error)) from error
        return dict(zip(names, found, strict=True))

    def _check_batch(self, inputs: dict[str, np.ndarray]) -> None:
        if self._most is None:
            return
        if any(value.ndim == 0 for value in inputs.values()):
            raise invalid("Batching Run() input tensors must have at least one dimension")
        sizes = {len(value) for value in inputs.values()}
        if len(sizes) > 1:
            raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
        if max(sizes, default=0) > self._most:
            raise invalid(
                f"Task size {max(sizes)} is larger than maximum input batch size {self._most}"
            )

    def warm(self, folder: Path, times: int) -> None:
        """Send the model what its warm-up file holds. Raises Status."""
        path = folder / WARMUP
        if not path.exists():
            say(f"No warmup data file found at {path}")
            return
        try:
            records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        except tf.errors.DataLossError as error:
            why = f"{error.message}. Please verify your warmup data is in TFRecord format."
            raise Status("DATA_LOSS", why) from error
        if len(records) > MOST_WARMUPS:
            raise invalid(
                f"Number of warmup records exceeds the maximum ({MOST_WARMUPS}) at {path}"
            )
        for record in records:
            try:
                logged = prediction_log_pb2.PredictionLog.FromString(record)
            except Exception as error:
                raise invalid(f"Failed to parse warmup record from {path}") from error
            if logged.WhichOneof("log_type") != "predict_log":
                raise Status("UNIMPLEMENTED", f"Unsupported log_type for warmup at {path}")
            for _ in range(max(1, times)):
                self.answer(logged.predict_log.request)
            self.warmed += 1
        say(
            f"Finished reading warmup data for model at {path}. Number of warmup records read: "
            f"{self.warmed}."
        )

    def answer(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        """Answer gRPC's Predict. Raises Status."""
        name = request.model_spec.signature_name
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        self._check_types(self.signature(name), request)
        found = self.predict(name, inputs, list(request.output_filter))
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        response.model_spec.signature_name = name or DEFAULT
        for key, value in found.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response

    def _check_types(self, signature: Any, request: predict_pb2.PredictRequest) -> None:
        for key, value in request.inputs.items():
            if key in signature.inputs and value.dtype != signature.inputs[key].dtype:
                expected = tf.dtypes.as_dtype(signature.inputs[key].dtype).name
                got = tf.dtypes.as_dtype(value.dtype).name
                raise invalid(f"Expected input {key} to be {expected} but got {got}.")


def _code(error: tf.errors.OpError) -> str:
    names = {3: "INVALID_ARGUMENT", 5: "NOT_FOUND", 9: "FAILED_PRECONDITION", 12: "UNIMPLEMENTED"}
    return names.get(error.error_code, "INTERNAL")


def _message(error: tf.errors.OpError) -> str:
    """Without the words that Python's session puts before TensorFlow's own."""
    return str(error.message).removeprefix("Graph execution error:").strip()


def say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
