"""One event, encoded once for all who are told it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from buildnet.node.events.channel import Channel

LEFT_OUT = "output_left_out"


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """``number``: its place in the order of this node, ``cursor``: how readers name that place;
    ``build``: the one that it concerns, "" none; ``text``: it as JSON; ``output_bytes``: of a
    command's output in it, which alone may be left out for who reads slowly, 0: it holds none."""

    number: int
    channel: Channel
    type: str
    build: str
    cursor: str
    text: str
    output_bytes: int = 0


def encoded(value: Any) -> str:
    """Return JSON without spaces; lone surrogates, which are no text, are escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text
