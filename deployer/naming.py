"""Derive safe, distinct names from the names of models, environments and versions.

MLflow allows 256 characters of anything but "/" and ":" in a model's name. The derived names are
used for objects, supervisord programs, Traefik routers, folders and URLs:

- An *object name* is a label of at most 50 characters that starts with a letter (RFC 1035, which
  Kubernetes asks of a Service; also a file name, a supervisord program and a Traefik name).
- A name that is plain already stays as it is. Any other becomes a readable slug and twelve hex
  digits of the hash of the exact original.
- A plain name that itself ends like such a hash, or like a predictor, counts as not plain. So no
  kept name ends like a hash, all others do, and two names are equal only if their originals (or
  48 bits of their SHA-256) are.
"""

import hashlib
import re
import unicodedata
from typing import Final

from deployer.errors import SettingsInvalid

MAX_OBJECT_NAME: Final = 50
"""In characters; leaves 13 of a Kubernetes label's 63 to suffixes that others append."""

MAX_URL_SEGMENT: Final = 80

_HASH_DIGITS: Final = 12
_DIGEST_DIGITS: Final = 8
_ENVIRONMENT: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")
_PLAIN_OBJECT: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PLAIN_SEGMENT: Final = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
_ENDS_LIKE_OURS: Final = re.compile(r".*([-_.][0-9a-f]{12}|-v[0-9a-f]+-[0-9a-f]{8})")
"""A hashed name, or a predictor's."""

_VERSION: Final = re.compile(r"[0-9]{1,10}")
_HEX: Final = re.compile(r"[0-9a-f]{8,}")


def deployment_id(model: str, environment: str) -> str:
    """Name one model in one environment: ("angler", "prod") -> "angler-prod".

    One hyphen joins the names where the environment's name has no hyphen (the last hyphen then
    marks where it begins), two where it has some; so "a-b" in "c" cannot be confused with "a" in
    "b-c". Names that fit neither form are hashed.

    Raises:
        SettingsInvalid: the environment's name is invalid.
    """
    return _object_name(model, environment, MAX_OBJECT_NAME)


def predictor_name(model: str, environment: str, version: str | int, digest: str) -> str:
    """Name a predictor: ..., version "3", "1a2b3c4d5e6f" -> "angler-prod-v3-1a2b3c4d".

    No predictor has the name of a deployment.

    Args:
        model: the registered model's name.
        environment: the environment's name.
        version: the model version: a decimal number, as text or not.
        digest: a digest of the rest of the predictor's identity (version identity, spec); the
            first eight of its hex digits are used, and a text that is not hex is hashed first.

    Raises:
        SettingsInvalid: the environment's name is invalid.
    """
    text = str(version)
    number = text if _VERSION.fullmatch(text) else _hash(text)[:_HASH_DIGITS]
    short = (digest if _HEX.fullmatch(digest) else _hash(digest))[:_DIGEST_DIGITS]
    suffix = f"-v{number}-{short}"
    return _object_name(model, environment, MAX_OBJECT_NAME - len(suffix)) + suffix


def url_segment(model: str) -> str:
    """Name a model in a URL's path; also a safe file name: "fraud_model" stays, "Größe" does not.

    No character of the name needs escaping in a URL, a shell, a Traefik rule or a file system, and
    no two names differ only by case.
    """
    if (
        len(model) <= MAX_URL_SEGMENT
        and _PLAIN_SEGMENT.fullmatch(model)
        and not _ENDS_LIKE_OURS.fullmatch(model)
    ):
        return model
    stem = (_slug(model) or "model")[: MAX_URL_SEGMENT - _HASH_DIGITS - 1].rstrip("-")
    return f"{stem}-{_hash(model)[:_HASH_DIGITS]}"


def validate_environment_name(name: str) -> str:
    """Return a valid environment name: 1 to 30 of a-z, 0-9 and "-", no "-" at either end.

    Raises:
        SettingsInvalid: the name is invalid.
    """
    if not _ENVIRONMENT.fullmatch(name):
        example = _slug(name)[:30].strip("-") or "staging"
        raise SettingsInvalid(
            f"{name!r} cannot be the name of an environment: "
            "1 to 30 of a-z, 0-9 and '-', beginning and ending with a letter or digit.",
            f"Call it {example!r}, for example.",
        )
    return name


def _object_name(model: str, environment: str, limit: int) -> str:
    validate_environment_name(environment)
    if "--" not in environment and _PLAIN_OBJECT.fullmatch(model):
        joined = f"{model}{'--' if '-' in environment else '-'}{environment}"
        if len(joined) <= limit and not _ENDS_LIKE_OURS.fullmatch(joined):
            return joined
    stem = _slug(model)
    if not stem[:1].isalpha():
        stem = f"m-{stem}".rstrip("-")
    room = limit - _HASH_DIGITS - 1
    stem = f"{stem[: max(room - len(environment) - 1, 8)].rstrip('-')}-{environment}"
    # An environment's name has no "/", so that every pair has a text of its own to hash.
    return f"{stem[:room].rstrip('-')}-{_hash(f'{environment}/{model}')[:_HASH_DIGITS]}"


def _slug(text: str) -> str:
    """Reduce a text to a-z, 0-9 and single hyphens; the slug may be empty and is not distinct."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
