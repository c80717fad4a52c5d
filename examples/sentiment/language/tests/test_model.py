"""What the detector answers, and what it learns."""

import numpy as np
import pandas as pd
import pytest
from language.evaluate import metrics_of
from language.model import Detector, LanguageModel
from language.prepare import split
from language.train import EXAMPLE, fit
from mlflow.exceptions import MlflowException

SENTENCES = {
    "en": ["The meeting starts at ten o'clock.", "I have lost my keys again."],
    "da": ["Mødet begynder klokken ti.", "Jeg har igen mistet mine nøgler."],
    "de": ["Die Sitzung beginnt um zehn Uhr.", "Ich habe schon wieder meine Schlüssel verloren."],
    "sv": ["Mötet börjar klockan tio.", "Jag har tappat bort mina nycklar igen."],
    "fr": ["La réunion commence à dix heures.", "J'ai encore perdu mes clés."],
    "ja": ["会議は十時に始まります。"],
}


@pytest.fixture(scope="module")
def detector():
    return fit(split()[0], seed=7, messages=30, odds={"en": 4, "da": 4})


@pytest.mark.parametrize(("language", "texts"), SENTENCES.items(), ids=SENTENCES)
def test_everyday_sentences_are_told_apart(detector, language, texts):
    for text in texts:
        found, probability = detector.detect(text)
        assert found == language, text
        assert 1 / len(detector.languages) < probability <= 1


def test_the_example_is_in_three_languages(detector):
    assert [detector.detect(text)[0] for text in EXAMPLE["text"]] == ["en", "da", "de"]


@pytest.mark.parametrize("text", ["", " ", "12:30", "😀👍", "!?"])
def test_a_text_without_letters_has_no_language(detector, text):
    assert detector.detect(text) == ("und", 0.0)


def test_the_same_seed_learns_the_same(detector):
    again = fit(split()[0], seed=7, messages=30, odds={"en": 4, "da": 4})
    assert (again.languages, again.sharpness) == (detector.languages, detector.sharpness)


def test_the_languages_are_those_that_there_are_messages_in(detector):
    assert detector.languages == sorted(split()[0]["language"].unique())


def test_sharper_probabilities_are_nearer_to_none_or_all():
    detector, evidence = Detector(["de", "en", "fr"], {}), np.log([[0.6, 0.3, 0.1]])
    assert detector.probabilities(evidence, 1.0).round(6).tolist() == [[0.6, 0.3, 0.1]]
    sharp = detector.probabilities(evidence, 2.0)[0]
    assert sharp[0] > 0.6
    assert sharp.sum() == pytest.approx(1)


def test_an_expected_language_is_more_likely_before_a_text_is_looked_at():
    detector, evidence = Detector(["de", "en", "fr"], {"en": 4}), np.log([[0.6, 0.3, 0.1]])
    assert detector.probabilities(evidence, 1.0)[0] == pytest.approx([6 / 19, 12 / 19, 1 / 19])


def test_a_detector_chooses_among_its_languages_alone():
    assert Detector(["de", "fr"], {}).detect("The meeting starts at ten.")[0] in {"de", "fr"}


def test_an_average_over_languages_does_not_mind_how_many_texts_each_has():
    test = pd.DataFrame({"language": ["en"] * 3 + ["da"]})
    answers = pd.DataFrame({"language": ["en"] * 4, "probability": [0.75] * 4})
    found = metrics_of(test, answers)
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == 0.5
    assert found["calibration_error"] == 0
    assert found["recall_da"] == 0
    assert found["precision_en"] == 0.75


def test_the_model_answers_a_row_for_each_text_and_refuses_a_missing_one(detector):
    model = LanguageModel()
    model.detector = detector
    answers = model.predict(None, EXAMPLE)
    assert list(answers.columns) == ["language", "probability"]
    assert len(answers) == len(EXAMPLE)
    with pytest.raises(MlflowException, match="row 1: no text"):
        model.predict(None, pd.DataFrame({"text": ["ok", None]}))
