"""Ten thousand nearly valid requests; SCHNITZEL_TEST_SEED draws the same again."""

import os

import pytest
from support.attacks.asking import ask_fuzzed


@pytest.mark.timeout(1800)
def test_nothing_of_much_that_is_nearly_valid_breaks_it(attacked):
    ask_fuzzed(attacked, os.environ.get("SCHNITZEL_TEST_SEED", "0"), 10_000)
