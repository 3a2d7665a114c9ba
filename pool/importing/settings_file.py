"""JSON with comments and trailing commas, with the line of every value: turbo.json, nx.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildnet.pool.workspace import Problem, WorkspaceError

SIZE_LIMIT = 4 * 1024 * 1024
_DEPTH_LIMIT = 64

JsonPath = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)
    | (?P<text>"(?:\\.|[^"\\\n])*")
    | (?P<plain>-?\d[\d.eE+-]*|true|false|null)
    | (?P<mark>[{}\[\]:,])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A file's object and where each value stands; ``where`` is its path from the root."""

    where: str
    data: Mapping[str, Any]
    lines: Mapping[JsonPath, int]

    def line(self, *path: str | int) -> int:
        """Return the line (from 1) of a key or item, or of the nearest above it."""
        for count in range(len(path), -1, -1):
            found = self.lines.get(path[:count])
            if found is not None:
                return found
        return 1

    def problem(self, path: JsonPath, message: str, hint: str) -> Problem:
        """Return what is to be told of the value at ``path``."""
        return Problem(self.where, self.line(*path), message, hint)

    def mapping(self, *path: str | int) -> Mapping[str, Any]:
        """Return the object at ``path``; an empty one if there is none."""
        found = self.value(*path)
        return found if isinstance(found, dict) else {}

    def texts(self, *path: str | int) -> tuple[str, ...] | None:
        """Return the texts of the list at ``path``; None if there is no list."""
        found = self.value(*path)
        if not isinstance(found, list):
            return None
        return tuple(one for one in found if isinstance(one, str))

    def value(self, *path: str | int) -> object:
        """Return the value at ``path``; None if there is none."""
        here: Any = self.data
        for step in path:
            if isinstance(here, dict) and isinstance(step, str):
                here = here.get(step)
            elif isinstance(here, list) and isinstance(step, int) and step < len(here):
                here = here[step]
            else:
                return None
        return here


def read_settings(root: Path, where: str) -> SettingsFile | None:
    """Read the file ``where`` below ``root``; None if there is none.

    Raises:
        WorkspaceError: it cannot be read, or is no object.
    """
    try:
        with (root / where).open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _wrong(where, None, f"cannot be read: {error.strerror}") from error
    if len(raw) > SIZE_LIMIT:
        raise _wrong(where, None, f"is larger than {SIZE_LIMIT // 1024 // 1024} MiB")
    try:
        return parse_settings(raw.decode("utf-8-sig"), where)
    except UnicodeDecodeError as error:
        raise _wrong(where, None, "is not UTF-8 text") from error


def parse_settings(text: str, where: str) -> SettingsFile:
    """Return what the text of a file says.

    Raises:
        WorkspaceError: it is no object, even with comments and trailing commas allowed.
    """
    reader = _Reader(text, where)
    data = reader.document()
    if not isinstance(data, dict):
        raise _wrong(where, 1, "must be a JSON object")
    return SettingsFile(where, data, reader.lines)


def _wrong(where: str, line: int | None, message: str) -> WorkspaceError:
    return WorkspaceError.of([Problem(where, line, message, "correct it")])


class _Reader:
    """Reads one text from its start to its end."""

    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = where
        self._at = 0
        self._line = 1
        self.lines: dict[JsonPath, int] = {}
        self._kind, self._token, self._token_line = "", "", 1
        self._next()

    def document(self) -> object:
        """Return the only value."""
        value = self._value(())
        if self._kind:
            raise self._malformed("there is more after the end")
        return value

    def _next(self) -> None:
        while True:
            if self._at == len(self._text):
                self._kind, self._token, self._token_line = "", "", self._line
                return
            match = _TOKEN.match(self._text, self._at)
            if match is None:
                self._token_line = self._line
                raise self._malformed(f"{self._text[self._at]!r} is not expected here")
            self._at = match.end()
            kind, token, line = str(match.lastgroup), match[0], self._line
            self._line += token.count("\n")
            if kind != "blank":
                self._kind, self._token, self._token_line = kind, token, line
                return

    def _malformed(self, what: str) -> WorkspaceError:
        return _wrong(self._where, self._token_line, f"malformed JSON: {what}")

    def _value(self, path: JsonPath) -> object:
        if len(path) > _DEPTH_LIMIT:
            raise self._malformed("nested too deep")
        self.lines.setdefault(path, self._token_line)
        if self._kind in {"text", "plain"}:
            try:
                value: object = json.loads(self._token, strict=False)
            except ValueError:
                raise self._malformed(f"{self._token!r} is no value") from None
            self._next()
            return value
        if self._token == "{":
            return self._object(path)
        if self._token == "[":
            return self._list(path)
        raise self._malformed(f"a value is missing before {self._token!r}")

    def _object(self, path: JsonPath) -> dict[str, object]:
        found: dict[str, object] = {}
        self._next()
        while self._token != "}":
            if self._kind != "text":
                raise self._malformed("a key in quotes is missing")
            line = self._token_line
            try:
                key = str(json.loads(self._token, strict=False))
            except ValueError:
                raise self._malformed(f"{self._token} is no key") from None
            self._next()
            if self._token != ":":
                raise self._malformed(f"a colon is missing after {key!r}")
            self._next()
            self.lines[(*path, key)] = line
            found[key] = self._value((*path, key))
            self._separator("}")
        self._next()
        return found

    def _list(self, path: JsonPath) -> list[object]:
        found: list[object] = []
        self._next()
        while self._token != "]":
            found.append(self._value((*path, len(found))))
            self._separator("]")
        self._next()
        return found

    def _separator(self, end: str) -> None:
        if self._token == ",":
            self._next()
        elif self._token != end:
            raise self._malformed(f"a comma or {end!r} is missing")
