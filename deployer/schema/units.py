"""Parse and format durations ("5m"), amounts of memory ("2Gi") and cores ("500m")."""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?)(m|k|[KMGTPE]i|[MGTPE])?")
_SCALES: Final = {"": Decimal(1), "m": Decimal("0.001"), "k": Decimal(1000)} | {
    letter: Decimal(1000) ** power for power, letter in enumerate("MGTPE", 2)
}
_BINARY: Final = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", 1)}


def parse_duration(value: object) -> float:
    """Parse "1h30m", "5m", "2.5s", "200ms" or a number of seconds into seconds.

    Raises:
        ValueError: the value is none of these, negative or infinite.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value) and value >= 0:
            return float(value)
    elif isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            return float(text)
        if _DURATION.fullmatch(text):
            return sum(float(n) * _SECONDS[unit] for n, unit in _DURATION_PART.findall(text))
    raise ValueError("should be a duration such as '30s', '5m' or '1h30m', or a number of seconds")


def parse_quantity(value: object) -> int:
    """Parse a Kubernetes quantity ("512Mi", "2Gi", "1.5G") or a number into bytes, rounded up.

    Raises:
        ValueError: the value is neither, or negative.
    """
    number = _quantity(value)
    if number is None:
        raise ValueError("should be an amount of memory such as '512Mi' or '2Gi', or a byte count")
    return math.ceil(number)


def parse_cpu(value: object) -> float:
    """Parse a Kubernetes quantity ("500m", "2") or a number into cores.

    Raises:
        ValueError: the value is neither, or negative.
    """
    number = _quantity(value)
    if number is None:
        raise ValueError("should be a number of cores such as 2, 0.5 or '500m'")
    return float(number)


def format_duration(seconds: float) -> str:
    """Format seconds as `parse_duration` reads them: 5400 -> "1h30m", 0.2 -> "200ms"."""
    milliseconds = round(seconds * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_quantity(count: int) -> str:
    """Format bytes as `parse_quantity` reads them, exactly: 2147483648 -> "2Gi"."""
    for suffix, size in reversed(_BINARY.items()):
        if count and count % size == 0:
            return f"{count // size}{suffix}"
    return str(count)


def format_cpu(cores: float) -> str:
    """Format cores as Kubernetes itself does, rounded up: 2 -> "2", 0.5 -> "500m"."""
    thousandths = math.ceil(round(cores * 1000, 6))
    return f"{thousandths // 1000}" if thousandths % 1000 == 0 else f"{thousandths}m"


def _quantity(value: object) -> Decimal | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return Decimal(value) if math.isfinite(value) and value >= 0 else None
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    suffix = match[2] or ""
    return Decimal(match[1]) * (_BINARY.get(suffix) or _SCALES[suffix])


def _either(parse: Callable[[object], Any]) -> BeforeValidator:
    """Pass null through to the field, whose own type says whether null is allowed."""
    return BeforeValidator(lambda value: None if value is None else parse(value))


_DURATION_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?$|^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
_QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]*)?(m|k|[KMGTPE]i|[MGTPE])?$"


def _schema(kind: str, pattern: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"anyOf": [{"type": kind, "minimum": 0}, {"type": "string", "pattern": pattern}]}
    )


Duration = Annotated[float, _either(parse_duration), _schema("number", _DURATION_PATTERN)]
"""A pydantic field in seconds."""

Bytes = Annotated[int, _either(parse_quantity), _schema("integer", _QUANTITY_PATTERN)]
"""A pydantic field in bytes."""

Cores = Annotated[float, _either(parse_cpu), _schema("number", _QUANTITY_PATTERN)]
"""A pydantic field in cores."""
