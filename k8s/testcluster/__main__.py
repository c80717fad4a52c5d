"""Bring a cluster up or down, or describe it; run by path."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # so that `testcluster` is a package

from testcluster.commands import main  # noqa: E402 - the line above makes it importable

sys.exit(main())
