"""The data and the forest."""

from iris_forest.prepare import TARGET, split
from iris_forest.train import fit


def test_no_flower_is_on_both_sides():
    train, test = split()
    assert len(train) + len(test) == 150
    assert not set(train.itertuples(index=False)) & set(test.itertuples(index=False))


def test_the_same_seed_gives_the_same_answers():
    train, test = split()
    flowers = test.drop(columns=TARGET)
    first, again = (fit(train, seed=7, trees=5).predict_proba(flowers) for _ in range(2))
    other = fit(train, seed=8, trees=5).predict_proba(flowers)
    assert (first == again).all()
    assert (first != other).any()


def test_the_forest_is_right_about_most_flowers():
    train, test = split()
    forest = fit(train, seed=7, trees=20)
    assert (forest.predict(test.drop(columns=TARGET)) == test[TARGET]).mean() > 0.85
