"""Serve made-up packages to uv from a real package index on loopback."""

import base64
import hashlib
import http.server
import io
import re
import threading
import zipfile


def wheel(name: str, version: str, *, needs: str = "") -> bytes:
    """A wheel with one module, which has VERSION."""
    info = f"{name}-{version}.dist-info"
    about = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": _metadata(name, version, needs),
        f"{info}/WHEEL": about,
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return content.getvalue()


def _metadata(name: str, version: str, needs: str) -> str:
    said = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return said + (f"Requires-Dist: {needs}\n" if needs else "")


class PackageIndex:
    """Serves wheels as the simple repository API does. `hold` makes wheel downloads wait."""

    def __init__(self) -> None:
        self.wheels: dict[str, bytes] = {}
        self.metadata: dict[str, bytes] = {}
        self.downloads: list[str] = []
        self.requests = 0
        self.hold = threading.Event()
        self.reached = threading.Event()
        self.hold.set()
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.requests += 1
                status, body = index.answer(self.path)
                self.send_response(status)
                self.send_header("content-type", "text/html")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/simple"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def publish(self, name: str, version: str, *, needs: str = "") -> None:
        """Put a wheel with one module, which has VERSION, on the index."""
        file = f"{name}-{version}-py3-none-any.whl"
        self.wheels[file] = wheel(name, version, needs=needs)
        self.metadata[file] = _metadata(name, version, needs).encode()

    def answer(self, path: str) -> tuple[int, bytes]:
        if match := re.fullmatch(r"/simple/([^/]+)/", path):
            links = "".join(
                f'<a href="/files/{file}#sha256={hashlib.sha256(content).hexdigest()}" '
                f'data-dist-info-metadata="true">{file}</a>\n'
                for file, content in self.wheels.items()
                if file.startswith(f"{match[1]}-")
            )
            return (200, f"<html><body>{links}</body></html>".encode()) if links else (404, b"")
        file = path.removeprefix("/files/")
        if file.endswith(".metadata"):
            return 200, self.metadata[file.removesuffix(".metadata")]
        if file not in self.wheels:
            return 404, b""
        self.downloads.append(file)
        self.reached.set()
        self.hold.wait(60)
        return 200, self.wheels[file]

    def close(self) -> None:
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
