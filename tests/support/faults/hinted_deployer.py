"""The Deployer without a resync: what nobody reports of a deployment at rest is not seen."""

from __future__ import annotations

import sys

from deployer.__main__ import main
from deployer.controller import pace

if __name__ == "__main__":
    pace.RESYNC_SECONDS = (86_400.0, 86_400.0)
    sys.argv = ["deployer", "run"]
    sys.exit(main())
