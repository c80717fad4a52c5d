"""Parse and format durations ("5m"), memory ("2Gi"), cores ("500m"), and shares ("5%")."""

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


def parse_share(value: object) -> float:
    """Parse "5%" or a number from 0 to 1 into a share: 0.05.

    Raises:
        ValueError: the value is neither.
    """
    return _part(value, "%", "should be a share such as '5%' or 0.05")


def parse_points(value: object) -> float:
    """Parse percentage points, "2pp", or a number from 0 to 1 into a difference of shares: 0.02.

    Raises:
        ValueError: the value is neither.
    """
    return _part(value, "pp", "should be percentage points such as '2pp', or a number such as 0.02")


def parse_level(value: object) -> float:
    """Parse a number of at least 0, or a share such as "5%".

    Raises:
        ValueError: the value is neither.
    """
    number = _suffixed(value, "%")
    if number is None:
        raise ValueError("should be a number of at least 0, or a share such as '5%'")
    return number / 100 if isinstance(value, str) else number


def parse_factor(value: object) -> float:
    """Parse "1.2x" or a number into a factor of at least 1.

    Raises:
        ValueError: the value is neither, or less than 1.
    """
    number = _suffixed(value, "x")
    if number is None or number < 1:
        raise ValueError("should be a factor of at least 1, such as '1.2x'")
    return number


def _part(value: object, suffix: str, problem: str) -> float:
    number = _suffixed(value, suffix)
    if number is not None and isinstance(value, str):
        number /= 100
    if number is None or number > 1:
        raise ValueError(problem)
    return number


def _suffixed(value: object, suffix: str) -> float | None:
    """Read a number without a suffix, or a text with it; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) and value >= 0 else None
    text = value.strip() if isinstance(value, str) else ""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?" + re.escape(suffix), text)
    return float(found[1]) if found else None


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


def _suffix_pattern(suffix: str) -> str:
    return rf"^[0-9]+(\.[0-9]+)? ?{suffix}$"


def _schema(kind: str, pattern: str, **bounds: float) -> WithJsonSchema:
    number = {"type": kind, **(bounds or {"minimum": 0})}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": pattern}]})


Duration = Annotated[float, _either(parse_duration), _schema("number", _DURATION_PATTERN)]
"""A pydantic field in seconds."""

Bytes = Annotated[int, _either(parse_quantity), _schema("integer", _QUANTITY_PATTERN)]
"""A pydantic field in bytes."""

Cores = Annotated[float, _either(parse_cpu), _schema("number", _QUANTITY_PATTERN)]
"""A pydantic field in cores."""

Share = Annotated[
    float, _either(parse_share), _schema("number", _suffix_pattern("%"), minimum=0, maximum=1)
]
"""A pydantic field between 0 and 1."""

Level = Annotated[float, _either(parse_level), _schema("number", _suffix_pattern("%"))]
"""A pydantic field of at least 0, in whatever unit."""

Points = Annotated[
    float, _either(parse_points), _schema("number", _suffix_pattern("pp"), minimum=0, maximum=1)
]
"""A pydantic field with a difference of two shares, between 0 and 1."""

Factor = Annotated[float, _either(parse_factor), _schema("number", _suffix_pattern("x"), minimum=1)]
"""A pydantic field of at least 1."""
