"""Answers and truth in, the measures that the gate and people look at out. Pure."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

FALSE_POSITIVE_RATE = 0.05
"""Of the honest pages, at most this share may be called phishing."""


@dataclass(frozen=True)
class Measures:
    """How good answers are, and the curve and threshold that they were read from."""

    auc: float
    precision: float
    recall: float
    threshold: float
    curve: tuple[np.ndarray, np.ndarray]
    """False and true positive rates, rising."""

    def metrics(self) -> dict[str, float]:
        """By their names in MLflow."""
        at = f"at_{FALSE_POSITIVE_RATE:.0%}_fpr".replace("%", "pct")
        return {
            "auc": self.auc,
            f"precision_{at}": self.precision,
            f"recall_{at}": self.recall,
            "threshold": self.threshold,
        }


def measure(truth: np.ndarray, answers: np.ndarray) -> Measures:
    """AUC, and precision and recall at the lowest threshold that keeps the false-positive rate."""
    false, true, thresholds = roc_curve(truth, answers, drop_intermediate=False)
    chosen = int(np.flatnonzero(false <= FALSE_POSITIVE_RATE)[-1])
    called = answers >= thresholds[chosen]
    precision = float(truth[called].mean()) if called.any() else 0.0
    return Measures(
        auc=float(roc_auc_score(truth, answers)),
        precision=precision,
        recall=float(true[chosen]),
        threshold=min(float(thresholds[chosen]), 1.0),
        curve=(false, true),
    )
