"""Which tweets are held out."""

import pytest
from sentiment_en.prepare import split, tweets, words


@pytest.fixture(scope="module")
def parts():
    return split()


def test_every_tweet_is_on_exactly_one_side(parts):
    train, test = parts
    assert len(train) + len(test) == len(tweets())
    assert 0.15 < len(test) / len(tweets()) < 0.25
    assert set(train["sentiment"]) == {"negative", "neutral", "positive"}


def test_a_tweet_and_its_retweets_are_never_on_both_sides(parts):
    train, test = (set(part["text"].map(words)) for part in parts)
    assert not train & test
    assert words("RT @united: Great flight! http://t.co/x") == words("great flight") != ""


def test_the_split_is_the_same_every_time(parts):
    assert all(one.equals(other) for one, other in zip(parts, split(), strict=True))


def test_every_judgement_has_a_confidence(parts):
    for part in parts:
        assert part["confidence"].between(0, 1, inclusive="right").all()
