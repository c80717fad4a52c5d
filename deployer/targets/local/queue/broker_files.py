"""Put the brokers of the platform where model servers of this machine find them."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from deployer.config.secret_refs import resolve_secret
from deployer.config.settings import Settings
from deployer.targets.local.queue.consumers import BrokerFiles, Consumers
from stack.files import read_or_create, write_private
from stack.paths import Layout


def consumers(settings: Settings, layout: Layout) -> Consumers:
    """Put each broker's files in place, for the model servers that consume its queues.

    A secret in a file stays there, so that a new password needs no restart. One in a variable is
    written to a private file, and so is every one where the model servers are in another container,
    which shares the home with this one.

    Raises:
        SettingsInvalid: The reference of a broker leads nowhere.
    """
    found = {}
    folder = layout.serving / "brokers"
    for name, broker in settings.brokers.items():
        kind, _, where = broker.url_ref.partition(":")
        shared = settings.local.host is not None
        if kind == "file" and not shared:
            found[name] = BrokerFiles(Path(where), broker.ca_file)
            continue
        url = folder / f"{name}.url"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(url, resolve_secret(broker.url_ref))
        certificates = broker.ca_file
        if certificates and shared:
            certificates = folder / f"{name}.pem"
            write_private(certificates, broker.ca_file.read_text() if broker.ca_file else "")
        found[name] = BrokerFiles(url, certificates)
    return Consumers(found, partial(_key, layout))


def _key(layout: Layout) -> bytes:
    """Return the platform's key, which is made once."""
    return read_or_create(layout.share_key, lambda: os.urandom(32).hex()).encode()
