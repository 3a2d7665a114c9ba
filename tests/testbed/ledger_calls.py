"""What tests of the ledger ask of real nodes."""

from __future__ import annotations

from typing import Any, Protocol

from testbed.nodes import Node, NodeError


class Run(Protocol):
    """Runs ``buildnet`` with some arguments; a :class:`~testbed.nodes.Node` is one."""

    def __call__(self, *arguments: str) -> Any:
        """Return the answer: its ``code``, ``out``, ``err`` and ``data``."""


def data(run: Run, *arguments: str, code: int = 0) -> Any:
    """Return what a command prints as JSON; it must end with ``code``."""
    answer = run(*arguments, "--json")
    assert answer.code == code, answer.err + answer.out
    return answer.data


def note(node: Node, text: str, ack: str = "sealed") -> dict[str, Any]:
    """Put a note on record; return its entry once it is ``local`` or ``sealed``."""
    entry: dict[str, Any] = node.post("/api/ledger/entries", {"text": text, "ack": ack})
    return entry


def height_of(node: Node, entry_id: str) -> int | None:
    """Return the seal of an entry on a node; None: it is not sealed or not there."""
    try:
        height: int | None = node.get(f"/api/ledger/entries/{entry_id}")["sealed"]
    except NodeError:
        return None
    return height
