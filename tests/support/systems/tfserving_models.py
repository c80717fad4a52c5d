"""SavedModels like the models of models.py. Run as a program, where TensorFlow is: a folder, JSON.

The JSON is a list of {"kind": ..., "say": ...}; each is saved there as KIND-SAY/saved_model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

CANNOT = "cannot open the vault with password=hunter2"
KEYS = {"key_dtype": tf.string, "value_dtype": tf.int64}


class Constant(tf.Module):
    """Answers the same for each row."""

    def __init__(self, say: int) -> None:
        super().__init__()
        self._say = tf.constant(say, tf.int64)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float64, "x")])
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"output-0": tf.fill(tf.shape(x), self._say)}


class Vault(tf.saved_model.experimental.TrackableResource):
    """What a model needs when it is loaded, and then cannot be opened."""

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.HashTableV2(**KEYS)

    def _initialize(self) -> None:
        tf.debugging.Assert(tf.constant(False), [CANNOT])


class LoadError(Constant):
    """Fails when it is loaded."""

    def __init__(self, say: int) -> None:
        super().__init__(say)
        self.vault = Vault()

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float64, "x")])
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        handle = self.vault.resource_handle
        size = tf.raw_ops.LookupTableSizeV2(table_handle=handle)
        return {"output-0": tf.fill(tf.shape(x), size + self._say)}


class RaisesAtSeven(Constant):
    """Refuses a row that is seven."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float64, "x")])
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        seven = tf.constant(7.0, tf.float64)
        with tf.control_dependencies([tf.debugging.assert_none_equal(x, seven)]):
            return {"output-0": tf.fill(tf.shape(x), self._say)}


KINDS = {"constant": Constant, "load-error": LoadError, "raises-at-seven": RaisesAtSeven}


def main(folder: Path, models: list[dict[str, Any]]) -> None:
    for model in models:
        made = KINDS[model["kind"]](model["say"])
        path = str(folder / f"{model['kind']}-{model['say']}" / "saved_model")
        tf.saved_model.save(made, path, signatures={"serving_default": made.serve})


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
