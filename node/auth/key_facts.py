"""Puts on record in the ledger that keys were made and revoked, as shared facts ``key:ID``.

What counts does not wait for that: the register (:mod:`~buildnet.node.auth.spreading`) needs no
quorum. Without one the ledger keeps the change and makes it later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from buildnet.ledger.entry import Actor
from buildnet.ledger.facts import REVOKED
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.ledger.service.errors import FactConflictError, NoSealsError
from buildnet.mesh.errors import BuildNetError

MOST_WAITING = 1000
_TRIES = 3
_log = logging.getLogger("buildnet.node")


@dataclass(frozen=True, slots=True)
class KeyFact:
    """``kind``: the entry's type; ``value``: what the key is now; of one that is revoked only its
    name, None: it is not known here."""

    key: str
    kind: str
    value: dict[str, Any] | None
    actor: Actor
    reason: str = ""


class KeyFacts:
    """Takes facts with :meth:`put` and has them recorded, one after the other, by :meth:`run`."""

    def __init__(self, ledger: Callable[[], Awaitable[ClusterLedger]]) -> None:
        self._ledger = ledger
        self._waiting: deque[KeyFact] = deque(maxlen=MOST_WAITING)
        self._something = asyncio.Event()

    def put(self, fact: KeyFact) -> None:
        """Take a fact; returns at once and never fails."""
        self._waiting.append(fact)
        self._something.set()

    async def run(self) -> None:
        """Have facts recorded until cancelled."""
        while True:
            await self._something.wait()
            while self._waiting:
                fact = self._waiting.popleft()
                try:
                    await self._record(fact)
                except NoSealsError:
                    _log.info("that %s is %s is recorded once there is a quorum", *_name(fact))
                except BuildNetError as error:
                    _log.warning("that %s is %s is not recorded: %s", *_name(fact), error.message)
            self._something.clear()

    async def _record(self, fact: KeyFact) -> None:
        entity = f"key:{fact.key}"
        for attempt in range(_TRIES):
            ledger = await self._ledger()
            held = await ledger.store.fact(entity)
            if fact.kind == REVOKED and held is not None and held.value is None:
                return  # it was revoked before, and that cannot be done twice
            try:
                await ledger.facts.change(
                    entity,
                    kind=fact.kind,
                    expects=0 if held is None else held.version,
                    value=fact.value,
                    actor=fact.actor,
                    reason=fact.reason,
                )
                return
            except FactConflictError:
                if attempt + 1 == _TRIES:
                    raise
                await asyncio.sleep(1.0)


def _name(fact: KeyFact) -> tuple[str, str]:
    return f"the key {fact.key}", fact.kind.partition(".")[2]
