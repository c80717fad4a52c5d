"""Split the text of a requirements file into lines and options, as pip reads them.

Continued lines, comments and options are those of pip's own reader (pip/_internal/req/req_file.py),
which parses options with optparse, in every form of optparse: `-iURL`, `-i URL`, `--index-url=URL`,
and any unambiguous prefix of a long name.
"""

import optparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from urllib.parse import SplitResult, urlsplit

from deployer.errors import UnsupportedDependencies
from deployer.redact import GONE, redact, redact_logins

INDEXES: Final = ("--index-url", "--extra-index-url", "--find-links")
"""Options that name a source of packages."""

_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_VALUES: Final = (
    ("-i", "--index-url", "--pypi-url"),
    ("--extra-index-url",),
    ("-f", "--find-links"),
    ("-r", "--requirement"),
    ("-c", "--constraint"),
    ("-e", "--editable"),
    ("--no-binary",),
    ("--only-binary",),
    ("--trusted-host",),
    ("--use-feature",),
    ("--hash",),
    ("-C", "--config-settings"),
    ("--global-option",),
)
_FLAGS: Final = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")
_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a requirements file.

    Attributes:
        shown: the line without credentials, fit for messages.
        requirement: the requirement; "" for a line of options.
        options: its options by their long names, such as ("--extra-index-url", "https://...").
    """

    shown: str
    requirement: str
    options: tuple[tuple[str, str], ...]


def read(text: str) -> Iterator[Line]:
    """Read the lines of a requirements file.

    Raises:
        UnsupportedDependencies: pip knows no such option.
    """
    for joined in _joined(text):
        line = _COMMENT.sub("", joined).strip()
        if not line:
            continue
        tokens = line.split(" ")
        first = next((i for i, token in enumerate(tokens) if token.startswith("-")), len(tokens))
        shown = " ".join(_redacted(token) for token in tokens)
        options = tuple(_options(" ".join(tokens[first:]), shown))
        yield Line(shown, " ".join(tokens[:first]).strip(), options)


def address(url: str) -> str:
    """Normalize the address of a package index; "" if it is none, or has a query or fragment.

    A user and a password are dropped.
    """
    parts = _split(url)
    if parts is None or parts.scheme not in _PORTS or not parts.hostname:
        return ""
    if parts.query or parts.fragment:
        return ""
    try:
        port = parts.port
    except ValueError:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


def without_login(url: str) -> str:
    """Return an address without a user and a password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def has_login(url: str) -> bool:
    """Check whether an address carries a user or a password."""
    return redact_logins(url) != url


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _redacted(token: str) -> str:
    """Remove a login from an argument, and a query, which may hold a token."""
    text = redact(token)
    if "://" not in text:
        return text
    place, question, rest = text.partition("?")
    _, hash_, fragment = rest.partition("#")
    return f"{place}{question}{GONE if question else ''}{hash_}{fragment}"


def _joined(text: str) -> Iterator[str]:
    """Join lines that end with a backslash to the next; a comment ends such a line."""
    begun: list[str] = []
    for line in text.splitlines():
        comment = _COMMENT.match(line)
        if line.endswith("\\") and not comment:
            begun.append(line.strip("\\"))
            continue
        yield "".join([*begun, f" {line}" if comment else line])
        begun = []
    if begun:
        yield "".join(begun)


class _Parser(optparse.OptionParser):
    def __init__(self) -> None:
        super().__init__(add_help_option=False, usage=optparse.SUPPRESS_USAGE)
        for names in _VALUES:
            long = next(name for name in names if name.startswith("--"))
            self.add_option(*names, action="callback", type="string", callback=_collect, dest=long)
        for name in _FLAGS:
            self.add_option(name, action="callback", callback=_collect, dest=name)

    def error(self, msg: str) -> NoReturn:
        raise ValueError(msg)


def _collect(option: optparse.Option, _: str, value: str | None, parser: Any) -> None:
    found = parser.values.ensure_value("found", [])
    found.append((option.dest, value or ""))


def _options(text: str, shown: str) -> list[tuple[str, str]]:
    try:
        parser = _Parser()
        values, rest = parser.parse_args(shlex.split(text))
        if rest:
            parser.error("something stands between its options")
    except ValueError as error:
        raise UnsupportedDependencies(
            f"The line {shown!r} of the requirements cannot be read as pip reads it "
            f"({redact(str(error))}).",
            "Log the model again without it, or with pip_requirements=[...].",
        ) from error
    found: list[tuple[str, str]] = getattr(values, "found", [])
    return found
