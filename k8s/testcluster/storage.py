"""Run PostgreSQL, S3, and an MLflow whose tables and artifacts are in them."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from stack.files import write_private
from testcluster.errors import ClusterError
from testcluster.layout import NODE_IP, POD_NETWORK, Layout
from testcluster.programs import Program, answers, ensure
from testcluster.stamps import once

_BUCKET = "mlflow"


def up(layout: Layout) -> list[str]:
    """Start what does not run.

    Returns:
        The names of the programs started.
    """
    _initialise(layout)
    started = ensure(layout, _postgres(layout), _seaweed(layout))
    once(layout, "databases", "mlflow schnitzel", lambda: _databases(layout))
    once(layout, "bucket", _BUCKET, lambda: _bucket(layout))
    return started


def mlflow(layout: Layout) -> Program:
    """MLflow's server, which passes artifacts on to S3."""
    keys = credentials(layout)
    environment = {
        "MLFLOW_BACKEND_STORE_URI": dsn(layout, "mlflow", "postgresql+psycopg"),
        "MLFLOW_S3_ENDPOINT_URL": layout.url("s3"),
        "AWS_ACCESS_KEY_ID": keys["access_key"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
        "AWS_DEFAULT_REGION": keys["region"],
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Webhooks of tests go to this machine.
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": keys["webhook_key"],
    }
    command: list[str | Path] = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--host", NODE_IP, "--port", str(layout.ports["mlflow"])),
        *("--artifacts-destination", f"s3://{_BUCKET}/artifacts"),
    ]
    health = layout.url("mlflow") + "/health"
    return Program(
        "mlflow", command, lambda: answers(health), environment=environment, patience=180
    )


def credentials(layout: Layout) -> dict[str, str]:
    """The keys of S3 and of MLflow's webhooks, made once."""
    path = layout.state / "s3-credentials.json"
    if not path.exists():
        key = secrets.token_urlsafe(32)
        made = {
            "access_key": secrets.token_hex(10),
            "secret_key": secrets.token_hex(20),
            "region": "us-east-1",
            "webhook_key": key + "=" * (-len(key) % 4),
        }
        write_private(path, json.dumps(made, indent=1))
    found: dict[str, str] = json.loads(path.read_text())
    return found


def dsn(layout: Layout, database: str, scheme: str = "postgresql") -> str:
    """The address of a database, with the password."""
    password = (layout.state / "postgres-password").read_text()
    return f"{scheme}://schnitzel:{password}@{NODE_IP}:{layout.ports['postgres']}/{database}"


def _initialise(layout: Layout) -> None:
    password = layout.state / "postgres-password"
    known = password.exists()
    if not known:
        write_private(password, secrets.token_hex(16))
    write_private(layout.state / "postgres-dsn", dsn(layout, "schnitzel"))
    if known and (layout.tables / "data/PG_VERSION").exists():
        return  # without its password, what a lost state left of a database is of no use
    layout.tables.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(layout.tables / "data", ignore_errors=True)
    given_password = layout.tables / "password"
    write_private(given_password, password.read_text())
    for path in (layout.tables, given_password):
        shutil.chown(path, "postgres", "postgres")
    made = subprocess.run(
        [
            *("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"),
            *(_postgres_program("initdb"), "-D", layout.tables / "data", "-U", "schnitzel"),
            *("--auth=scram-sha-256", f"--pwfile={given_password}", "--encoding=UTF8", "--no-sync"),
        ],
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
    )
    given_password.unlink()
    if made.returncode != 0:
        raise ClusterError(f"initdb: {made.stderr.strip()}")
    with (layout.tables / "data/pg_hba.conf").open("a") as file:
        for network in (f"{NODE_IP}/32", POD_NETWORK):
            file.write(f"host all all {network} scram-sha-256\n")


def _postgres(layout: Layout) -> Program:
    settings = {
        "listen_addresses": NODE_IP,
        "port": str(layout.ports["postgres"]),
        "unix_socket_directories": str(layout.tables),
        "max_connections": "200",
        "fsync": "off",  # what a test leaves behind may be lost with the power
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server, data = _postgres_program("postgres"), layout.tables / "data"
    command: list[str | Path] = [server, "-D", data, *options]
    port = str(layout.ports["postgres"])
    ready: list[str | Path] = [_postgres_program("pg_isready"), "-h", NODE_IP, "-p", port]
    return Program(
        "postgres",
        command,
        lambda: subprocess.run(ready, check=False, capture_output=True).returncode == 0,
        user="postgres",
    )


def _postgres_program(name: str) -> Path:
    """A program of the newest PostgreSQL, which Debian does not put on PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise ClusterError("PostgreSQL is not installed.", "On Debian: scripts/system-packages.sh")
    return found[-1]


def _databases(layout: Layout) -> None:
    for name in ("mlflow", "schnitzel"):
        done = subprocess.run(
            ["psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-c", f'create database "{name}"'],
            env=os.environ | {"PGSERVICEFILE": "/dev/null", **_psql(layout)},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0 and "already exists" not in done.stderr:
            raise ClusterError(f"psql: {done.stderr.strip()}")


def _psql(layout: Layout) -> dict[str, str]:
    return {
        "PGHOST": NODE_IP,
        "PGPORT": str(layout.ports["postgres"]),
        "PGUSER": "schnitzel",
        "PGDATABASE": "postgres",
        "PGPASSWORD": (layout.state / "postgres-password").read_text(),
    }


def _seaweed(layout: Layout) -> Program:
    keys = credentials(layout)
    identity = {
        "name": "schnitzel",
        "credentials": [{"accessKey": keys["access_key"], "secretKey": keys["secret_key"]}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = layout.config("s3.json", json.dumps({"identities": [identity]}, indent=1))
    folder = layout.state / "s3"
    folder.mkdir(exist_ok=True)
    command: list[str | Path] = [
        *(Path(sys.executable).with_name("weed"), "server", f"-dir={folder}"),
        *(f"-ip={NODE_IP}", f"-ip.bind={NODE_IP}", "-filer", "-s3", f"-s3.config={config}"),
        f"-master.port={layout.ports['s3-master']}",
        f"-volume.port={layout.ports['s3-volume']}",
        f"-filer.port={layout.ports['s3-filer']}",
        f"-s3.port={layout.ports['s3']}",
        # Neither a table catalogue nor statistics for the maker are wanted.
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
        f"-filer.localSocket={layout.run}/filer.sock",
        f"-s3.localSocket={layout.run}/s3.sock",
        *("-master.volumeSizeLimitMB=1024", "-volume.max=0"),
    ]
    environment = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}  # one volume a bucket, not seven
    url = layout.url("s3") + "/healthz"
    return Program("s3", command, lambda: answers(url), reads=[config], environment=environment)


def _bucket(layout: Layout) -> None:
    import boto3  # type: ignore[import-untyped] # noqa: PLC0415 - takes half a second, and is needed once

    keys = credentials(layout)
    client = boto3.client(
        "s3",
        endpoint_url=layout.url("s3"),
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
        region_name=keys["region"],
    )
    # S3 that has just begun refuses a first time, and boto3 asks again what then was done already.
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=_BUCKET)
