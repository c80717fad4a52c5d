"""What the regression answers, and how a text is made of words."""

import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from sentiment_da.evaluate import SENTENCES, metrics_of
from sentiment_da.model import Sentiment, SentimentModel, total
from sentiment_da.prepare import split
from sentiment_da.train import EXAMPLE, fit


@pytest.fixture(scope="module")
def train():
    return split()[0]


@pytest.fixture(scope="module")
def sentiment(train):
    return Sentiment(fit(train, seed=7, alpha=0.3, unrated_words=5000))


def test_the_example_has_a_text_of_each_sentiment(sentiment):
    answers = sentiment.judge(list(EXAMPLE["text"]))
    assert list(answers["sentiment"]) == ["positive", "neutral", "negative"]
    assert answers["score"].between(-1, 1).all()


def test_the_same_seed_gives_the_same_answers(train, sentiment):
    words = ["dejlig", "frygteligt", "cykel", "skuffelsen"]
    again, other = (
        fit(train, seed=seed, alpha=0.3, unrated_words=5000).predict(words) for seed in (7, 8)
    )
    assert (again == sentiment._valence.predict(words)).all()
    assert (again != other).any()


def test_forms_that_nobody_rated_have_the_valence_of_their_parts(train, sentiment):
    words = ["fantastiskhed", "katastrofemøde"]
    assert not set(words) & set(train["word"])
    good, bad = sentiment.valences(words)
    assert bad < 0 < good


def test_a_text_is_answered_alike_alone_and_among_others(sentiment):
    texts = ["", "!?", "日本語", *pd.read_csv(SENTENCES)["text"]]
    together = sentiment.judge(texts)
    alone = pd.concat([sentiment.judge([text]) for text in texts], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone)


def test_a_text_without_words_is_neutral(sentiment):
    assert sentiment.judge(["", "12:30 !"]).to_dict("list") == {
        "sentiment": ["neutral", "neutral"],
        "score": [0.0, 0.0],
    }


@pytest.mark.parametrize(
    ("words", "sums_up_to"),
    [
        ([("god", 3.0), ("film", 0.0)], 3.0),
        ([("ikke", 0.0), ("god", 3.0)], -1.5),
        ([("ikke", 0.0), ("en", 0.0), ("særlig", 0.0), ("god", 3.0)], -1.5),
        ([("ikke", 0.0), ("en", 0.0), ("helt", 0.0), ("så", 0.0), ("god", 3.0)], 3.0),
        ([("god", 3.0), ("ikke", 0.0), ("dum", -2.0)], 4.0),
        ([], 0.0),
    ],
)
def test_a_negation_turns_what_the_next_three_words_say(words, sums_up_to):
    assert total(words) == sums_up_to


def test_most_everyday_sentences_are_understood(sentiment):
    sentences = pd.read_csv(SENTENCES)
    answers = sentiment.judge(list(sentences["text"]))
    assert metrics_of(sentences["sentiment"], answers["sentiment"])["f1"] > 0.6


def test_the_model_answers_a_row_for_each_text_and_refuses_a_missing_one(sentiment):
    model = SentimentModel()
    model.sentiment = sentiment
    answers = model.predict(None, EXAMPLE)
    assert list(answers.columns) == ["sentiment", "score"]
    assert len(answers) == len(EXAMPLE)
    with pytest.raises(MlflowException, match="row 1: no text"):
        model.predict(None, pd.DataFrame({"text": ["ok", None]}))
