"""Danish texts in, their sentiments out: what is served. MLflow logs this file as its code.

A regression on the parts of a word tells its valence, from -5 to 5, of forms and compounds that
nobody rated, too. A text says what its words say together; after a negation the opposite, weaker.
"""

import re
from typing import Any

import joblib
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from sklearn.pipeline import Pipeline

WORD = re.compile(r"[^\W\d_]+")
NEGATIONS = frozenset({"aldrig", "hverken", "ikke", "ingen", "intet", "næppe", "uden"})
REACH = 3
"""How many words a negation reaches."""
NEGATED = -0.5
LEAST = 1.0
"""A word of a valence nearer to 0, or a text that adds up to less, says nothing: AFINN's lowest."""
FLATTENING = 15.0
"""What the sum of a text is flattened by to lie between -1 and 1: VADER's number."""


class Sentiment:
    """What train fits, from a word to its valence; and how texts are made of words."""

    def __init__(self, valence: Pipeline) -> None:
        self._valence = valence

    def valences(self, words: list[str]) -> np.ndarray:
        """The valence of each word; 0 of those that say nothing."""
        found = self._valence.predict(words)
        return np.where(np.abs(found) < LEAST, 0.0, found)

    def judge(self, texts: list[str]) -> pd.DataFrame:
        """The sentiment of each text, and its score from -1 to 1."""
        split = [WORD.findall(text.lower()) for text in texts]
        words = sorted({word for each in split for word in each})
        valence = dict(zip(words, self.valences(words), strict=True)) if words else {}
        sums = np.array([total([(word, valence[word]) for word in each]) for each in split])
        return pd.DataFrame(
            {
                "sentiment": np.select(
                    [sums <= -LEAST, sums >= LEAST], ["negative", "positive"], "neutral"
                ).astype(object),
                "score": sums / np.sqrt(sums**2 + FLATTENING),
            }
        )


def total(words: list[tuple[str, float]]) -> float:
    """The sum of a text's valences; a negation turns those of the next words."""
    found, negated = 0.0, 0
    for word, valence in words:
        if word in NEGATIONS:
            negated = REACH
            continue
        found += valence * NEGATED if negated else valence
        negated = max(0, negated - 1)
    return found


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
    """The regression as MLflow serves it: a column `text` in, `sentiment` and `score` out."""

    def load_context(self, context: Any) -> None:
        """Load what train fitted; the file holds objects of scikit-learn alone."""
        self.sentiment = Sentiment(joblib.load(context.artifacts["valence"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """The sentiment of each text; each row is answered by itself."""
        return self.sentiment.judge(texts(model_input))


set_model(SentimentModel())
