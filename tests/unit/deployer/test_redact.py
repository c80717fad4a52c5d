"""What is shown to people has no secret in it."""

import pytest
from support.redaction import CASES

from deployer.redact import redact, redact_logins


@pytest.mark.parametrize(("text", "clean"), CASES)
def test_secrets_are_redacted_and_the_rest_is_left(text, clean):
    assert redact(text) == clean
    assert redact(clean) == clean


@pytest.mark.parametrize(
    "text",
    [
        "git+https://code.example/pkg.git@v1",
        "https://h:8080/a@b",
        "https://h/p and mail@x.example",
        "?token=abc",
    ],
)
def test_an_address_without_a_login_is_left_whole(text):
    assert redact_logins(text) == text


def test_a_login_ends_at_the_last_at_sign_of_its_word():
    assert redact("https://ann:a@b:c/d@h/p") == "https://[redacted]@h/p"
