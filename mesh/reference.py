"""The reference page of messages, made from the records themselves: Markdown. Rooms above have
messages of their own; who asks for the page names them all."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Annotated, Any

from buildnet.mesh import messages
from buildnet.mesh.messages.kinds import Message, MessageKind, Priority, kinds
from buildnet.mesh.wire import MAX_COUNTER, Limit, Wire


@dataclass(frozen=True, slots=True)
class Section:
    """Messages of one subject: kinds from ``first`` to ``last``. ``module``: where they are
    defined, a module or a package."""

    title: str
    first: int
    last: int
    module: str = messages.__name__


SECTIONS = (
    Section("Election", 1, 19),
    Section("Membership", 20, 29),
    Section("Gossip", 30, 39),
    Section("Member list", 40, 49),
    Section("Admission", 50, 59),
    Section("Relay", 60, 69),
    Section("Bulk", 70, 79),
)
"""The mesh's own."""


def page(sections: Sequence[Section], made_by: str) -> str:
    """Return the page. ``made_by``: a line that says how it is made."""
    rooms = sorted({section.module for section in sections})
    for room in rooms:
        found = importlib.import_module(room)
        for module in pkgutil.iter_modules(getattr(found, "__path__", ())):
            importlib.import_module(f"{room}.{module.name}")
    table = [kind for kind in kinds() if _is_in(kind.record.__module__, rooms)]
    lines = [
        "# Messages",
        "",
        made_by,
        "",
        "Every message travels in a signed envelope; its payload is an array of CBOR with the",
        "fields in this order. How a link comes about, what an envelope holds and which states the",
        "nodes go through: [protocol](protocol.md). Kinds of bulk (70 to 73) travel on connections",
        "of their own, without an envelope. A kind that a node does not know is counted and",
        "ignored.",
        "",
        "| number | kind | sender | receiver | what the receiver does | priority |",
        "| --- | --- | --- | --- | --- | --- |",
        *map(_row, table),
        "",
    ]
    shown: list[type[Wire]] = []
    for section in sections:
        group = [kind for kind in table if section.first <= kind.number <= section.last]
        if group:
            lines += [f"## {section.title}", ""]
        for kind in group:
            lines += [f"### {kind.number} {kind.record.__name__}", "", *_record(kind.record, shown)]
    lines += ["## Records inside", ""]
    for record in shown:  # grows while records of records are met
        lines += [f"### {record.__name__}", "", *_record(record, shown)]
    lines += ["## Numbers that stand for words", ""]
    for words in _enumerations(rooms):
        lines += [f"### {words.__name__}", "", _plain(words.__doc__), ""]
        lines += ["| number | word |", "| --- | --- |"]
        lines += [f"| {one.value} | {one.name.lower().replace('_', ' ')} |" for one in words]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _is_in(module: str, rooms: Sequence[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def _enumerations(rooms: Sequence[str]) -> Iterator[type[IntEnum]]:
    for name in sorted(sys.modules):
        if _is_in(name, rooms):
            for one in vars(sys.modules[name]).values():
                if (
                    isinstance(one, type)
                    and issubclass(one, IntEnum)
                    and one.__module__ == name
                    and one is not Priority
                ):
                    yield one


def _row(kind: MessageKind) -> str:
    name = kind.record.__name__
    cells = (
        str(kind.number),
        f"[{name}](#{kind.number}-{name.lower()})",
        kind.sender,
        kind.receiver,
        kind.effect,
        kind.priority.name.lower(),
    )
    return f"| {' | '.join(map(_cell, cells))} |"


def _record(record: type[Wire], shown: list[type[Wire]]) -> Iterator[str]:
    yield _plain(record.__doc__)
    yield ""
    hints = typing.get_type_hints(record, include_extras=True)
    members = fields(record)
    if members:
        yield "| field | type |"
        yield "| --- | --- |"
    for field in members:
        yield f"| `{field.name}` | {_cell(_type(hints[field.name], shown))} |"
    yield "" if members else "No fields."
    if not members:
        yield ""


def _type(hint: Any, shown: list[type[Wire]]) -> str:
    limit: Limit | None = None
    if typing.get_origin(hint) is Annotated:
        hint, *extras = typing.get_args(hint)
        limit = next((extra for extra in extras if isinstance(extra, Limit)), None)
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        inner = next(one for one in typing.get_args(hint) if one is not type(None))
        return f"{_type(inner, shown)}, or nothing"
    if origin is tuple:
        items = _type(typing.get_args(hint)[0], shown)
        return f"{_count(limit)}list of {items}"
    if isinstance(hint, type) and issubclass(hint, Wire):
        if not issubclass(hint, Message) and hint not in shown:
            shown.append(hint)
        return hint.__name__
    return _value(hint, limit)


def _value(kind: type, limit: Limit | None) -> str:
    if kind is bytes:
        return f"{_count(limit)}bytes" if limit else "bytes"
    if kind is str:
        return f"text of {_count(limit)}characters" if limit else "text"
    if limit is None or limit == Limit(0, MAX_COUNTER):
        return {int: "number", float: "floating-point number", bool: "true or false"}[kind]
    return f"number from {limit.least} to {limit.greatest}"


def _count(limit: Limit | None) -> str:
    if limit is None:
        return ""
    if limit.least == limit.greatest:
        return f"{limit.least} "
    return f"{limit.least} to {limit.greatest} "


def _plain(text: str | None) -> str:
    words = " ".join((text or "").replace("``", "`").split())
    for role in (":class:", ":data:", ":meth:", ":mod:", ":func:"):
        words = words.replace(role, "")
    return words


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
