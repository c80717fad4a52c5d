"""Measures and answers in, the ROC curve and the confusion matrix as figures out."""

import matplotlib as mpl

mpl.use("agg")

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from angler.measure import FALSE_POSITIVE_RATE, Measures


def roc_curve(measures: Measures) -> Figure:
    """True against false positive rate, with the chosen point."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(*measures.curve, label=f"AUC {measures.auc:.3f}")
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.axvline(FALSE_POSITIVE_RATE, linestyle="--", color="grey")
    axes.scatter(
        [FALSE_POSITIVE_RATE],
        [measures.recall],
        label=f"recall {measures.recall:.3f} at {FALSE_POSITIVE_RATE:.0%}",
    )
    axes.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
    axes.legend(loc="lower right")
    return figure


def confusion_matrix(truth: np.ndarray, answers: np.ndarray, threshold: float) -> Figure:
    """Honest and phishing pages, and what they were called at the threshold."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        truth, answers >= threshold, display_labels=["honest", "phishing"], ax=figure.subplots()
    )
    return figure
