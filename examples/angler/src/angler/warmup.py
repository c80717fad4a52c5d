"""Tensors by name in, a file of requests out that TensorFlow Serving sends a model before others.

The file is a TFRecord of PredictionLogs (tensorflow/serving, apis/prediction_log.proto). They are
written here as protobuf has them on the wire: the package that knows them, tensorflow-serving-api,
would bring the whole of `tensorflow` along.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def write(saved_model: Path, requests: list[Mapping[str, Any]]) -> None:
    """Add requests, each with a tensor for every input, to a SavedModel."""
    (saved_model / FILE).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(saved_model / FILE)) as file:
        for tensors in requests:
            file.write(prediction_log(tensors))


def prediction_log(tensors: Mapping[str, Any]) -> bytes:
    """PredictionLog.predict_log (6) . request (1) . inputs (2), a map of names to TensorProtos."""
    inputs = [
        _field(1, name.encode()) + _field(2, tf.make_tensor_proto(value).SerializeToString())
        for name, value in tensors.items()
    ]
    return _field(6, _field(1, b"".join(_field(2, each) for each in inputs)))


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes: its number and kind, its length in pieces of seven bits, its content."""
    length, pieces = len(content), bytearray()
    while length > 0x7F:
        pieces.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *pieces, length]) + content
