"""Choose some tests of nightly by the commit, and ask the commit before of one that fails."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from support import ROOT

from lanes.results import Results, Test, module_of

SECONDS = ROOT / "tests/nightly/seconds.json"
"""How long each took when it last passed with all of nightly (`make test-all` writes it).

Under a module's own name stands what is set up for all of its tests.
"""
BUDGET = 120.0
"""Seconds of what is recorded: a cold or slow machine takes up to five minutes for them."""

COLD = (
    "tests/nightly/compose/test_compose.py",
    "tests/nightly/contract/test_seldon.py",
    "tests/nightly/contract/test_tfserving.py",
    "tests/nightly/e2e/test_kubernetes_examples.py",
    "tests/nightly/e2e/test_seldon_by_hand.py",
    "tests/nightly/seldon/",
    "tests/nightly/serving/test_flavours.py",
)
"""Those that first build or download for minutes where the cache is empty: none is drawn."""


def sample(seed: str, tests: Iterable[str], budget: float = BUDGET) -> list[str]:
    """Choose tests that take at most so many seconds; other seeds choose others.

    What a module sets up is paid once, so modules are drawn first, then tests of each. One whose
    time is not known is not drawn, as it could take an hour, nor is one of COLD.
    """
    known: dict[str, float] = json.loads(SECONDS.read_text())

    def drawn(name: str) -> tuple[str, str]:
        lots = [
            hashlib.sha256(f"{seed} {part}".encode()).hexdigest()
            for part in (module_of(name), name)
        ]
        return lots[0], lots[1]

    found, paid, left = [], set(), budget
    warm = {name for name in tests if not name.startswith(COLD)}
    for name in sorted(known.keys() & warm, key=drawn):
        module = module_of(name)
        costs = known[name] + (0.0 if module in paid else known.get(module, 0.0))
        if costs <= left:
            found.append(name)
            paid.add(module)
            left -= costs
    return sorted(found)


def every() -> list[str]:
    """Name all tests of nightly.

    Raises:
        subprocess.CalledProcessError: they cannot be collected.
    """
    command = [sys.executable, "-m", "pytest", "tests/nightly", "--collect-only", "-q"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if "::" in line]


def keep(results: Results) -> None:
    """Write down what each test took that passed, and each module, beside what is known of others.

    What every test of a module sets up is a test's own; what is more than that for one of them, the
    module's.
    """
    known: dict[str, float] = json.loads(SECONDS.read_text())
    modules: dict[str, list[Test]] = {}
    for test in results.of("passed"):
        modules.setdefault(test.module, []).append(test)
    for module, tests in modules.items():
        own = min(test.around for test in tests)
        known |= {test.name: round(test.wall - test.around + own, 1) for test in tests}
        known[module] = round(sum(test.around - own for test in tests), 1)
    SECONDS.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


def commit() -> str:
    """The commit's hash; that of nothing where there is no git."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    return done.stdout.strip() or "0"


def failed_before(test: str, env: dict[str, str]) -> bool:
    """Whether a test fails with the commit before, too; not if it cannot be asked."""
    with tempfile.TemporaryDirectory(prefix="commit-before-") as folder:
        tree = Path(folder) / "tree"
        add = ["git", "worktree", "add", "--detach", str(tree), "HEAD~1"]
        if subprocess.run(add, cwd=ROOT, check=False, capture_output=True).returncode:
            return False
        try:
            # Its own packages come before those that the environment points to.
            path = os.pathsep.join(filter(None, [str(tree), env.get("PYTHONPATH")]))
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
                cwd=tree,
                env={**env, "PYTHONPATH": path},
                check=False,
                capture_output=True,
            )
            return done.returncode == 1
        finally:
            remove = ["git", "worktree", "remove", "--force", str(tree)]
            subprocess.run(remove, cwd=ROOT, check=False, capture_output=True)
