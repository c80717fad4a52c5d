"""scikit-learn's iris data in, train.csv, test.csv and the hash of both out.

A row belongs to the held-out part by a hash of what it says: every run, and every version that is
compared with another, is judged on the same rows, and a repeated row is never on both sides.
"""

import hashlib

import pandas as pd
from sklearn.datasets import load_iris

from iris_forest import step

TARGET = "species"
HELD_OUT = 0.3


def held_out(row: tuple[object, ...]) -> bool:
    """Whether a row is kept for the test."""
    digest = hashlib.sha256(repr(row).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT


def split() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to learn from, and the rows to be judged on."""
    iris = load_iris(as_frame=True)
    frame = iris.data.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
    frame[TARGET] = iris.target_names[iris.target]
    mask = pd.Series([held_out(tuple(row)) for row in frame.itertuples(index=False)])
    return frame[~mask].reset_index(drop=True), frame[mask].reset_index(drop=True)


def main() -> None:
    """Write both parts, and the hash of their bytes."""
    digest = hashlib.sha256()
    for name, frame in zip(("train.csv", "test.csv"), split(), strict=True):
        path = step.output() / name
        frame.to_csv(path, index=False)
        digest.update(path.read_bytes())
        print(f"{name}: {len(frame)} rows")
    step.write("data.json", {"hash": digest.hexdigest()})
    print(f"data hash {digest.hexdigest()}")


if __name__ == "__main__":
    main()
