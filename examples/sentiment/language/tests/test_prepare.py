"""Which messages are read, and which are held out."""

import pytest
from language.prepare import has_words, messages, plain, split


@pytest.fixture(scope="module")
def parts():
    return split()


def test_a_message_is_on_one_side_in_every_language(parts):
    train, test = parts
    by_side = messages().merge(test.assign(held_out=True), how="left", on=["language", "text"])
    sides = by_side.groupby("message")["held_out"].apply(lambda side: side.notna().mean())
    assert set(sides) == {0.0, 1.0}
    assert len(train) + len(test) == len(by_side)
    assert 0.2 < len(test) / len(by_side) < 0.4


def test_the_split_is_the_same_every_time(parts):
    assert all(one.equals(other) for one, other in zip(parts, split(), strict=True))


def test_there_are_enough_messages_in_the_languages_that_texts_are_routed_by(parts):
    for part in parts:
        counts = part["language"].value_counts()
        assert (counts[["en", "da", "de", "sv", "no"]] > 50).all()


def test_a_message_loses_its_markup():
    assert plain("Feltet %(name)s er\n<b>påkrævet</b>&nbsp;{0}.") == "Feltet er påkrævet ."


@pytest.mark.parametrize(("text", "has"), [("Er du sikker på det?", True), ("404 (%)", False)])
def test_a_text_of_few_letters_has_no_language(text, has):
    assert has_words(text) is has
