"""SavedModels for the tests. Run as a program, where TensorFlow is: the folder to save them in."""

import sys
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2


def vector(name, dtype=tf.float32):
    return tf.TensorSpec((None,), dtype, name)


class HalfPlusTwo(tf.Module):
    """The example of TensorFlow Serving's own documentation."""

    @tf.function(input_signature=[vector("x")])
    def serve(self, x):
        return {"y": x / 2 + 2}


class Every(tf.Module):
    """Several inputs and outputs, of all kinds."""

    @tf.function(
        input_signature=[
            vector("count", tf.int64),
            vector("flag", tf.bool),
            vector("name", tf.string),
            vector("raw_bytes", tf.string),
            tf.TensorSpec((None, 2), tf.float64, "pair"),
        ]
    )
    def serve(self, count, flag, name, raw_bytes, pair):
        return {
            "doubled": count * 2,
            "not": tf.logical_not(flag),
            "upper": tf.strings.upper(name),
            "same_bytes": raw_bytes,
            "ratio": pair[:, 0] / pair[:, 1],
            "sum": tf.reduce_sum(pair, axis=1, keepdims=True),
        }


class Matrix(tf.Module):
    """One input of two columns; one output."""

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.float32, "features")])
    def serve(self, features):
        return {"total": tf.reduce_sum(features, axis=1)}


class Spins(tf.Module):
    """Computes as long as it is told."""

    @tf.function(input_signature=[vector("times", tf.int64)])
    def serve(self, times):
        most, spun = tf.reduce_max(times), tf.constant(0, tf.int64)
        spun = tf.while_loop(lambda done: done < most, lambda done: (done + 1,), (spun,))
        return {"spun": tf.zeros_like(times) + spun}


class Grumbles(tf.Module):
    """Fails for negative numbers."""

    @tf.function(input_signature=[vector("x")])
    def serve(self, x):
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, "nothing below 0")]):
            return {"root": tf.sqrt(x)}


def warm(folder, *values):
    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / "tf_serving_warmup_requests")) as file:
        for value in values:
            logged = prediction_log_pb2.PredictionLog()
            tensor = tf.make_tensor_proto([value], tf.float32)
            logged.predict_log.request.inputs["x"].CopyFrom(tensor)
            file.write(logged.SerializeToString())


def main(folder):
    for module in (HalfPlusTwo, Every, Matrix, Spins, Grumbles):
        made, path = module(), folder / module.__name__.lower()
        tf.saved_model.save(made, str(path), signatures={"serving_default": made.serve})
    warm(folder / "halfplustwo", 1.0, 2.0)
    made = HalfPlusTwo()
    tf.saved_model.save(made, str(folder / "unsigned"), signatures={"other": made.serve})
    (folder / "empty").mkdir()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
