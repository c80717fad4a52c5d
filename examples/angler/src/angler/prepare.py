"""The phishing-websites set in, train.csv, test.csv and the hash of both out.

1,250 web pages, nine features and whether the page was phishing: the UCI set "Website Phishing"
(Abdelhamid, Ayesh and Thabtah, 2014), as the package `river` carries it. Importing river takes
seconds and is not needed to read its file.

A page belongs to the held-out part by a hash of its features: every run, and every version that is
compared with another, is judged on the same pages, and equal pages are never on both sides.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from angler import step

TARGET = "is_phishing"
FEATURES = (
    "empty_server_form_handler",
    "popup_window",
    "https",
    "request_from_other_domain",
    "anchor_from_other_domain",
    "is_popular",
    "long_url",
    "age_of_domain",
    "ip_in_url",
)
HELD_OUT = 0.3


def source() -> Path:
    """The file of the data set inside the installed package."""
    river = find_spec("river")
    if river is None or river.origin is None:
        raise SystemExit("the package river is not installed")
    return Path(river.origin).parent / "datasets" / "phishing.csv.gz"


def held_out(page: tuple[float, ...]) -> bool:
    """Whether a page is kept for the test."""
    digest = hashlib.sha256(repr(page).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT


def split() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The pages to learn from, and the pages to be judged on."""
    pages = pd.read_csv(source()).astype(dict.fromkeys(FEATURES, "float32"))
    mask = [held_out(page) for page in pages[list(FEATURES)].itertuples(index=False, name=None)]
    test = pages[mask].reset_index(drop=True)
    return pages.drop(index=pages.index[mask]).reset_index(drop=True), test


def main() -> None:
    """Write both parts, and the hash of their bytes."""
    digest = hashlib.sha256()
    for name, pages in zip(("train.csv", "test.csv"), split(), strict=True):
        path = step.output() / name
        pages.to_csv(path, index=False)
        digest.update(path.read_bytes())
        print(f"{name}: {len(pages)} pages, {pages[TARGET].mean():.1%} phishing")
    step.write("data.json", {"hash": digest.hexdigest()})
    print(f"data hash {digest.hexdigest()}")


if __name__ == "__main__":
    main()
