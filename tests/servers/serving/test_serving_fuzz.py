"""A thousand nearly valid requests, drawn by the commit; the same again:

SCHNITZEL_TEST_SEED=0123456789ab .venv/bin/pytest tests/servers/serving/test_serving_fuzz.py
"""

import os

from support.attacks.asking import ask_fuzzed


def test_nothing_that_is_nearly_valid_breaks_it(attacked):
    ask_fuzzed(attacked, os.environ.get("SCHNITZEL_TEST_SEED", "0"), 1_000)
