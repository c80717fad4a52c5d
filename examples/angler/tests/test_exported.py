"""What TensorFlow Serving gets is the network."""

import numpy as np
import pytest
import tensorflow as tf
from angler import exported, network, warmup
from angler.prepare import FEATURES, split


@pytest.fixture(scope="module")
def trained():
    train, _ = split()
    return network.fit(train, seed=7, epochs=1, learning_rate=0.005)[0]


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / exported.FOLDER
    exported.save(trained, folder, split()[0])
    return folder


def test_it_answers_as_the_network_does(trained, saved):
    _, test = split()
    assert exported.check(trained, saved, test) <= exported.APART
    assert exported.answers(saved, test).shape == (len(test),)


def test_another_network_fails_the_check(saved):
    train, test = split()
    other, _ = network.fit(train, seed=8, epochs=1, learning_rate=0.005)
    with pytest.raises(SystemExit, match="does not answer as the network does"):
        exported.check(other, saved, test)


def test_inputs_are_the_features_by_name(saved):
    signature = tf.saved_model.load(str(saved)).signatures["serving_default"]
    _, inputs = signature.structured_input_signature
    assert set(inputs) == set(FEATURES)
    assert {tuple(each.shape) for each in inputs.values()} == {(None,)}


def test_it_is_warmed_with_one_page_and_with_many(saved):
    records = list(tf.data.TFRecordDataset(str(saved / warmup.FILE)).as_numpy_iterator())
    train, _ = split()
    assert records == [
        warmup.prediction_log(network.tensors(train.head(count))) for count in (1, 32)
    ]
    tensor = tf.make_tensor_proto(np.float32([1.5] * 200)).SerializeToString()
    assert len(tensor) > 127  # a length of more than one piece
    assert warmup.prediction_log({"x": np.float32([1.5] * 200)}).endswith(tensor)
