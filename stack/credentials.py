"""Create the secrets of a home once, and keep them in files of mode 0600.

No secret is ever put on a command line or in a log.
"""

import base64
import getpass
import hashlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from stack.files import read_or_create, write_private
from stack.paths import Layout


@dataclass(frozen=True)
class Credentials:
    """The secrets of a platform."""

    subject: str
    """The subject of the API token: the user of the operating system."""
    token: str = field(repr=False)
    airflow_password: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    webhook_encryption_key: str = field(repr=False)
    airflow_fernet_key: str = field(repr=False)
    airflow_jwt_secret: str = field(repr=False)
    airflow_api_secret: str = field(repr=False)


def ensure(layout: Layout) -> Credentials:
    """Read the secrets of a home, and create the missing ones."""
    layout.secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.secrets.chmod(0o700)
    subject, token = _token(layout)
    return Credentials(
        subject=subject,
        token=token,
        airflow_password=_airflow_password(layout.airflow_passwords),
        webhook_secret=read_or_create(layout.webhook_secret, _random),
        webhook_encryption_key=read_or_create(layout.webhook_encryption_key, _fernet_key),
        airflow_fernet_key=read_or_create(layout.secrets / "airflow-fernet-key", _fernet_key),
        airflow_jwt_secret=read_or_create(layout.secrets / "airflow-jwt-secret", _random),
        airflow_api_secret=read_or_create(layout.secrets / "airflow-api-secret", _random),
    )


def rabbitmq_password(layout: Layout) -> str:
    """Read the password of a home's RabbitMQ, and create it if it is missing."""
    return read_or_create(layout.rabbitmq_password, _random)


def rabbitmq_cookie(layout: Layout) -> str:
    """Read the cookie of a home's Erlang node, and create it: Erlang guesses one from the time."""
    return read_or_create(layout.rabbitmq / ".erlang.cookie", _random)


def _random() -> str:
    return secrets.token_urlsafe(48)


def _fernet_key() -> str:
    # github.com/fernet/spec: 32 random bytes in URL-safe base64
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def _token(layout: Layout) -> tuple[str, str]:
    content = read_or_create(layout.token, lambda: f"{_user()}:{_random()}")
    subject, _, token = content.partition(":")
    known = _json_object(layout.tokens)
    digest = hashlib.sha256(token.encode()).hexdigest()
    if known.get(digest) != subject:
        write_private(layout.tokens, json.dumps(known | {digest: subject}, indent=1) + "\n")
    return subject, token


def _airflow_password(path: Path) -> str:
    # The format of Airflow's simple auth manager: {"user": "password"}.
    known = _json_object(path)
    if "admin" not in known:
        known["admin"] = secrets.token_urlsafe(18)
        write_private(path, json.dumps(known) + "\n")
    return known["admin"]


def _json_object(path: Path) -> dict[str, str]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a passwd entry
        return f"uid-{os.getuid()}"
