"""The network is small, right and the same every time."""

import numpy as np
from angler import network
from angler.measure import measure
from angler.prepare import FEATURES, TARGET, split

SHORT = {"epochs": 2, "learning_rate": 0.005}


def auc(seed: int) -> float:
    train, test = split()
    model, _ = network.fit(train, seed=seed, **SHORT)
    answers = model.predict(network.tensors(test), verbose=0)
    return measure(test[TARGET].to_numpy(), answers).auc


def test_the_same_seed_gives_the_same_model_and_another_seed_another():
    first, again, other = auc(7), auc(7), auc(8)
    assert first == again
    assert first != other
    assert first > 0.8


def test_the_answer_is_one_probability_for_each_page():
    train, test = split()
    model, losses = network.fit(train, seed=7, **SHORT)
    answers = model.predict({name: test[name].to_numpy() for name in FEATURES}, verbose=0)
    assert answers.shape == (len(test),)
    assert np.all((answers >= 0) & (answers <= 1))
    assert len(losses["val_loss"]) == SHORT["epochs"]
