"""Map a path to the name of its route.

Paths are those behind the deployment's own root, which the gateway strips.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

_FIXED = {
    b"": "index",
    b"v2": "server",
    b"v2/health/live": "live",
    b"v2/health/ready": "ready",
    b"ping": "ping",
    b"health": "ping",
    b"version": "version",
    b"metrics": "metrics",
    b"openapi.json": "openapi",
    b"invocations": "invocations",
}
_OF_MODEL = {"": "model", "ready": "model_ready", "infer": "infer"}


class NoSuchPath(Exception):  # noqa: N818 - it is an answer: a 404
    """There is no such path; the message names what there is."""


def paths(model: str, version: str) -> dict[str, str]:
    """Return every path, percent-encoded, and the name of its route."""
    found = {f"/{path.decode()}": name for path, name in _FIXED.items()}
    of_model = f"/v2/models/{quote(model, safe='')}"
    for root in (of_model, f"{of_model}/versions/{quote(version, safe='')}"):
        found |= {f"{root}/{part}".rstrip("/"): name for part, name in _OF_MODEL.items()}
    return found


def find(raw_path: bytes, model: str, version: str) -> str:
    """Return the name of the route of `raw_path` (as received, percent-encoded).

    Raises:
        NoSuchPath: there is no such path.
    """
    path = raw_path.split(b"?")[0].strip(b"/")
    fixed = _FIXED.get(path)
    if fixed is not None:
        return fixed
    parts = [unquote(part) for part in path.decode("latin-1").split("/")]
    if len(parts) < 3 or parts[:2] != ["v2", "models"]:
        raise NoSuchPath(f"there is nothing at /{'/'.join(parts)}")
    if parts[2] != model:
        raise NoSuchPath(f"model '{parts[2]}' is not served here, '{model}' is")
    rest = parts[3:]
    if rest[:1] == ["versions"] and len(rest) > 1:
        if rest[1] != version:
            raise NoSuchPath(f"version '{rest[1]}' is not served here, '{version}' is")
        rest = rest[2:]
    what = _OF_MODEL.get("/".join(rest))
    if what is None:
        raise NoSuchPath(f"there is no '{'/'.join(rest)}' of a model: use ready or infer")
    return what
