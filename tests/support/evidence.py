"""What every database has to do with the evidence of rollouts."""

from __future__ import annotations

from deployer.state.evidence import Arm, Trial, Window
from deployer.store.evidence import EvidenceStore


def kept_and_returned(store: EvidenceStore) -> None:
    """Keep windows and verdicts of two attempts, and find each by its own."""
    first = Trial("angler-prod", "digest", 100, "policy")
    second = first._replace(began=200)
    windows = [
        (step, Window(n, n, Arm(7, 1, 0, {12: 3}, {"a": 2}, {5: 1}, 3, 1), Arm(9), {4: 2}))
        for n, step in ((10, 0), (11, 0), (12, 1))
    ]
    store.append(first, windows[:2])
    store.append(first, windows)  # what is there already stays
    store.append(second, windows[2:])
    assert store.windows(first) == windows
    assert store.windows(second) == windows[2:]
    assert store.latest(first, 1) == [windows[0][1], windows[2][1]]
    assert store.latest(first, 9) == [window for _, window in windows]
    assert store.latest(first._replace(policy="another"), 9) == []
    assert store.windows(first._replace(policy="another")) == []
    store.note(first, 0, 1_000.5, {"said": "little"})
    store.note(first, 0, 1_001.5, {"said": "much"})
    store.note(second, 1, 1_002.5, {"low": float("-inf"), "text": "\u00e4"})
    assert store.verdicts("angler-prod") == [
        (second, 1, {"low": None, "text": "\u00e4"}),
        (first, 0, {"said": "much"}),
    ]
    assert store.verdicts("angler-prod", 1) == [(second, 1, {"low": None, "text": "\u00e4"})]
    assert store.verdicts("other") == []
