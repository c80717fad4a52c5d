"""In: SCHNITZEL_HOME. Out: the supervisord of model servers as this process, or whether it answers.

    python -m stack.supervision.servers [check]

For a container of model servers beside the Deployer's, with the same home and cache.
"""

import sys

from stack import paths
from stack.supervision.daemon import Daemon
from stack.supervision.supervisor import SERVING


def main(arguments: list[str]) -> int:
    """Become supervisord, or say by the exit status whether it answers."""
    daemon = Daemon(paths.Layout(paths.home()).serving, SERVING, None)
    if arguments != ["check"]:
        daemon.become()
    return 0 if daemon.alive() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
