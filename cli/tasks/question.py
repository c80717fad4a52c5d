"""Read what to ask a model: a file or standard input in, the type and body of a request out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cli.errors import UsageError

JSON, CSV = "application/json", "text/csv"
PROTOCOL = ("inputs", "instances", "dataframe_split", "dataframe_records")


def text_of(file: str) -> str:
    """Read a file, or standard input for "-".

    Raises:
        UsageError: it cannot be read, or is no text.
    """
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: {getattr(error, 'strerror', None) or error}") from None


def read(file: str, command: str) -> tuple[str, bytes]:
    """Read the type and body of a request for /invocations, wrapping a plain list.

    Args:
        file: its name; one that ends in .csv is sent as it is. "-" is JSON from standard input.
        command: the command whose help says more.

    Raises:
        UsageError: it cannot be read, or is no question to a model.
    """
    text = text_of(file)
    if file.lower().endswith(".csv"):
        if not text.strip():
            raise UsageError(f"{file} is empty", "its first line names the columns")
        return CSV, text.encode()
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        hint = f"see: schnitzel {command} --help"
        raise UsageError(f"{file} is no JSON: {error}", hint) from None
    if isinstance(found, list):
        rows = bool(found) and all(isinstance(row, dict) for row in found)
        found = {"dataframe_records" if rows else "inputs": found}
    if not (isinstance(found, dict) and any(key in found for key in PROTOCOL)):
        raise UsageError(
            f"{file} has none of: {', '.join(PROTOCOL)}", 'wrap the input: {"inputs": ...}'
        )
    return JSON, json.dumps(found).encode()
