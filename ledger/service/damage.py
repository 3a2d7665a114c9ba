"""The last damage that a check of the ledger's file found, whoever checked: told in the log, and
kept for ``ledger status``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from buildnet.ledger.store.database import read_setting, write_setting
from buildnet.ledger.store.errors import LedgerError
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.writer import Writer
from buildnet.mesh import cbor

_NAME = "damage"
_log = logging.getLogger("buildnet.ledger")


@dataclass(frozen=True, slots=True)
class Damage:
    """``found_ms``: milliseconds since 1970 UTC; ``by``: ``scrub`` or ``verify``; ``problems``: how
    many; ``mended``: a later check found nothing wrong."""

    found_ms: int
    by: str
    problems: int
    mended: bool = False


class DamageRecord:
    """The record of one store."""

    def __init__(self, store: LedgerStore, now_s: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now_s = now_s
        self.is_awaited = False
        """Whether all of it comes from peers by itself, asked for since this process began."""

    async def found(self, by: str, problems: int, first: str, *, awaited: bool = False) -> None:
        """Take note of what a check found. ``first``: the first problem, in words; ``awaited``:
        peers were asked for all of it."""
        count = "1 damaged place" if problems == 1 else f"{problems} damaged places"
        _log.warning("%s found %s in the ledger's file, such as %s", by, count, first)
        self.is_awaited = awaited
        await self._keep(Damage(int(self._now_s() * 1000), by, problems))

    async def clean(self, by: str) -> None:
        """Take note that a check of everything found nothing wrong."""
        last = await self._store.read(last_damage)
        if last is not None and not last.mended:
            _log.info("%s found nothing damaged in the ledger's file any more", by)
            await self._keep(replace(last, mended=True))

    async def _keep(self, damage: Damage) -> None:
        body = cbor.encode([damage.found_ms, damage.by, damage.problems, damage.mended])
        try:
            await self._store.write(partial(_write, body=body))
        except LedgerError as error:
            _log.warning("what a check of the ledger found can't be kept: %s", error.message)


def last_damage(reader: Reader) -> Damage | None:
    """Return the last damage that was found; None: none ever was, or the note of it is damaged."""
    try:
        body = read_setting(reader.connection, reader.path, _NAME)
    except LedgerError:
        return None
    return None if body is None else Damage(*cbor.decode(body))


def _write(writer: Writer, body: bytes) -> None:
    write_setting(writer.connection, _NAME, body)
