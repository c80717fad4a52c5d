"""A server that answers as it is told, and the files of a model with an example."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def artifact(folder: Path, description: dict[str, Any], files: dict[str, Any]) -> Path:
    for name, content in {"MLmodel": description, **files}.items():
        (folder / name).write_text(json.dumps(content))
    return folder


class Predictor:
    """Answers as no model server of ours would: what the Deployer then says is what is tested."""

    def __init__(self, status: int, answer: bytes) -> None:
        self.asked: list[Any] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.asked.append((self.path, json.loads(body)))
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@contextlib.contextmanager
def predictor(status: int, answer: Any) -> Iterator[Predictor]:
    made = Predictor(status, answer if isinstance(answer, bytes) else json.dumps(answer).encode())
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
