"""Run the supervisord of model servers as this process, or check whether it answers.

    python -m stack.supervision.servers [check]

Made for a container of model servers beside the Deployer's, with the same home and cache.
"""

import sys

from stack import paths
from stack.supervision.daemon import Daemon
from stack.supervision.supervisor import SERVING


def main(arguments: list[str]) -> int:
    """Become supervisord, or return as exit status whether it answers."""
    daemon = Daemon(paths.Layout(paths.home()).serving, SERVING, None)
    if arguments != ["check"]:
        daemon.exec()
    return 0 if daemon.alive() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
