"""Locate RabbitMQ, and render its configuration, its user and the environment of its server.

The settings are those of rabbitmq.com/docs/configure and of RabbitMQ's own scripts; seen with
3.10.8 on Erlang 25, which Debian 12 has.
"""

import base64
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from stack.errors import StackError

USER = "schnitzel"
CONFIG = "rabbitmq.conf"
DEFINITIONS = "definitions.json"
FOREIGN = ("RABBITMQ_", "ERL_")
"""Variables of a shell that would change the server."""

NODE = "schnitzel@localhost"
"""The name of the Erlang node, which the names of its data's folders hold: it must not change."""
PACKAGED = Path("/usr/lib/rabbitmq/lib")
"""The folder of the packages of Debian, Ubuntu and RabbitMQ's own (deb and rpm)."""


def server() -> Path:
    """Find the script rabbitmq-server on PATH, else the newest in the packages' folder.

    What a package has on PATH is a wrapper, which runs for root and the user rabbitmq only: the
    script itself lies beside rabbitmq-env.

    Raises:
        StackError: RabbitMQ is in neither place.
    """
    found = Path(shutil.which("rabbitmq-server") or os.devnull).resolve()
    if found.name == "rabbitmq-server" and found.with_name("rabbitmq-env").exists():
        return found
    packaged = [
        path
        for path in PACKAGED.glob("rabbitmq_server-*/sbin/rabbitmq-server")
        if os.access(path, os.X_OK)
    ]
    if not packaged:
        raise StackError(
            "RabbitMQ, which platform.yaml names in components, is not installed.",
            "As root on Debian or Ubuntu: apt-get install rabbitmq-server; or take rabbitmq out of "
            "components in platform.yaml.",
        )
    return max(packaged, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parts[-3])])


def login_url(port: int, password: str) -> str:
    """Build the URL of the broker for its clients, with the login; URL-safe passwords only."""
    return f"amqp://{USER}:{password}@127.0.0.1:{port}/"


def render(port: int) -> str:
    """Render rabbitmq.conf; its relative path starts at the server's working directory."""
    lines = [
        f"listeners.tcp.1 = 127.0.0.1:{port}",
        # At each start. RabbitMQ makes no user guest where definitions are loaded.
        f"load_definitions = {DEFINITIONS}",
        "log.file = false",
        "log.console = true",
        "log.console.use_colors = off",
        "log.connection.level = error",  # each health check is a connection
    ]
    return "\n".join(lines) + "\n"


def definitions(password: str) -> str:
    """Render the only user, with the hash of the password, and its permissions."""
    user = {
        "name": USER,
        "password_hash": _hash(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "",
    }
    every = {"user": USER, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    content = {"users": [user], "vhosts": [{"name": "/"}], "permissions": [every]}
    return json.dumps(content, indent=1) + "\n"


def _hash(password: str) -> str:
    # rabbitmq.com/docs/passwords: 4 bytes of salt and SHA-256 of salt and password, in base64. The
    # salt follows from the password, so that an unchanged password leaves the file unchanged; the
    # password is random, so that no other has its hash.
    secret = password.encode()
    salt = hashlib.sha256(secret).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + secret).digest()).decode()


def environment(folder: Path, port: int) -> dict[str, str]:
    """Build the environment variables of the server.

    Nothing but AMQP listens. RabbitMQ starts Erlang's port mapper, epmd, on every address of the
    machine, unless the node has its name already (rabbit_prelaunch_dist:setup); so Erlang gives the
    name, with a distribution that does not listen and a port that is asked of nobody. An Erlang
    before 25 ignores `-dist_listen` and listens on loopback, at that port.

    Args:
        folder: the folder of configuration and data.
        port: the port for AMQP.
    """
    distribution = port + 20000 if port <= 45535 else port - 20000  # RabbitMQ's own rule
    return {
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(folder / CONFIG),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            f"-sname {NODE} -start_epmd false -erl_epmd_port {distribution} -dist_listen false "
            "-kernel inet_dist_use_interface {127,0,0,1}"
        ),
    }
