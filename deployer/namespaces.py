"""Name the namespace of an environment and a project, from the environment's template.

Every user who can tag a version (`schnitzel.project`) can name a project, so that the name is not
trusted: it only fills its place in the template, and no namespace begins with "kube-".
"""

import hashlib
import re
from typing import Final

MAX_LENGTH: Final = 63
"""The most characters of a namespace's name (RFC 1123)."""

_HASH_DIGITS: Final = 12
_ROOM: Final = 20
"""The least characters that a template leaves to a project: seven of its name, and a hash."""

_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_ENDS_LIKE_OURS: Final = re.compile(r".*-[0-9a-f]{12}")


def check_template(template: str) -> None:
    """Check a template, whatever names will fill it.

    Raises:
        ValueError: the template is invalid; the message says how it should be.
    """
    filled = template.replace("{environment}", "e").replace("{project}", "p")
    if not _LABEL.fullmatch(filled) or template.count("{project}") > 1:
        raise ValueError("should be of a-z, 0-9, '-', {environment} and one {project}")
    if template.startswith("kube-"):
        raise ValueError("should not begin with 'kube-', which is the cluster's own")


def check_environment(template: str, environment: str) -> None:
    """Check that an environment's name fits a template.

    Raises:
        ValueError: the name does not fit; the message gives the reason.
    """
    filled = template.replace("{environment}", environment)
    room = MAX_LENGTH - len(filled.replace("{project}", ""))
    if room < (_ROOM if "{project}" in template else 0):
        raise ValueError(f"has the namespace {filled!r}, which is too long for a cluster")
    if filled.startswith("kube-"):
        raise ValueError(f"has the namespace {filled!r}, and 'kube-' is the cluster's own")


def expand(template: str, environment: str, project: str) -> str:
    """Fill a template: ("{project}-{environment}", "prod", "angler") -> "angler-prod".

    A project's name that is not plain, or is too long, becomes a readable part of the name and
    twelve hex digits of its hash, so that no two projects share a namespace by their names alone.

    Args:
        template: a template that passed `check_template`, and `check_environment` for the
            environment.
        environment: the environment's name.
        project: any text.
    """
    filled = template.replace("{environment}", environment)
    if "{project}" not in filled:
        return filled
    room = MAX_LENGTH - len(filled.replace("{project}", ""))
    plain = (
        len(project) <= room
        and _LABEL.fullmatch(project)
        and not _ENDS_LIKE_OURS.fullmatch(project)
        and not project.startswith("kube-")
    )
    return filled.replace("{project}", project if plain else _hashed(project, room))


def _hashed(project: str, room: int) -> str:
    digits = hashlib.sha256(project.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    readable = re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-").removeprefix("kube-")
    stem = readable[: room - _HASH_DIGITS - 1].strip("-") or "p"
    return f"{stem}-{digits}"
