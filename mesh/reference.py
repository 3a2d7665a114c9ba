"""The reference page of the mesh's messages: ``python -m buildnet.mesh.reference``.

Prints Markdown, made from the records themselves; ``docs/reference/protocol-messages.md`` holds it.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import fields
from enum import IntEnum
from typing import Annotated, Any

from buildnet.mesh import messages
from buildnet.mesh.messages.kinds import Message, MessageKind, Priority, kinds
from buildnet.mesh.wire import MAX_COUNTER, Limit, Wire

_GROUPS = (
    ("Election", 1, 19),
    ("Membership", 20, 29),
    ("Gossip", 30, 39),
    ("Member list", 40, 49),
    ("Admission", 50, 59),
    ("Relay", 60, 69),
    ("Bulk", 70, 79),
)
_UPDATE = "uv run python -m buildnet.mesh.reference > docs/reference/protocol-messages.md"


def page() -> str:
    """Return the page."""
    for module in pkgutil.iter_modules(messages.__path__):
        importlib.import_module(f"{messages.__name__}.{module.name}")
    table = [kind for kind in kinds() if kind.record.__module__.startswith(messages.__name__)]
    lines = [
        "# Messages of the mesh",
        "",
        f"<!-- Generated; change the code and run: {_UPDATE} -->",
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
    for title, first, last in _GROUPS:
        group = [kind for kind in table if first <= kind.number <= last]
        if group:
            lines += [f"## {title}", ""]
        for kind in group:
            lines += [f"### {kind.number} {kind.record.__name__}", "", *_record(kind.record, shown)]
    lines += ["## Records inside", ""]
    for record in shown:  # grows while records of records are met
        lines += [f"### {record.__name__}", "", *_record(record, shown)]
    lines += ["## Numbers that stand for words", ""]
    for words in _enumerations():
        lines += [f"### {words.__name__}", "", _plain(words.__doc__), ""]
        lines += ["| number | word |", "| --- | --- |"]
        lines += [f"| {one.value} | {one.name.lower().replace('_', ' ')} |" for one in words]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _enumerations() -> Iterator[type[IntEnum]]:
    for name in sorted(sys.modules):
        if name.startswith(f"{messages.__name__}."):
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


if __name__ == "__main__":
    sys.stdout.write(page())
