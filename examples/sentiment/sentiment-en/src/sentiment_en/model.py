"""English texts in, their sentiments out: what is served. MLflow logs this file as its code.

A logistic regression over the words and pairs of words of a text, and over what VADER says of it:
tweets about airlines teach what people say of airlines, VADER's word list knows the rest.
"""

import re
from typing import Any

import joblib
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import SGDClassifier
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

LINKS_AND_NAMES = re.compile(r"https?://\S*|(?:^\s*RT\b\s*)?@\w+:?|^\s*RT\b:?")
VADER_WEIGHT = 4.0
"""How much VADER's numbers, at most 1, count beside the words of a text, whose length is 1."""


def clean(text: str) -> str:
    """A text without links, names of users and the sign of a retweet."""
    return " ".join(LINKS_AND_NAMES.sub(" ", text.replace("\u2019", "'")).split())


class Sentiment:
    """What train fits: the weights of words, and those of the regression."""

    def __init__(self, words: TfidfVectorizer, regression: SGDClassifier) -> None:
        self.words = words
        self.regression = regression
        self._vader = SentimentIntensityAnalyzer()

    def features(self, texts: list[str]) -> csr_matrix:
        """The words of each text, and what VADER says of it."""
        cleaned = [clean(text) for text in texts]
        said = [self._vader.polarity_scores(text) for text in cleaned]
        numbers = [
            (each["neg"], each["pos"], each["compound"], each["compound"] == 0) for each in said
        ]
        return hstack(
            [self.words.transform(cleaned), csr_matrix(numbers) * VADER_WEIGHT], format="csr"
        )

    def judge(self, texts: list[str]) -> pd.DataFrame:
        """The most likely sentiment; the score is P(positive) - P(negative), from -1 to 1."""
        likely = self.regression.predict_proba(self.features(texts))
        names = self.regression.classes_.tolist()
        return pd.DataFrame(
            {
                "sentiment": np.array(names, dtype=object)[likely.argmax(axis=1)],
                "score": likely[:, names.index("positive")] - likely[:, names.index("negative")],
            }
        )


def texts(rows: pd.DataFrame) -> list[str]:
    """The texts that a question asks about.

    Raises:
        MlflowException: a text is missing; whoever asks is told so, as with any wrong input.
    """
    missing = rows.index[rows["text"].isna()]
    if len(missing):
        raise MlflowException.invalid_parameter_value(f"column 'text', row {missing[0]}: no text")
    return list(rows["text"])


class SentimentModel(PythonModel):
    """The classifier as MLflow serves it: a column `text` in, `sentiment` and `score` out."""

    def load_context(self, context: Any) -> None:
        """Load what train fitted; the file holds objects of scikit-learn alone."""
        self.sentiment = Sentiment(**joblib.load(context.artifacts["fitted"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """The sentiment of each text; each row is answered by itself."""
        return self.sentiment.judge(texts(model_input))


set_model(SentimentModel())
