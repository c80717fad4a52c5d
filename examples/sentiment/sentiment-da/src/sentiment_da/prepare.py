"""Danish words in, train.csv, test.csv and the hash of both out.

No package carries Danish texts that people judged, so this learns from words: AFINN's Danish list
of 3,552 words, rated from -5 to 5 by Finn Årup Nielsen, as the package `afinn` carries it; and of
85,000 other word forms that the lemmatizer `lemmy` knows, which count as unrated, 0.

A word belongs to the held-out part by a hash: every version that is compared with another is judged
on the same words. Of the unrated words the test has as many as of the rated ones.
"""

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from sentiment_da import step

HELD_OUT = 0.1
WORD = re.compile("[a-zæøå]{2,}")


def folder_of(package: str) -> Path:
    """The folder of an installed package."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"the package {package} is not installed")
    return Path(found.origin).parent


def rated_words() -> dict[str, int]:
    """AFINN's words with their ratings; its two dozen phrases are left out."""
    lines = (folder_of("afinn") / "data" / "AFINN-da-32.txt").read_text("utf-8").splitlines()
    rows = (line.rpartition("\t") for line in lines)
    return {word: int(rating) for word, _, rating in rows if WORD.fullmatch(word)}


def known_words() -> set[str]:
    """The word forms that lemmy knows."""
    from lemmy.rules.da import rules  # here: 6 MB of Python take a second

    return {word for word in rules[""] if WORD.fullmatch(word)}


def place(word: str) -> float:
    """A number from 0 to 1 that is always the same for a word."""
    digest = hashlib.sha256(word.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def split() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The words to learn from, and the words to be judged on."""
    rated = rated_words()
    valences = rated | dict.fromkeys(known_words() - rated.keys(), 0)
    frame = pd.DataFrame(sorted(valences.items()), columns=["word", "valence"])
    frame["place"] = frame["word"].map(place)
    mask = frame["place"] < HELD_OUT
    test = frame[mask].sort_values("place")
    judged = test[test["valence"] != 0]
    unjudged = test[test["valence"] == 0].head(len(judged))
    columns = ["word", "valence"]
    return (
        frame.loc[~mask, columns].reset_index(drop=True),
        pd.concat([judged, unjudged])[columns].sort_values("word", ignore_index=True),
    )


def main() -> None:
    """Write both parts, and the hash of their bytes."""
    digest = hashlib.sha256()
    for name, frame in zip(("train.csv", "test.csv"), split(), strict=True):
        path = step.output() / name
        frame.to_csv(path, index=False)
        digest.update(path.read_bytes())
        print(f"{name}: {len(frame)} words, {(frame['valence'] != 0).sum()} of them rated")
    step.write("data.json", {"hash": digest.hexdigest()})
    print(f"data hash {digest.hexdigest()}")


if __name__ == "__main__":
    main()
