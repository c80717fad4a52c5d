"""A process that tries for a Lease and, while it holds it, writes: run by tests of the Lease.

Arguments: kubeconfig, namespace, Lease, identity. Each write is guarded; each word of gain or
loss is a line on stdout. On SIGUSR1 it stops itself (SIGSTOP) before its next write.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import ApiError
from deployer.targets.kubernetes.client.session import ClusterAccess, Session
from deployer.targets.kubernetes.lease import Lease, LeaseNotHeld


def say(word: str) -> None:
    """A line that the test reads at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def watch(lease: Lease) -> None:
    """Say each gain and loss."""
    held = False
    while True:
        if lease.held() != held:
            held = not held
            say("gained" if held else "lost")
        time.sleep(0.005)


def main() -> None:
    """Try for ever."""
    kubeconfig, namespace, name, identity = sys.argv[1:]
    client = Client(Session(ClusterAccess(Path(kubeconfig))))
    lease = Lease(client, namespace, name, identity)
    threading.Thread(target=watch, args=(lease,), daemon=True).start()
    guarded = client.with_guard(lease.raise_if_not_held)
    lease.start()
    to_stop = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: to_stop.set())
    number = 0
    while True:
        if to_stop.is_set():
            to_stop.clear()
            os.kill(os.getpid(), signal.SIGSTOP)
        number += 1
        meta = {"namespace": namespace, "name": f"{identity}-{number}", "labels": {"by": identity}}
        try:
            guarded.create({"apiVersion": "v1", "kind": kinds.CONFIG_MAP.name, "metadata": meta})
        except LeaseNotHeld:
            number -= 1
        except ApiError as error:
            say(type(error).__name__)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
