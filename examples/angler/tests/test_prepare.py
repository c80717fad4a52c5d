"""Which pages are held out."""

from angler.prepare import FEATURES, TARGET, split


def test_every_page_is_on_exactly_one_side():
    train, test = split()
    assert len(train) + len(test) == 1250
    assert 0.2 < len(test) / 1250 < 0.4
    assert set(train.columns) == {*FEATURES, TARGET}


def test_equal_pages_are_never_on_both_sides():
    train, test = (set(part[list(FEATURES)].itertuples(index=False)) for part in split())
    assert not train & test


def test_the_split_is_the_same_every_time():
    first, second = split(), split()
    assert first[0].equals(second[0])
    assert first[1].equals(second[1])
