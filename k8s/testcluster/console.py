"""In: what is being done. Out: a line of it, at once."""

import sys


def say(line: str) -> None:
    """Print a line now, also where the output is a file."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
