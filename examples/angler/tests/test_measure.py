"""What the measures say of answers that are easy to judge by hand."""

import numpy as np
import pytest
from angler.measure import measure


def test_a_perfect_model_has_full_marks():
    found = measure(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]))
    assert (found.auc, found.precision, found.recall) == (1.0, 1.0, 1.0)


def test_recall_is_read_where_few_honest_pages_are_called_phishing():
    truth = np.array([0] * 20 + [1] * 4)
    answers = np.array([0.1] * 18 + [0.6, 0.8] + [0.9, 0.7, 0.7, 0.5])
    found = measure(truth, answers)  # one of twenty honest pages is exactly 5 %
    assert found.recall == 0.75
    assert found.precision == 0.75
    assert found.threshold == pytest.approx(0.7)


def test_a_model_that_answers_the_same_for_all_calls_nothing_phishing():
    found = measure(np.array([0, 0, 1, 1]), np.full(4, 0.5))
    assert (found.auc, found.precision, found.recall) == (0.5, 0.0, 0.0)
