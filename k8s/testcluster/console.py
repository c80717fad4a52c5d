"""Print a line for each step, and the seconds that it took."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    """Print a line now, also where the output is a file."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextmanager
def step(what: str, usually: str = "") -> Iterator[None]:
    """Say what begins and how long it usually takes; when it is done, how long it took."""
    say(f"==> {what}" + (f" (usually {usually})" if usually else ""))
    begun = time.monotonic()
    yield
    say(f"    {what}: {time.monotonic() - begun:.1f} s")
