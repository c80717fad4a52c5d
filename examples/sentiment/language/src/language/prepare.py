"""Django's translations in, train.csv, test.csv and the hash of both out.

The package `django` carries its messages ("Enter a valid email address.") in some ninety languages,
translated by people: short texts whose language is known. What py3langid has no name for is left
out, and variants count as their language (Brazilian Portuguese as Portuguese).

A message belongs to the held-out part by a hash of its English text: every version that is compared
with another is judged on the same messages, and no message is on one side in one language and on
the other side in another.
"""

import gettext
import hashlib
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from language import step
from language.model import known_languages

HELD_OUT = 0.3
LEAST_LETTERS = 15
MARKUP = re.compile(r"%\(\w+\)[a-z0-9.]*|%[a-z]|\{[^}]*\}|<[^>]*>|&\w+;")
"""Placeholders and tags, which are in no language."""
SAME_AS = {"nb": "no"}
"""Languages that py3langid has another code for."""


def source() -> Path:
    """The folder of the installed package."""
    django = find_spec("django")
    if django is None or django.origin is None:
        raise SystemExit("the package django is not installed")
    return Path(django.origin).parent


def held_out(message: str) -> bool:
    """Whether a message is kept for the test."""
    digest = hashlib.sha256(message.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT


def plain(message: str) -> str:
    """A message without markup."""
    return " ".join(MARKUP.sub(" ", message).split())


def has_words(text: str) -> bool:
    """Whether there are enough letters to tell a language by."""
    return sum(map(str.isalpha, text)) >= LEAST_LETTERS


def catalog(path: Path) -> Iterator[tuple[str, str]]:
    """Messages in English and in a catalog's language."""
    with path.open("rb") as file:
        # gettext has no public way to list what a catalog holds.
        found = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    for key, text in found.items():
        message = key[0] if isinstance(key, tuple) else key  # (message, number) of a plural
        if message:  # the catalog's header has none
            yield plain(message.rpartition("\4")[2]), plain(text)  # after its context


def messages() -> pd.DataFrame:
    """Each text with its language, and the English message that it stands for."""
    known, found = set(known_languages()), {}
    for path in sorted(source().glob("**/locale/*/LC_MESSAGES/*.mo")):
        code = path.parts[-3].partition("_")[0]
        language = SAME_AS.get(code, code)
        for message, text in catalog(path):
            found[message, "en"] = message
            if language in known and text != message:  # what nobody translated is English
                found.setdefault((text, language), message)
    rows = [(name, text, message) for (text, name), message in found.items() if has_words(text)]
    return pd.DataFrame(rows, columns=["language", "text", "message"]).sort_values(
        ["language", "text"], ignore_index=True
    )


def split() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The texts to learn from, and the texts to be judged on."""
    frame = messages()
    mask = frame["message"].map(held_out)
    texts = frame[["language", "text"]]
    return texts[~mask].reset_index(drop=True), texts[mask].reset_index(drop=True)


def main() -> None:
    """Write both parts, and the hash of their bytes."""
    digest = hashlib.sha256()
    for name, frame in zip(("train.csv", "test.csv"), split(), strict=True):
        path = step.output() / name
        frame.to_csv(path, index=False)
        digest.update(path.read_bytes())
        print(f"{name}: {len(frame)} texts in {frame['language'].nunique()} languages")
    step.write("data.json", {"hash": digest.hexdigest()})
    print(f"data hash {digest.hexdigest()}")


if __name__ == "__main__":
    main()
