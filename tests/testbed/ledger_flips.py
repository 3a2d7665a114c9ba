"""Flips bits of a node's ledger file, and looks what the node makes of it.

Whatever it serves must be what the other nodes hold. What it does not call verified it must be able
to put right, with the help of its peers; else its own words say that the file has to be moved away,
and then it fetches all from them.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from buildnet.ledger.store.schema import PENDING
from testbed.ledger_kills import (
    Held,
    LostError,
    Place,
    agreed,
    all_entries,
    ledger_file,
    until_level,
)
from testbed.nodes import Cluster, Node, NodeError, health

PATIENCE_S = 40.0
_REPAIRED_WITHIN_S = 15.0


class Flips:
    """Flips bits of the last member of ``cluster`` by the lots of ``seed``."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.outcomes: Counter[str] = Counter()
        self._lots = random.Random(seed)
        self._victim = cluster.members[-1]
        self._file = ledger_file(self._victim)

    def run(self, count: int) -> Counter[str]:
        """Flip ``count`` bits, one at a time.

        Raises:
            LostError, NodeError: the node served something else, or is not put right.
        """
        for number in range(count):
            self._victim.post("/api/ledger/entries", {"text": f"flip {number}", "ack": "sealed"})
            until_level(self.cluster.members, PATIENCE_S)
            at = self._flip()
            try:
                self.outcomes[self._judge()] += 1
            except AssertionError as error:
                raise LostError(f"byte {at} of {self._file}: {error}") from error
        return self.outcomes

    def run_ends(self) -> None:
        """Flip a bit of the last sealed entry of each chain at once.

        Raises:
            LostError, NodeError: the ledger is not opened, or is not put right by itself.
        """
        victim = self._victim
        victim.post("/api/ledger/entries", {"text": "the last one", "ack": "sealed"})
        until_level(self.cluster.members, PATIENCE_S)
        self._stop()
        before = _last_sealed(self._file)
        data = bytearray(self._file.read_bytes())
        for _, signed in before:
            at = data.index(signed[:100]) + 80  # on its first page
            data[at] ^= 1
        self._start(data)
        if not victim.get("/api/node")["ledger"]["open"]:
            raise LostError("a ledger whose chains' last entries are damaged is not opened")
        note = victim.post("/api/ledger/entries", {"text": "after it", "ack": "local"})
        if note["incarnation"] in {chain for chain, _ in before}:
            raise LostError("a chain goes on whose last entry is damaged")
        deadline = time.monotonic() + PATIENCE_S
        while not _verify(victim)["verified"]:
            if time.monotonic() > deadline:
                raise LostError("what was damaged did not come back from the peers")
            time.sleep(0.1)
        damage = victim.get("/api/ledger/store")["damage"]
        if damage is not None and not damage["mended"]:
            raise LostError(f"what is mended is told as damaged: {damage}")
        self._level()

    def _stop(self) -> None:
        self._victim.kill()
        with closing(sqlite3.connect(self._file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _start(self, data: bytearray) -> None:
        with self._file.open("r+b") as file:  # the same file: it was not restored
            file.write(data)
        self._victim.start()

    def _flip(self) -> int:
        self._stop()
        data = bytearray(self._file.read_bytes())
        at = self._lots.randrange(len(data))
        data[at] ^= 1 << self._lots.randrange(8)
        self._start(data)
        return at

    def _judge(self) -> str:
        victim = self._victim
        if not victim.get("/api/node")["ledger"]["open"]:
            if not any("ledger" in problem for problem in health(victim)["problems"]):
                raise LostError("not told that the ledger can't be opened")
            return self._fetch_anew("refused, fetched anew")
        served = _served(victim)
        report = _verify(victim)
        outcome = "harmless" if report["verified"] else "repaired"
        if any(not one["where"] for one in report["errors"]):
            raise LostError(f"not located: {report['errors']}")
        deadline = time.monotonic() + _REPAIRED_WITHIN_S
        while not report["verified"] and time.monotonic() < deadline:
            report = _verify(victim, repair=True)
            time.sleep(0.2)
        if not report["verified"]:
            outcome = self._fetch_anew("not repaired, fetched anew")
        held = self._level()
        for entry, place in served.items():
            right = held.places.get(entry)
            if (
                right is None
                or right.entry != place.entry
                or place.height not in (None, right.height)
            ):
                raise LostError(f"served what was not written: {place}, right is {right}")
        return outcome

    def _fetch_anew(self, outcome: str) -> str:
        """Do what the node's words say of a file that can't be used."""
        self._victim.kill()
        for path in self._file.parent.glob(self._file.name + "*"):
            path.unlink()
        self._victim.start()
        self._level()
        return outcome

    def _level(self) -> Held:
        """Wait until the node holds what the others do, and verifies; return it."""
        held = agreed(self.cluster.members, PATIENCE_S)
        if not (report := _verify(self._victim))["verified"]:
            raise LostError(f"does not verify: {report['errors']}")
        return held


def _verify(node: Node, *, repair: bool = False) -> dict[str, Any]:
    """Check a node's ledger; what can't be checked at all is not verified."""
    try:
        report: dict[str, Any] = node.post("/api/ledger/verify", {"deep": True, "repair": repair})
    except NodeError as error:
        return {"verified": False, "errors": [{"where": "file", "what": str(error)}]}
    return report


def _last_sealed(file: Path) -> list[tuple[str, bytes]]:
    """Return incarnation and signed bytes of the last sealed entry of each chain."""
    with closing(sqlite3.connect(file)) as connection:
        return [
            (name[32:].hex(), signed)
            for name, signed, _ in connection.execute(
                "SELECT name, signed, max(sequence) FROM entries JOIN chains ON chain=number "
                f"WHERE id<{PENDING} GROUP BY chain"
            )
        ]


def _served(node: Node) -> dict[str, Place]:
    """Return what a node serves until it refuses to go on."""
    found: dict[str, Place] = {}
    try:
        for one in all_entries(node):
            entry = (one["origin"], one["incarnation"], one["sequence"])
            found[one["id"]] = Place(entry, one["sealed"])
    except NodeError:
        pass
    return found
