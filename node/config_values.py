"""Kinds of values in ``node.yaml``, with what is expected of each in words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from buildnet.mesh.suggest import suggest
from buildnet.node.scan.runtimes import RUNTIMES
from buildnet.node.scan.tools import TOOLS
from buildnet.pool.quantity import (
    QuantityError,
    bytes_text,
    duration_text,
    parse_bytes,
    parse_duration_s,
)
from buildnet.pool.strict_model import expected

_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)", re.ASCII)
_HOST = re.compile(r"\[[0-9a-fA-F:.]+\]|[0-9A-Za-z_.-]+|[0-9a-fA-F:.]+", re.ASCII)
_URL_MAX = 256


def _absolute_path(value: object) -> Path:
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str) or not value or "\0" in value:
        raise expected("a path")
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise expected("a path; the home directory of '~' is not known") from None
    if not path.is_absolute():
        raise expected("an absolute path")
    return path


def _duration(value: object) -> float:
    if isinstance(value, str | int | float):
        try:
            seconds = parse_duration_s(value)
        except QuantityError:
            seconds = 0.0
        if seconds > 0:
            return seconds
    raise expected("a duration such as 30s, 10m or 1.5h")


def _a_day(value: float) -> float:
    if value < 24 * 3600:
        raise expected("24h or more")  # peers that are away for a day still find what they lack
    return value


def _a_minute(value: float) -> float:
    if value < 60:
        raise expected("1m or more")
    return value


def _size(value: object) -> int:
    if isinstance(value, str | int | float):
        try:
            count = parse_bytes(value)
        except QuantityError:
            count = 0
        if count > 0:
            return count
    raise expected("a size such as 512 MB or 2 GB")


def _bulk_limit(value: int) -> int:
    if value < 1024**2:
        raise expected("1 MB or more")  # with less, waiting for one's turn looks like a stall
    return value


def _host(value: str) -> str:
    host, colon, port = value.rpartition(":")
    with_port = colon and port.isascii() and port.isdigit() and (":" not in host or host[-1] == "]")
    if not _HOST.fullmatch(host if with_port else value) or (with_port and int(port) > 65535):
        raise expected("a host name or address, with or without a port")
    return value


def _peer(value: str) -> str:
    url = "an address such as http://192.168.1.101:80 or https://build.example.org"
    try:
        parts = urlsplit(value)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or any(character.isspace() for character in value):
        raise expected(url)
    return value.rstrip("/")


def _advertised(value: str) -> str:
    if "://" not in value:
        return _host(value)
    parts = urlsplit(_peer(value))
    if parts.query or parts.fragment or parts.username is not None or len(value) > _URL_MAX:
        raise expected("a URL such as https://build.example.org:8443, at most 256 characters")
    return value.rstrip("/")


def _control_group(value: str) -> str:
    parts = value.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise expected("the name of a control group such as buildnet, without a / before it")
    return value


def _hours(value: str) -> str:
    if not _HOURS.fullmatch(value):
        raise expected("hours such as 09:00-17:00")
    return value


def _known_program(name: str) -> str:
    known = [row.name for row in (*TOOLS, *RUNTIMES)]
    if name not in known:
        raise PydanticCustomError(
            "unknown_program", "unknown tool {name}", {"name": name, "hint": suggest(name, known)}
        )
    return name


def with_unit(field: FieldInfo, value: object) -> str | None:
    """Return the value of a setting as ``node.yaml`` takes it, where it is a duration or a size:
    ``3d``, ``64 MB``; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    parts = get_args(field.annotation)  # of one that may be None
    marks = [*field.metadata, *(mark for part in parts for mark in get_args(part)[1:])]
    if BeforeValidator(_duration) in marks:
        return duration_text(value)
    return bytes_text(int(value)) if BeforeValidator(_size) in marks else None


AbsolutePath = Annotated[Path, BeforeValidator(_absolute_path)]
DurationS = Annotated[float, BeforeValidator(_duration)]
SizeBytes = Annotated[int, BeforeValidator(_size)]
PositiveNumber = Annotated[float, Field(gt=0, le=1e9, strict=True, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=200, strict=True)]
Hours = Annotated[Text, AfterValidator(_hours)]
"""Such as 09:00-17:00."""

Days = Annotated[DurationS, AfterValidator(_a_day)]
Minutes = Annotated[DurationS, AfterValidator(_a_minute)]
BulkLimit = Annotated[SizeBytes, AfterValidator(_bulk_limit)]
Host = Annotated[Text, AfterValidator(_host)]
Url = Annotated[Text, AfterValidator(_peer)]
Advertised = Annotated[Text, AfterValidator(_advertised)]
ControlGroup = Annotated[Text, AfterValidator(_control_group)]
VariableName = Annotated[Text, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
ProgramName = Annotated[str, AfterValidator(_known_program)]
