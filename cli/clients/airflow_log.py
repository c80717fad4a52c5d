"""Extract a step's own lines from an Airflow task log; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Groups of lines that Airflow 3.3 adds around a task's own output, and folds away in its UI.
FOLDED = ("Log message source details", "Pre Execute", "Post Execute")
LOUD = ("WARNING", "ERROR", "CRITICAL")


def lines(content: str | Iterable[Any]) -> Iterator[str]:
    """Yield a log's lines, without the groups that Airflow folds; warnings and errors always.

    Args:
        content: the answer of `.../logs/N`: a text, or a list of texts or of structured events.
    """
    folded = False
    for said in content.splitlines() if isinstance(content, str) else content:
        event: dict[str, Any] = {"event": said} if isinstance(said, str) else said
        text = str(event.get("event", ""))
        level = str(event.get("level", "")).upper()
        if text.startswith("::group::"):
            folded = folded or text.removeprefix("::group::").strip() in FOLDED
        elif text.startswith("::endgroup::"):
            folded = False
        elif level in LOUD:
            yield f"{level}: {text}"
            yield from _errors(event.get("error_detail") or [])
        elif not folded:
            yield text


def _errors(details: Iterable[dict[str, Any]]) -> Iterator[str]:
    for error in details:
        yield from f"{error.get('exc_type')}: {error.get('exc_value')}".splitlines()
