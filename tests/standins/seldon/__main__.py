"""Run the stand-in until it is ended; print "ready" once it watches.

python -m standins.seldon --kubeconfig FILE --prefix PREFIX [--config JSON]
    [--initializer IMAGE] [--no-webhook]
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from standins.seldon import servers
from standins.seldon.api import Api
from standins.seldon.loop import Loop
from standins.seldon.webhook import webhook


def main(arguments: list[str]) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--prefix", required=True, help="of the namespaces to look after")
    parser.add_argument("--config", default="{}", help="over predictor_servers; null: none")
    parser.add_argument("--initializer", default="localhost:9/seldonio/rclone-storage-initializer")
    asked = argparse.BooleanOptionalAction
    parser.add_argument("--webhook", action=asked, default=True, help="as its release has it")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = servers.configured(json.loads(given.config))
    with ExitStack() as stack:
        if given.webhook:
            stack.enter_context(webhook(given.kubeconfig, given.prefix, config))
        loop = Loop(Api(given.kubeconfig), given.prefix, config, given.initializer)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        loop.run()


if __name__ == "__main__":
    main(sys.argv[1:])
