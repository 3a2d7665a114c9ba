"""YAML that people write: plain data with the line of everything, for errors that name it.

Only what configuration files need is read: mappings with text keys, lists, text, numbers, booleans,
null, anchors and merge keys. Two readings of YAML 1.1 that surprise people are left out: dates, and
numbers in base 60 or with a leading zero, stay the text they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

from buildnet.mesh.errors import UsageError

SIZE_LIMIT = 4 * 1024 * 1024  # characters; 1,000 packages with every key take about 0.5 MiB
DEPTH_LIMIT = 64
VALUE_LIMIT = 1_000_000  # values after aliases are followed: a few lines of them can mean billions

Scalar = str | int | float | bool | None
YamlPath = tuple[str | int, ...]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STR_TAG = "tag:yaml.org,2002:str"
_TRUE = re.compile(r"yes|Yes|YES|true|True|TRUE|on|On|ON")
_FALSE = re.compile(r"no|No|NO|false|False|FALSE|off|Off|OFF")
_NULL = re.compile(r"~|null|Null|NULL|")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)")


class YamlProblem(NamedTuple):
    """One thing wrong with a file: the line it stands at (from 1), what it is, and what to do."""

    line: int
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class YamlError(UsageError):
    """Text that is not YAML, or YAML that no configuration file may hold.

    ``problems`` lists each of them with its line; ``where`` is the file.
    """

    code = "YAML"

    def __init__(self, where: str, problems: Iterable[YamlProblem]) -> None:
        self.where = where
        self.problems = tuple(problems)
        first = self.problems[0]
        message = "\n".join(f"{where}:{line}: {text}" for line, text, _ in self.problems)
        super().__init__(message, hint=first.hint or f"correct line {first.line} of {where}")


@dataclass(slots=True)
class _Value:
    """A value while it is read: the data, its line, and the same of its children."""

    line: int
    data: object
    text: str | None = None
    children: dict[str | int, _Value] = field(default_factory=dict)
    size: int = 1


class YamlDocument:
    """Plain data (dict, list, str, int, float, bool, None) and where each value stands."""

    __slots__ = ("_root", "where")

    def __init__(self, where: str, root: _Value) -> None:
        self.where = where
        self._root = root

    @property
    def data(self) -> object:
        """The value of the whole document; None if the file holds nothing."""
        return self._root.data

    def line(self, path: YamlPath) -> int:
        """Return the line (from 1) of the key or item at ``path``, or of its nearest ancestor."""
        return self._nearest(path)[0].line

    def text(self, path: YamlPath) -> str | None:
        """Return the scalar at ``path`` as it is written (``1.10``, ``yes``), or None."""
        value, whole = self._nearest(path)
        return value.text if whole else None

    def _nearest(self, path: YamlPath) -> tuple[_Value, bool]:
        here = self._root
        for step in path:
            below = here.children.get(step)
            if below is None:
                return here, False
            here = below
        return here, True


def load_yaml(text: str, where: str) -> YamlDocument:
    """Read one YAML document; ``where`` names the file in errors.

    Raises:
        YamlError: malformed, more than one document, duplicate or non-text keys, unknown tags,
            aliases that mean themselves or too much, too large, or nested too deep.
    """
    if len(text) > SIZE_LIMIT:
        too_large = f"the file is larger than {SIZE_LIMIT // 1024 // 1024} MiB"
        raise YamlError(where, [YamlProblem(1, too_large)])
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.read(event)
    except yaml.MarkedYAMLError as error:
        raise YamlError(where, [*reader.problems, _malformed(error)]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        problem = YamlProblem(line, "a character that YAML does not allow", "save it as UTF-8 text")
        raise YamlError(where, [problem]) from error
    except _StopReadingError as stop:
        raise YamlError(where, [*reader.problems, stop.problem]) from None
    if reader.problems:
        raise YamlError(where, sorted(reader.problems))
    return YamlDocument(where, reader.root or _Value(1, None))


def _malformed(error: yaml.MarkedYAMLError) -> YamlProblem:
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "not YAML"
    hint = None
    if "\\t" in what or "tab" in what:
        hint = "indent with spaces, not tabs"
    elif "mapping values are not allowed" in what:
        hint = "put text that holds ': ' in quotes, and check the indentation"
    elif "could not find expected ':'" in what:
        hint = "a key needs a colon and a space after it"
    elif "cannot start any token" in what:
        hint = "put text that begins with @ or ` in quotes"
    elif "alias" in what or "anchor" in what:
        hint = "put text that begins with * or & in quotes"
    if error.context and error.context_mark and error.context != what:
        what = f"{what}, {error.context} at line {error.context_mark.line + 1}"
    return YamlProblem((mark.line if mark else 0) + 1, f"malformed YAML: {what}", hint)


class _StopReadingError(Exception):
    """Reading cannot go on after ``problem``."""

    def __init__(self, problem: YamlProblem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(slots=True)
class _Open:
    """A mapping or list that has begun; ``key`` waits for its value, ``merges`` for the end."""

    value: _Value
    anchor: str | None
    key: str | None = None
    key_line: int = 0
    merges: list[_Value] = field(default_factory=list)


class _Reader:
    """Builds values from parser events, without recursion (libyaml's own composer has no limit)."""

    def __init__(self) -> None:
        self.root: _Value | None = None
        self.problems: list[YamlProblem] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, _Value | None] = {}  # None: begun but not complete
        self._documents = 0

    def read(self, event: yaml.Event) -> None:
        mark = event.start_mark
        line = mark.line + 1 if mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                problem = "a second document begins here"
                raise _StopReadingError(YamlProblem(line, problem, "keep one and remove the '---'"))
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._aliased(event.anchor, line), line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._begin(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        parent = self._open[-1] if self._open else None
        if parent and isinstance(parent.value.data, dict) and parent.key is None:
            parent.key, parent.key_line = event.value, line
            if event.value in parent.value.children:
                first = parent.value.children[event.value].line
                self.problems.append(
                    YamlProblem(
                        line,
                        f"duplicate key {event.value!r}, already at line {first}",
                        "keep one of them",
                    )
                )
            return
        plain = event.implicit[0]
        try:
            data = _plain_scalar(event.value) if plain else _tagged(event.tag, event.value)
        except ValueError as error:
            raise _StopReadingError(YamlProblem(line, str(error))) from None
        value = _Value(line, data, event.value)
        if event.anchor:
            self._anchors[event.anchor] = value
        self._add(value, line)

    def _aliased(self, anchor: str | None, line: int) -> _Value:
        value = self._anchors.get(anchor or "")
        if value is None:
            what = "means itself" if anchor in self._anchors else "is not defined before it is used"
            hint = "put text that begins with * in quotes"
            raise _StopReadingError(YamlProblem(line, f"alias *{anchor} {what}", hint))
        return value

    def _begin(self, event: yaml.CollectionStartEvent, line: int) -> None:
        if len(self._open) >= DEPTH_LIMIT:
            raise _StopReadingError(YamlProblem(line, f"nested deeper than {DEPTH_LIMIT} levels"))
        parent = self._open[-1] if self._open else None
        if parent and isinstance(parent.value.data, dict) and parent.key is None:
            hint = "put text that begins with { or [ in quotes, such as '{name}'"
            raise _StopReadingError(YamlProblem(line, "a key must be text", hint))
        if event.tag and not event.implicit:
            raise _StopReadingError(YamlProblem(line, f"the tag {event.tag} is not supported"))
        data: object = {} if isinstance(event, yaml.MappingStartEvent) else []
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append(_Open(_Value(line, data), event.anchor))

    def _end(self) -> None:
        done = self._open.pop()
        value = done.value
        for merged in done.merges:
            self._merge(value, merged)
        if done.anchor:
            self._anchors[done.anchor] = value
        self._add(value, value.line)

    def _merge(self, into: _Value, merged: _Value) -> None:
        """Apply ``<<``: what stands in the mapping itself wins, then the first that is merged."""
        sources = merged.children.values() if isinstance(merged.data, list) else (merged,)
        for source in sources:
            if not isinstance(source.data, dict) or not isinstance(into.data, dict):
                problem = "'<<' takes a mapping or a list of mappings"
                raise _StopReadingError(YamlProblem(merged.line, problem))
            for key, child in source.children.items():
                if key not in into.children:
                    into.children[key] = child
                    into.data[key] = child.data
                    into.size += child.size

    def _add(self, value: _Value, line: int) -> None:
        if not self._open:
            self.root = value
            return
        parent = self._open[-1]
        container = parent.value
        if isinstance(container.data, list):
            container.children[len(container.data)] = value
            container.data.append(value.data)
        elif isinstance(container.data, dict):
            if parent.key is None:
                raise _StopReadingError(YamlProblem(line, "a key must be text"))
            key, parent.key = parent.key, None
            if key == "<<":
                parent.merges.append(value)
            else:
                at_key = _Value(parent.key_line, value.data, value.text, value.children, value.size)
                container.children[key] = at_key
                container.data[key] = value.data
        container.size += value.size
        if container.size > VALUE_LIMIT:
            raise _StopReadingError(YamlProblem(line, f"more than {VALUE_LIMIT:,} values"))


_PLAIN: tuple[tuple[re.Pattern[str], Callable[[str], Scalar]], ...] = (
    (_NULL, lambda text: None),
    (_TRUE, lambda text: True),
    (_FALSE, lambda text: False),
    (_INT, lambda text: _bounded_int(text, 10)),
    (_HEX, lambda text: _bounded_int(text, 16)),
    (_FLOAT, float),
    (_SPECIAL_FLOAT, lambda text: float(text.replace(".", ""))),
)


def _bounded_int(text: str, base: int) -> int:
    if len(text) > 40:
        raise ValueError(f"the number {text[:12]}… is too long")
    return int(text, base)


def needs_quotes(text: str) -> bool:
    """Tell whether this text, written without quotes, would be read as something else."""
    return any(pattern.fullmatch(text) for pattern, _ in _PLAIN)


def _plain_scalar(text: str) -> Scalar:
    """Return what unquoted text means."""
    for pattern, convert in _PLAIN:
        if pattern.fullmatch(text):
            return convert(text)
    return text


def _tagged(tag: str | None, text: str) -> Scalar:
    """Return quoted text, or text with an explicit tag of YAML's own."""
    if tag in {None, "!", _STR_TAG}:
        return text
    kinds: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (int, float),
        "bool": (bool,),
        "null": (type(None),),
    }
    kind = str(tag).rpartition(":")[2]
    value = _plain_scalar(text)
    if not str(tag).startswith("tag:yaml.org,2002:") or kind not in kinds:
        raise ValueError(f"the tag {tag} is not supported")
    if not isinstance(value, kinds[kind]):
        raise ValueError(f"{text!r} is not of the type {kind}")
    return value
