"""The content of an Airflow task log in, the lines that a person wants to read out; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What Airflow 3.3 says around a task's own words, and folds away in its UI.
FOLDED = ("Log message source details", "Pre Execute", "Post Execute")
LOUD = ("WARNING", "ERROR", "CRITICAL")


def lines(content: str | Iterable[Any]) -> Iterator[str]:
    """Yield a log's lines, without what Airflow folds away; warnings and errors always.

    Args:
        content: as `.../logs/N` answers: a text, or a list of texts or of structured events.
    """
    folded = False
    for said in content.splitlines() if isinstance(content, str) else content:
        event: dict[str, Any] = {"event": said} if isinstance(said, str) else said
        words = str(event.get("event", ""))
        level = str(event.get("level", "")).upper()
        if words.startswith("::group::"):
            folded = folded or words.removeprefix("::group::").strip() in FOLDED
        elif words.startswith("::endgroup::"):
            folded = False
        elif level in LOUD:
            yield f"{level}: {words}"
            yield from _errors(event.get("error_detail") or [])
        elif not folded:
            yield words


def _errors(details: Iterable[dict[str, Any]]) -> Iterator[str]:
    for error in details:
        yield from f"{error.get('exc_type')}: {error.get('exc_value')}".splitlines()
