"""Whether the cluster seals."""

from __future__ import annotations

from buildnet.node.api.answers.answer import Answer
from buildnet.pool.sealing import State


class SealingVoter(Answer):
    """One voter; ``why`` it takes no part, ``since`` when it is away."""

    node_id: str
    name: str
    state: State
    why: str | None
    since: str | None


class Sealing(Answer):
    """How sealing goes; ``problem`` and ``hint`` are null where all is well."""

    works: bool
    text: str | None
    problem: str | None
    hint: str | None
    since: str | None
    height: int | None
    sealed_at: str | None
    unsealed: int | None
    voters_needed: int
    voters: list[SealingVoter]
