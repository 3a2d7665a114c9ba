"""Durations and sizes as people write them in configuration files: ``10m``, ``1.5h``, ``20 GB``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from buildnet.mesh.errors import UsageError
from buildnet.mesh.suggest import suggest

_SECONDS: Mapping[str, float] = {
    "ms": 0.001,
    "s": 1,
    "sec": 1,
    "second": 1,
    "seconds": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "minutes": 60,
    "h": 3600,
    "hour": 3600,
    "hours": 3600,
    "d": 86400,
    "day": 86400,
    "days": 86400,
}
_BYTES: Mapping[str, int] = {
    "b": 1,
    "byte": 1,
    "bytes": 1,
    "k": 1024,
    "kb": 1024,
    "kib": 1024,
    "m": 1024**2,
    "mb": 1024**2,
    "mib": 1024**2,
    "g": 1024**3,
    "gb": 1024**3,
    "gib": 1024**3,
    "t": 1024**4,
    "tb": 1024**4,
    "tib": 1024**4,
}
_NUMBER = r"(?:\d{1,15}(?:\.\d{0,9})?|\.\d{1,9})"
_ONE = re.compile(rf"({_NUMBER})\s*([a-zA-Z]*)", re.ASCII)
_PARTS = re.compile(rf"(?:{_NUMBER}\s*[a-zA-Z]+\s*)+", re.ASCII)

GIB = 1024**3


class QuantityError(UsageError):
    """A duration or size that cannot be read."""

    code = "QUANTITY"


def parse_duration_s(value: str | int | float) -> float:
    """Return ``value`` in seconds: a plain number is seconds, ``"1h 30m"`` adds up.

    Zero and more; raises :class:`QuantityError` for anything else.
    """
    wanted = "a duration such as 30s, 10m, 1.5h or 1h30m"
    if not isinstance(value, str):
        return _finite(value, wanted)
    text = value.strip()
    whole = _ONE.fullmatch(text)
    if whole and not whole.group(2):
        return _finite(float(whole.group(1)), wanted)
    if not _PARTS.fullmatch(text):
        raise _refused(value, wanted)
    return sum(
        float(number) * _unit(value, unit, _SECONDS, wanted) for number, unit in _ONE.findall(text)
    )


def parse_bytes(value: str | int | float) -> int:
    """Return ``value`` in bytes: a plain number is bytes, units are powers of 1024 (``20 GB``).

    Zero and more, fractions of a byte rounded down; raises :class:`QuantityError` otherwise.
    """
    wanted = "a size such as 512 MB, 20 GB or 1.5 TB"
    if not isinstance(value, str):
        return int(_finite(value, wanted))
    match = _ONE.fullmatch(value.strip())
    if match is None:
        raise _refused(value, wanted)
    number, unit = match.groups()
    return int(float(number) * _unit(value, unit or "b", _BYTES, wanted))


def bytes_text(count: int) -> str:
    """Return a size exactly, in the largest unit that needs no fraction: ``1536 MB``."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "KB")):
        if count and count % 1024**power == 0:
            return f"{count // 1024**power} {unit}"
    return f"{count} B"


def duration_text(seconds: float) -> str:
    """Return a duration exactly, in the largest unit that needs no fraction: ``90m``, ``3d``."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def bytes_below(count: int) -> str:
    """Return a size for people, no more than it is, with a tenth at most: ``23.5 GB``."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "KB")):
        if count >= 1024**power:
            return f"{count * 10 // 1024**power / 10:g} {unit}"
    return f"{count} B"


def _finite(value: int | float, wanted: str) -> float:
    # YAML's `yes` is the bool True, which Python would count as 1.
    if isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise _refused(value, wanted)
    return float(value)


def _unit(value: str, unit: str, units: Mapping[str, float], wanted: str) -> float:
    factor = units.get(unit.lower())
    if factor is None:
        meant = suggest(unit.lower(), units)
        raise QuantityError(
            f"{value!r} has the unknown unit {unit!r}, expected {wanted}",
            hint=f"did you mean {meant!r}?" if meant else None,
        )
    return factor


def _refused(value: object, wanted: str) -> QuantityError:
    return QuantityError(f"{value!r} is not {wanted}")
