"""A network in, the SavedModel for TensorFlow Serving out, which answers as the network does."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from angler import network, warmup

FOLDER = "saved_model"
"""Beside the MLmodel file; where TensorFlow Serving looks if serving.yaml names no other."""
OUTPUT = "output_0"
"""What `model.export` calls the only output."""
APART = 1e-5
"""How far two answers to the same page may be apart: 32-bit numbers, summed in another order."""


def save(model: keras.Model, folder: Path, pages: pd.DataFrame) -> None:
    """Export the network, with requests for one page and for many to warm it up with."""
    model.export(folder, format="tf_saved_model", verbose=False)
    warmup.write(folder, [network.tensors(pages.head(count)) for count in (1, 32)])


def answers(folder: Path, pages: pd.DataFrame) -> np.ndarray:
    """What the SavedModel answers for each page."""
    asked = tf.saved_model.load(str(folder)).signatures["serving_default"]
    tensors = {name: tf.constant(value) for name, value in network.tensors(pages).items()}
    return asked(**tensors)[OUTPUT].numpy()


def check(model: keras.Model, folder: Path, pages: pd.DataFrame) -> float:
    """How far the two are apart at most; ends the step if that is too far."""
    ours = model.predict(network.tensors(pages), verbose=0)
    apart = float(np.max(np.abs(answers(folder, pages) - ours)))
    if not apart <= APART:  # NaN is not, either
        raise SystemExit(
            f"the SavedModel does not answer as the network does: {apart:.2g} apart on "
            f"{len(pages)} held-out pages, {APART:g} at most"
        )
    return apart
