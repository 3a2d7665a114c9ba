"""What nodes say of their members, and of commands that they refuse."""

from __future__ import annotations

from typing import Any

from testbed.ledger_calls import data
from testbed.nodes import Node


def error(node: Node, *arguments: str, code: int) -> str:
    """Return the code of the error that a command ends with; each has a hint."""
    told = data(node, *arguments, code=code)["error"]
    assert told["hint"], told
    return str(told["code"])


def members(node: Node) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = node.get("/api/node/members")["members"]
    return listed


def names(node: Node) -> list[str]:
    return [each["name"] for each in members(node)]
