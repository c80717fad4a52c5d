"""Explain why uv failed from its output: the requirement, the cause, and whether to retry."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from deployer.redact import redact

_MARKED: Final = re.compile(r"^\s*(?:error:|cause:|Caused by:|\u00d7|[├╰]─▶)\s*(.*)$")
_BLAMED: Final = re.compile(
    r"(?:download and build|download|build|fetch|mismatch for|parse)[^`]*`([^`]+)`"
)
_UNANSWERED: Final = re.compile(
    r"error sending request|client error \(connect|dns error|timed out|timeout|connect error"
    r"|connection (?:refused|reset|closed)|status server error|\b(?:429|50[0-9])\b"
    r"|error decoding response body",
    re.IGNORECASE,
)
_UNTRUSTED: Final = re.compile(r"invalid peer certificate|certificate verify failed", re.IGNORECASE)
_FULL: Final = re.compile(r"no space left", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Cause(StrEnum):
    """Causes outside of the requirements, which may pass; OWN: the requirements are at fault."""

    OWN = ""
    UNANSWERED = "the package index does not answer"
    UNTRUSTED = "the package index is not trusted"
    FULL = "there is no room left"


@dataclass(frozen=True)
class Failure:
    """A failure of uv: the requirement ("" if unknown), one sentence, and the cause."""

    requirement: str
    sentence: str
    cause: Cause

    @property
    def transient(self) -> bool:
        """Whether the failure may pass."""
        return self.cause is not Cause.OWN

    def next_step(self, *, trust: str, requirements: str) -> str:
        """Return the next step after the failure.

        Args:
            trust: how to give builds an authority's certificates.
            requirements: the next step where the requirements are at fault.
        """
        step = {
            Cause.OWN: requirements,
            Cause.UNANSWERED: "Is the package index up, and reached from here?",
            Cause.UNTRUSTED: trust,
            Cause.FULL: "Make room.",
        }[self.cause]
        return f"It is retried automatically. {step}" if self.transient else step


def explain(output: str, requirements: Iterable[str]) -> Failure:
    """Summarize a failed run of uv in one sentence.

    Args:
        output: the complete output of uv, without colours.
        requirements: the requested lines, among which the failure names the one at fault.
    """
    marked = _marked(output)
    text = " ".join(marked)
    cause = _cause(text)
    requirement = _blamed(text, list(requirements))
    if "No solution found" in text:
        why = re.search(r"[Bb]ecause (.*?)(?:, we can conclude|$)", text)
        sentence = why[1] if why else "no versions satisfy all requirements"
    elif cause is not Cause.OWN:
        sentence = f"{cause} ({marked[-1]})"
    else:
        sentence = ": ".join(marked[:2]) or _last_line(output)
    return Failure(redact(requirement), redact(sentence)[:400].rstrip(" .:"), cause)


def _cause(text: str) -> Cause:
    if _FULL.search(text):
        return Cause.FULL
    if _UNTRUSTED.search(text):
        return Cause.UNTRUSTED
    return Cause.UNANSWERED if _UNANSWERED.search(text) else Cause.OWN


def _marked(output: str) -> list[str]:
    """Collect the error and its causes, each joined with its continuation lines."""
    found: list[str] = []
    open_cause = False
    for line in output.splitlines():
        match = _MARKED.match(line)
        if match:
            found.append(match[1].strip())
            open_cause = True
        elif not line.strip() or "[std" in line or line.startswith("hint:"):
            open_cause = False  # a build's own output follows
        elif open_cause and line.startswith("   "):
            found[-1] += f" {line.strip(' │')}"
    return found


def _blamed(text: str, requirements: list[str]) -> str:
    match = _BLAMED.search(text)
    if match and "://" not in match[1].partition("@")[0] and not match[1].endswith(".in"):
        return match[1]
    mentioned = []
    for line in requirements:
        name = _NAME.match(line)
        where = name and re.search(
            rf"(?<![\w.-]){re.escape(name[0])}(?![\w.-])", text, re.IGNORECASE
        )
        if where:
            mentioned.append((where.start(), line))
    return min(mentioned)[1] if mentioned else ""


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "uv gave no reason"
