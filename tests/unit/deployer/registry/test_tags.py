"""Tags on versions, where what keeps account of them, or MLflow, does not do as it should."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.run.wait import wait_for

from deployer.errors import DatabaseUnavailable
from deployer.registry.client import RegistryClient
from deployer.registry.tags import TagWriter, VersionTags
from deployer.state.registry import VersionId
from deployer.store.records import Records
from deployer.store.sqlite import Database

URL = "http://gateway/prod/angler/"
TAGS = VersionTags(VersionId("angler", 1, 1), "prod", "Serving", URL)
STATUS, ADDRESS = ("schnitzel.prod.status", "Serving"), ("schnitzel.prod.url", URL)


class Registry:
    """Takes tags as MLflow does; `refusals` are answered first."""

    def __init__(self) -> None:
        self.refusals: list[int] = []
        self.tags: list[tuple[str, str]] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = registry.refusals.pop(0) if registry.refusals else 200
                if status == 200 and self.path.endswith("/model-versions/set-tag"):
                    registry.tags.append((body["key"], body["value"]))
                answer = b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}' if status == 404 else b"{}"
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Forgetful(Records):
    """Fails at the first thing that it is to remember."""

    error: Exception | None = None

    def set(self, name: str, value: str) -> None:
        error, self.error = self.error, None
        if error:
            raise error
        super().set(name, value)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr("deployer.registry.tags.RETRY_SECONDS", 0.05)
    with closing(Registry()) as made:
        yield made


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Forgetful]:
    with closing(Database(tmp_path / "deployer.db")) as database:
        yield Forgetful(database)


@pytest.fixture
def mirror(registry: Registry, records: Forgetful) -> Iterator[tuple[TagWriter, threading.Event]]:
    written = threading.Event()
    with (
        closing(RegistryClient(registry.url)) as rest,
        closing(TagWriter(rest, records, written.set)) as made,
    ):
        yield made, written


def shows_another(mirror: TagWriter, registry: Registry) -> None:
    """Wait for the tags of another version: by then nothing is left to write of the first."""
    mirror.schedule(replace(TAGS, version=VersionId("angler", 2, 1), status="Failed", url=""))
    wait_for(lambda: ("schnitzel.prod.status", "Failed") in registry.tags, "the next tags")


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), KeyError("nobody thought of it")])
def test_what_cannot_be_remembered_is_written_again(mirror, registry, records, error):
    made, written = mirror
    records.error = error
    made.schedule(TAGS)
    assert written.wait(60), "the mirror's thread has ended"
    assert registry.tags == [STATUS, ADDRESS] * 2
    made.schedule(TAGS)  # remembered now
    shows_another(made, registry)
    assert registry.tags.count(STATUS) == 2


@pytest.mark.parametrize("refusals", [[500], [200, 503], [429, 500]])
def test_what_mlflow_refuses_is_written_again_until_it_is_there(mirror, registry, refusals):
    made, written = mirror
    registry.refusals = [*refusals]
    made.schedule(TAGS)
    assert written.wait(60), "the mirror's thread has ended"
    assert registry.tags[-2:] == [STATUS, ADDRESS]
    assert not registry.refusals


def test_the_tags_of_a_version_that_is_gone_are_not_written_again(mirror, registry):
    made, written = mirror
    registry.refusals = [404]
    made.schedule(TAGS)
    assert written.wait(60), "the mirror's thread has ended"
    shows_another(made, registry)
    assert STATUS not in registry.tags
