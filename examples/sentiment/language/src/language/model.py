"""Texts in, their languages out: what is served. MLflow logs this file as its code.

py3langid knows how likely a text is in each of its 142 languages. Two things are learned here:
which of them to choose among, and how sharp its probabilities have to be, so that of the answers
with a probability of 0.8 eight in ten are right. One is told: which languages are expected, as a
short text is often right in two ("Det er ikke godt nok" in Danish and Norwegian).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from py3langid.langid import MODEL_FILE, LanguageIdentifier

UNDETERMINED = "und"
"""ISO 639 has this code for what cannot be told."""
LEAST = 1e-38
"""The logarithm of nothing does not exist."""


def identifier() -> LanguageIdentifier:
    """py3langid's own model, of which each caller restricts its own copy."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def known_languages() -> list[str]:
    """The languages that py3langid has a name for, as ISO 639 codes."""
    return sorted(identifier().labels)


class Detector:
    """A choice among some languages, with probabilities of some sharpness.

    `odds` says how many times as likely a language is as one that is not named, before a text is
    looked at.
    """

    def __init__(
        self, languages: list[str], odds: dict[str, float], sharpness: float = 1.0
    ) -> None:
        self.languages = sorted(languages)
        self.odds = odds
        self.sharpness = sharpness
        self._identifier = identifier()
        self._identifier.set_languages(self.languages)

    def evidence(self, texts: list[str]) -> np.ndarray:
        """The logarithm of py3langid's probability of each language, a row for each text."""
        rows = [dict(self._identifier.rank(text)) for text in texts]
        found = np.array([[row[name] for name in self.languages] for row in rows])
        return np.log(np.maximum(found, LEAST))

    def probabilities(self, evidence: np.ndarray, sharpness: float) -> np.ndarray:
        """Probabilities of the languages, which add up to 1 in each row."""
        raised = sharpness * evidence + np.log(
            [self.odds.get(name, 1.0) for name in self.languages]
        )
        weights = np.exp(raised - raised.max(axis=1, keepdims=True))
        found: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
        return found

    def detect(self, text: str) -> tuple[str, float]:
        """The most likely language, and its probability."""
        if not any(map(str.isalpha, text)):
            return UNDETERMINED, 0.0
        [likely] = self.probabilities(self.evidence([text]), self.sharpness)
        best = int(likely.argmax())
        return self.languages[best], float(likely[best])


def texts(rows: pd.DataFrame) -> list[str]:
    """The texts that a question asks about.

    Raises:
        MlflowException: a text is missing; whoever asks is told so, as with any wrong input.
    """
    missing = rows.index[rows["text"].isna()]
    if len(missing):
        raise MlflowException.invalid_parameter_value(f"column 'text', row {missing[0]}: no text")
    return list(rows["text"])


class LanguageModel(PythonModel):
    """The detector as MLflow serves it: a column `text` in, `language` and `probability` out."""

    def load_context(self, context: Any) -> None:
        """Make the detector of what train learned."""
        self.detector = Detector(**json.loads(Path(context.artifacts["detector"]).read_text()))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        """The language of each text; each row is answered by itself."""
        found = [self.detector.detect(text) for text in texts(model_input)]
        return pd.DataFrame(found, columns=["language", "probability"])


set_model(LanguageModel())
