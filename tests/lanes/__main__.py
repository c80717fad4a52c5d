"""Run lanes by their names, or a set of them: `python tests/lanes test`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # so that `lanes` and `support` are packages

from lanes.commands import main  # noqa: E402 - the line above makes it importable

sys.exit(main())
