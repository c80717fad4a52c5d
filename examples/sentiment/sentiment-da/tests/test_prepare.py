"""Which words there are, and which are held out."""

import pytest
from sentiment_da.prepare import rated_words, split


@pytest.fixture(scope="module")
def parts():
    return split()


def test_no_word_is_on_both_sides(parts):
    train, test = (set(part["word"]) for part in parts)
    assert not train & test
    assert rated_words().keys() <= train | test


def test_a_tenth_of_the_rated_words_is_held_out_and_as_many_unrated_ones(parts):
    rated = parts[1]["valence"] != 0
    assert 0.07 < rated.sum() / len(rated_words()) < 0.13
    assert (~rated).sum() == rated.sum()


def test_the_split_is_the_same_every_time(parts):
    assert all(one.equals(other) for one, other in zip(parts, split(), strict=True))


def test_ratings_are_afinns():
    rated = rated_words()
    assert rated["katastrofe"] < 0 < rated["fantastisk"]
    assert all(1 <= abs(rating) <= 5 for rating in rated.values())
