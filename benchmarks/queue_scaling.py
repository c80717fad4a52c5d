"""A burst of messages, with and without replicas that follow it.

    python benchmarks/queue_scaling.py [MESSAGES]        # 10,000 by default

On a platform of this machine with a real RabbitMQ, one model that waits 5 ms for each message (as
one does that asks another system), all in one run: seconds from the last message of the burst to
the last result, with one replica and with up to four; and seconds until two and four of them
consume.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pamqp.commands import Basic

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from contract.places.queue import QueuePlace
from support.load import BODY
from support.run.wait import wait_for

ALONE = {"batching": {"enabled": False}}
SCALED = ALONE | {"autoscaling": {"min": 1, "max": 4, "messages": 500}}


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        place = QueuePlace(Path(folder) / "home")
        try:
            models: list[dict[str, Any]] = [
                {"name": "fixed", "kind": "waits-5-ms", "serving": ALONE},
                {"name": "scaled", "kind": "waits-5-ms", "serving": SCALED},
            ]
            place.models(models)
            place.start()
            for name in ("fixed", "scaled"):
                place.promote(name, 1)
                place.serves(name, 1)
                burst(place, name, messages)
        finally:
            place.end()


def burst(place: QueuePlace, name: str, messages: int) -> None:
    """Send a burst, and print when replicas consume and when the last result is there."""
    source, results = f"{name}.prod", f"{name}.prod.results"
    own = Basic.Properties(delivery_mode=2, content_type="application/json")
    place.broker.send_all(source, [(BODY, own)] * messages, at_once=500)
    began, reached = time.monotonic(), {}
    print(f"{name}: {messages} messages sent, {place.broker.depth(source)} wait")

    def done() -> bool:
        consumers = place.broker.consumers(source)
        for number in (2, 4):
            if consumers >= number:
                reached.setdefault(number, time.monotonic() - began)
        return place.broker.depth(results) >= messages

    wait_for(done, "all results", 600, 0.1)
    seconds = time.monotonic() - began
    print(f"{name}: empty after {seconds:.1f} s ({messages / seconds:.0f} messages a second)")
    for number, after in reached.items():
        print(f"{name}: {number} replicas consumed after {after:.1f} s")


if __name__ == "__main__":
    main()
