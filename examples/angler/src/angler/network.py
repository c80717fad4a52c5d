"""Pages and a seed in, a small dense network out, trained the same way every time."""

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from angler.prepare import FEATURES, TARGET


def tensors(pages: pd.DataFrame) -> dict[str, np.ndarray]:
    """One tensor for each feature, of shape (pages,)."""
    return {name: pages[name].to_numpy("float32") for name in FEATURES}


def build(learning_rate: float) -> keras.Model:
    """An untrained network: each feature is an input by name, the answer a probability."""
    inputs = {name: keras.Input(shape=(), name=name) for name in FEATURES}
    values = keras.ops.stack(list(inputs.values()), axis=-1)
    values = keras.layers.Dense(32, activation="relu")(values)
    values = keras.layers.Dense(16, activation="relu")(values)
    answer = keras.layers.Dense(1, activation="sigmoid")(values)
    network = keras.Model(inputs, keras.layers.Reshape((), name="phishing")(answer))
    network.compile(optimizer=keras.optimizers.Adam(learning_rate), loss="binary_crossentropy")
    return network


def fit(
    pages: pd.DataFrame, *, seed: int, epochs: int, learning_rate: float
) -> tuple[keras.Model, dict[str, list[float]]]:
    """The trained network and its losses by epoch; a tenth of the pages only watch."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    shuffled = pages.sample(frac=1, random_state=seed)
    network = build(learning_rate)
    history = network.fit(
        tensors(shuffled),
        shuffled[TARGET].to_numpy("float32"),
        epochs=epochs,
        batch_size=32,
        validation_split=0.1,
        verbose=2,
    )
    return network, history.history
