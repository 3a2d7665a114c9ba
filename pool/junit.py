"""JUnit XML as test runners write it: which tests ran, failed, and how long they took. Pure.

There is no standard; this reads what Jest, Vitest, pytest, Maven, Gradle, Go and Rust tools agree
on: ``testcase`` elements with ``name``, ``classname``, ``file`` and ``time`` (seconds), in which
``failure``, ``error`` and ``skipped`` tell how they ended, and Maven's ``flakyFailure`` and
``flakyError`` that an earlier attempt failed. The bytes may be of any origin.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from buildnet.mesh.errors import BuildNetError

MAX_BYTES = 32 << 20
MAX_DEPTH = 64
MAX_CASES = 100_000
MAX_NAME = 300
"""Characters of a test's name, and of where it stands."""
MAX_MESSAGE = 500
_FAILED = frozenset({"failure", "error"})
_FLAKY = frozenset({"flakyFailure", "flakyError"})
_MAX_TIME_S = 7 * 86400.0


class JUnitError(BuildNetError):
    """A report of tests that can't be read."""

    code = "JUNIT"


@dataclass(frozen=True, slots=True)
class Case:
    """One test. ``status``: ``passed``, ``failed`` or ``skipped``; ``file``, ``group``: what the
    report says of where it stands; ``is_flaky``: an attempt before this one failed."""

    name: str
    status: str
    time_ms: float
    message: str = ""
    file: str = ""
    group: str = ""
    is_flaky: bool = False


def read_junit(data: bytes) -> tuple[Case, ...]:
    """Return the tests that a report tells of.

    Raises:
        JUnitError: it is no JUnit XML, it is too large, or it declares entities.
    """
    if len(data) > MAX_BYTES:
        raise JUnitError(f"a test report of more than {MAX_BYTES >> 20} MiB is not read")
    return _Reader().read(data)


@dataclass(slots=True)
class _Reader:
    cases: list[Case] = field(default_factory=list)
    has_suite: bool = False
    _depth: int = 0
    _suites: list[Mapping[str, str]] = field(default_factory=list)
    _case: Mapping[str, str] | None = None
    _status: str = "passed"
    _is_flaky: bool = False
    _message: str | None = None
    _text: list[str] | None = None
    _text_left: int = 0

    def read(self, data: bytes) -> tuple[Case, ...]:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartDoctypeDeclHandler = self._doctype
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise JUnitError("the test report is no XML", cause=str(error)) from error
        if not self.has_suite:
            raise JUnitError("the test report is no JUnit XML", hint="it holds no testsuite")
        return tuple(self.cases)

    def _doctype(self, name: str, *rest: object) -> None:
        # Entities expand without bound, and no test runner declares any.
        raise JUnitError("the test report declares a document type, which is not read")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise JUnitError(f"the test report nests deeper than {MAX_DEPTH}")
        if name in {"testsuite", "testsuites"}:
            self.has_suite = True
            self._suites.append(attributes)
        elif name == "testcase":
            if len(self.cases) >= MAX_CASES:
                raise JUnitError(f"the test report tells of more than {MAX_CASES:,} tests")
            self._case, self._status = attributes, "passed"
            self._is_flaky, self._message = False, None
        elif self._case is not None and name in _FAILED:
            self._status = "failed"
            if self._message is None:
                self._message = attributes.get("message", "")[:MAX_MESSAGE]
                self._text, self._text_left = [], MAX_MESSAGE
        elif self._case is not None and name == "skipped" and self._status == "passed":
            self._status = "skipped"
        elif self._case is not None and name in _FLAKY:
            self._is_flaky = True

    def _data(self, text: str) -> None:
        if self._text is not None and self._text_left > 0:
            self._text.append(text[: self._text_left])
            self._text_left -= len(text)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name in _FAILED and self._text is not None:
            self._message = self._message or "".join(self._text).strip()
            self._text = None
        elif name in {"testsuite", "testsuites"}:
            self._suites.pop()
        elif name == "testcase" and self._case is not None:
            self.cases.append(self._read_case(self._case))
            self._case = None

    def _read_case(self, said: Mapping[str, str]) -> Case:
        group, own = said.get("classname", ""), said.get("name", "")
        file = said.get("file") or next(
            (suite["file"] for suite in reversed(self._suites) if suite.get("file")), ""
        )
        suite = next((one["name"] for one in reversed(self._suites) if one.get("name")), "")
        name = " › ".join(dict.fromkeys(part for part in (group, own) if part))
        return Case(
            name=_one_line(name or "(no name)"),
            status=self._status,
            time_ms=_milliseconds(said.get("time")),
            message=_plain(self._message or ""),
            file=_one_line(file),
            group=_one_line(group or suite),
            is_flaky=self._is_flaky and self._status == "passed",
        )


def _milliseconds(text: str | None) -> float:
    """Read ``time``; some write thousands with a comma."""
    try:
        seconds = float((text or "0").replace(",", ""))
    except ValueError:
        return 0.0
    return min(seconds, _MAX_TIME_S) * 1000 if math.isfinite(seconds) and seconds > 0 else 0.0


def _plain(text: str) -> str:
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)[:MAX_MESSAGE]


def _one_line(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text[:MAX_NAME])


def times_by_file(cases: Iterable[Case], files: Collection[str], path: str) -> dict[str, float]:
    """Return how long the tests of each file took, as far as the cases tell where they stand.

    Args:
        files: relative to the workspace's root.
        path: the directory in which the command ran.
    """
    known: dict[str, str] = {}
    for file in files:
        relative = posixpath.relpath(file, path or ".")
        for way in (file, relative):
            stem = way.rpartition(".")[0] or way
            known.setdefault(way, file)
            known.setdefault(stem.replace("/", "."), file)  # a module's or a class's name
    found: dict[str, float] = {}
    for case in cases:
        place = _file_of(case, known)
        if place is not None:
            found[place] = found.get(place, 0.0) + case.time_ms
    return found


def _file_of(case: Case, known: Mapping[str, str]) -> str | None:
    for said in (case.file, case.group):
        if not said:
            continue
        text = posixpath.normpath(said.replace("\\", "/"))
        if text in known:
            return known[text]
        # It is absolute, in whichever directory the command ran: the longest end that is known.
        parts = text.split("/")
        for count in range(1, len(parts)):
            if "/".join(parts[count:]) in known:
                return known["/".join(parts[count:])]
        while "." in text:  # tests.test_cart.TestCart is in tests/test_cart.py
            text = text.rpartition(".")[0]
            if text in known:
                return known[text]
    return None
