"""What the classifier answers."""

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from sentiment_en.evaluate import SENTENCES, metrics_of
from sentiment_en.model import SentimentModel, clean
from sentiment_en.prepare import split
from sentiment_en.train import EXAMPLE, fit


@pytest.fixture(scope="module")
def train():
    return split()[0].iloc[::4]


@pytest.fixture(scope="module")
def sentiment(train):
    return fit(train, seed=7, alpha=0.00002)


def test_the_example_has_a_text_of_each_sentiment(sentiment):
    answers = sentiment.judge(list(EXAMPLE["text"]))
    assert list(answers["sentiment"]) == ["positive", "neutral", "negative"]
    assert answers["score"].between(-1, 1).all()
    assert answers["score"].is_monotonic_decreasing


def test_the_same_seed_gives_the_same_answers(train, sentiment):
    texts = list(EXAMPLE["text"])
    again = fit(train, seed=7, alpha=0.00002).judge(texts)
    other = fit(train, seed=8, alpha=0.00002).judge(texts)
    assert again.equals(sentiment.judge(texts))
    assert not other.equals(again)


def test_a_text_is_answered_alike_alone_and_among_others(sentiment):
    texts = ["", "!?", "日本語", *pd.read_csv(SENTENCES)["text"]]
    together = sentiment.judge(texts)
    alone = pd.concat([sentiment.judge([text]) for text in texts], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone)


def test_most_everyday_sentences_are_understood(sentiment):
    sentences = pd.read_csv(SENTENCES)
    answers = sentiment.judge(list(sentences["text"]))
    assert metrics_of(sentences["sentiment"], answers["sentiment"])["f1"] > 0.6


def test_links_and_names_say_nothing():
    assert clean("RT @united: It\u2019s late http://t.co/x") == "It's late"
    assert clean("START here") == "START here"


def test_the_model_answers_a_row_for_each_text_and_refuses_a_missing_one(sentiment):
    model = SentimentModel()
    model.sentiment = sentiment
    answers = model.predict(None, EXAMPLE)
    assert list(answers.columns) == ["sentiment", "score"]
    assert len(answers) == len(EXAMPLE)
    with pytest.raises(MlflowException, match="row 1: no text"):
        model.predict(None, pd.DataFrame({"text": ["ok", None]}))
