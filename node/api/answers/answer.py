"""What all answers are made of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base of what is answered: more fields may come, none of these goes."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Page(Answer):
    """A part of a list; ``next``: the ``cursor`` of the following part, null: this was the last."""

    next: str | None


class Success(Answer):
    """It was done."""

    success: Literal[True]


class NodeRef(Answer):
    """A node that something was done with."""

    node_id: str
    name: str


class NodeDone(Success, NodeRef):
    """It was done with a node."""


class Cluster(Answer):
    """A cluster; ``id`` is hexadecimal."""

    id: str
    name: str
