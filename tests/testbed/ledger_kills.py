"""Kills nodes that write, again and again, and looks whether the ledger kept its word.

Writers put notes on record on every node and note each acknowledgement in files of their own.
Meanwhile nodes are killed by SIGKILL at random: each one, the coordinator, several at once, and
those that are just starting. In the end no acknowledged entry may be lost or have moved, no request
may be recorded twice, and all nodes must hold the same.
"""

from __future__ import annotations

import itertools
import json
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from buildnet.ledger.store.tables import TABLES
from testbed.nodes import Cluster, Node, NodeEndedError, NodeError, invite, join
from testbed.ports import free_ports

HEALED_WITHIN_S = 35.0
WRITERS = 2
"""On each node."""
_PACE_S = 0.04
_AGAIN_S = 0.05
_NOTICED_S = 0.3
"""So long after a strike its victim is gone for sure."""
_PATIENCE_S = 60.0


class LostError(AssertionError):
    """The ledger broke its word."""


class _Caller(Node):
    """Asks a node that somebody else starts and kills."""

    def __init__(self, home: Path, name: str, address: str = "") -> None:
        super().__init__(home, name)
        self.address = address

    def _ended(self) -> NodeEndedError:
        return NodeEndedError(f"{self.name} does not run")


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a node answered to a note: it is on its disk, or sealed at ``height``."""

    text: str
    id: str
    chain: tuple[str, str]
    sequence: int
    height: int | None

    @classmethod
    def read(cls, line: str) -> Acknowledged:
        """Read a line of a writer's file."""
        told = json.loads(line)
        return cls(**(told | {"chain": tuple(told["chain"])}))


class _Writer:
    """Puts one note after the other on record; one that was not answered is sent again."""

    def __init__(self, node: Node, name: str, file: Path, seed: int) -> None:
        self.name = name
        self.file = file
        self.refused: Counter[str] = Counter()
        self._node = _Caller(node.home.directory, node.name)
        self._lots = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()

    def join(self) -> None:
        """Wait until its last note was answered."""
        self._thread.join(_PATIENCE_S)
        self._node.hang_up()
        if self._thread.is_alive():
            raise LostError(f"{self.name}: its last note is not answered; {dict(self.refused)}")

    def _run(self) -> None:
        number = 0
        with self.file.open("w", encoding="utf-8") as file:
            while not self._over.wait(self._lots.uniform(0, 2 * _PACE_S)):
                number += 1
                text = f"{self.name}.{number}"
                told = self._ask(text, self._lots.choice(("local", "sealed")))
                chain = (told["origin"], told["incarnation"])
                said = {"text": text, "id": told["id"], "chain": chain}
                said |= {"sequence": told["sequence"], "height": told["sealed"]}
                file.write(json.dumps(said) + "\n")
                file.flush()

    def _ask(self, text: str, ack: str) -> dict[str, Any]:
        request = self._lots.randbytes(16).hex()
        body = {"text": text, "ack": ack, "request": request}
        while True:
            try:
                told: dict[str, Any] = self._node.post("/api/ledger/entries", body)
            except NodeError as error:  # it stops, or there is no majority
                self.refused[str(error).partition('"code":"')[2].partition('"')[0]] += 1
            except (OSError, ValueError):
                self.refused["gone"] += 1
            else:
                return told
            if self._over.is_set():
                body["ack"] = "local"  # a majority may be long in coming
            time.sleep(_AGAIN_S)


class _Life:
    """Starts a node whenever it has ended."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.strikes = 0
        self.failure: Exception | None = None
        self._over = threading.Event()
        self._is_up = threading.Event()
        self._is_up.set()
        self._thread = threading.Thread(target=self._run, name=f"life of {node.name}")

    @property
    def starts(self) -> bool:
        """Whether it is just starting."""
        return not self._is_up.is_set()

    def start(self) -> None:
        self._thread.start()

    def strike(self) -> bool:
        self.strikes += 1
        return self.node.strike()

    def stay(self) -> None:
        """Wait until it is up; nobody strikes any more."""
        while self._is_up.wait(_PATIENCE_S) and self.failure is None:
            if not self.node.has_ended(_NOTICED_S):
                return
            self._is_up.clear()
        raise LostError(f"{self.node.name} did not come back: {self.failure}")

    def end(self) -> None:
        """Leave the node as it is."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            if not self.node.has_ended(_AGAIN_S):
                continue
            self._is_up.clear()
            self.node.kill()
            strikes = self.strikes
            try:
                self.node.start()
            except NodeError as error:
                if strikes == self.strikes and not self._over.is_set():
                    self.failure = error
                    self._is_up.set()
                    return
                continue
            self._is_up.set()


@dataclass(slots=True)
class Figures:
    """What a run came to."""

    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    local: int = 0
    sealed: int = 0
    entries: int = 0
    seals: int = 0
    chains: int = 0
    agreed_s: float = 0.0

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        return (
            f"{self.kills.total()} kills in {self.seconds:.0f} s ({kinds}); acknowledged: "
            f"{self.sealed} sealed, {self.local} local; in the end {self.entries} entries in "
            f"{self.chains} chains under {self.seals} seals, the same on all after "
            f"{self.agreed_s:.1f} s; none lost"
        )


class Kills:
    """Kills nodes of ``cluster`` by the lots of ``seed``; writers' files go to ``directory``."""

    def __init__(self, cluster: Cluster, directory: Path, seed: int) -> None:
        self.cluster = cluster
        self.seed = seed
        self.figures = Figures()
        self._lots = random.Random(seed)
        self._lives = [_Life(node) for node in cluster.members]
        self._again: _Life | None = None
        self._writers: list[_Writer] = []
        for node in cluster.members:
            for name in (f"{node.name}-{number}" for number in range(WRITERS)):
                lot = self._lots.randrange(2**32)
                self._writers.append(_Writer(node, name, directory / name, lot))

    def run(
        self,
        count: int,
        tell: Callable[[str], None] = lambda _: None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Figures:
        """Kill ``count`` times, then let all settle and compare. ``meanwhile`` is done in a thread
        beside the kills.

        Raises:
            LostError, NodeError: what must hold did not.
        """
        for life in self._lives:
            life.start()
        for writer in self._writers:
            writer.start()
        try:
            began = time.monotonic()
            with ThreadPoolExecutor(1) as threads:
                beside = threads.submit(meanwhile)
                self._strike(count, tell)
            beside.result()
            self.figures.seconds = time.monotonic() - began
            for life in self._lives:
                life.stay()
            for writer in self._writers:
                writer.end()
            for writer in self._writers:
                writer.join()
            self._compare()
        finally:
            for writer in self._writers:
                writer.end()
            for life in self._lives:
                life.end()
        return self.figures

    def _strike(self, count: int, tell: Callable[[str], None]) -> None:
        kills = self.figures.kills
        told = 0
        while kills.total() < count:
            time.sleep(self._pause_s())
            for life in self._victims():
                kind = "in a start" if life.starts else "at work"
                kills[kind] += life.strike()
            if (failed := [life.failure for life in self._lives if life.failure]) != []:
                raise LostError(f"a node did not start: {failed[0]}")
            if kills.total() // 50 > told:
                told = kills.total() // 50
                tell(f"{kills.total()} kills, {sum(1 for _ in self._acknowledged())} acknowledged")

    def _pause_s(self) -> float:
        return self._lots.choice(
            (self._lots.uniform(0, 0.3), self._lots.uniform(0, 1), self._lots.uniform(1, 2.5))
        )

    def _victims(self) -> list[_Life]:
        """Who was just killed, again; the coordinator; or whomever the lots name."""
        if self._again is not None and self._lots.random() < 0.25:
            return [self._again]
        if self._lots.random() < 0.2 and (coordinator := self._coordinator()) is not None:
            victims = [coordinator]
        else:
            together = self._lots.choices((1, 2, 3), (80, 16, 4))[0]
            victims = self._lots.sample(self._lives, together)
        self._again = victims[0]
        return victims

    def _coordinator(self) -> _Life | None:
        asked = self._lots.choice(self._lives).node
        caller = _Caller(asked.home.directory, asked.name)
        try:
            office = caller.office()
        except (NodeError, OSError, ValueError):
            return None
        finally:
            caller.hang_up()
        names = {life.node.identity: life for life in self._lives}
        return None if office is None or office.coordinator is None else names[office.coordinator]

    # --- afterwards ----------------------------------------------------------------------------

    def _acknowledged(self) -> Iterator[Acknowledged]:
        for writer in self._writers:
            for line in writer.file.read_text().splitlines():
                yield Acknowledged.read(line)

    def _compare(self) -> None:
        began = time.monotonic()
        held = agreed(self.cluster.members, HEALED_WITHIN_S)
        self.figures.agreed_s = time.monotonic() - began
        self._check_words(held)
        for node in self.cluster.members:
            answer = node("ledger", "verify", "--deep", "--json")
            if answer.code != 0 or not answer.data["verified"]:
                raise LostError(f"{node.name} does not verify: {answer.out}{answer.err}")

    def _check_words(self, held: Held) -> None:
        figures = self.figures
        for said in self._acknowledged():
            place = held.places.get(said.id)
            if place is None:
                raise LostError(f"lost: {said}")
            if (*said.chain, said.sequence) != place.entry:
                raise LostError(f"moved within its chains to {place}: {said}")
            if said.height is not None and said.height != place.height:
                raise LostError(f"moved to seal {place.height}: {said}")
            if said.height is None:
                figures.local += 1
            else:
                figures.sealed += 1
        twice = [text for text, count in held.texts.items() if count > 1]
        if twice:
            raise LostError(f"recorded twice: {twice[:5]}")
        figures.entries, figures.seals = len(held.places), len(held.seals)
        figures.chains = len({place.entry[:2] for place in held.places.values()})


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands: (origin, incarnation, sequence), and its seal."""

    entry: tuple[str, str, int]
    height: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """All that a node's ledger holds: entries by id, seals' hashes, rows of derived tables, and how
    often each note's text occurs."""

    places: dict[str, Place]
    seals: list[str]
    tables: dict[str, list[tuple[object, ...]]]
    quarantined: int
    texts: Counter[str]

    @classmethod
    def read(cls, node: Node) -> Held:
        """Read it from a node that runs: entries as it serves them, the rest from its file."""
        places: dict[str, Place] = {}
        texts: Counter[str] = Counter()
        for one in all_entries(node):
            places[one["id"]] = Place(
                (one["origin"], one["incarnation"], one["sequence"]), one["sealed"]
            )
            if one["type"] == "system.note":
                texts[one["data"]["text"]] += 1
        file = ledger_file(node)
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            seals = connection.execute("SELECT hex(hash) FROM seals ORDER BY height").fetchall()
            (quarantined,) = connection.execute("SELECT count(*) FROM quarantines").fetchone()
            tables = {
                table.name: connection.execute(
                    f"SELECT {', '.join(table.fields)} FROM {table.name} "
                    f"WHERE gone=0 ORDER BY {', '.join(table.key)}"
                ).fetchall()
                for table in TABLES
            }
        return cls(places, [seal for (seal,) in seals], tables, quarantined, texts)

    def without_provisional(self, origin: str) -> Held:
        """Return it without what an origin said and nobody sealed: nodes may differ there."""
        places = {
            name: place
            for name, place in self.places.items()
            if place.height is not None or place.entry[0] != origin
        }
        return replace(self, places=places, quarantined=0)

    def difference(self, other: Held) -> str | None:
        """Tell in what two ledgers that should be the same differ; None: in nothing."""
        if self.quarantined or other.quarantined:
            return f"chains with two branches: {self.quarantined}, {other.quarantined}"
        if self.places != other.places:
            odd = set(self.places.items()) ^ set(other.places.items())
            return f"{len(odd)} places of entries, such as {sorted(odd, key=str)[:2]}"
        if self.seals != other.seals:
            return f"seals: {len(self.seals)}, {len(other.seals)}"
        for name, rows in self.tables.items():
            if rows != other.tables[name]:
                odd_rows = set(rows) ^ set(other.tables[name])
                return f"table {name}: {sorted(odd_rows, key=str)[:2]}"
        return None


def agreed(nodes: Sequence[Node], patience_s: float) -> Held:
    """Wait until all nodes hold the same, all of it sealed; return it.

    Raises:
        LostError: they do not.
    """
    deadline = time.monotonic() + patience_s
    while True:  # a node that has just started or joined records that, and what it has
        until_level(nodes, patience_s)
        held, *others = [Held.read(node) for node in nodes]
        found = [difference for other in others if (difference := held.difference(other))]
        if not found:
            return held
        if time.monotonic() > deadline:
            raise LostError(f"not the same: {found[0]}")


def ledger_file(node: Node) -> Path:
    """Return the file of a running node's ledger."""
    cluster = str(node.get("/api/node")["cluster"]["id"])
    return node.home.directory / f"ledger-{cluster[:16]}.db"


def all_entries(node: Node) -> Iterator[dict[str, Any]]:
    """Return all entries that a node serves, in their order."""
    following = ""
    while True:
        page = node.get(f"/api/ledger?order=asc&limit=1000{following}")
        yield from page["entries"]
        if page["next"] is None:
            return
        following = f"&cursor={page['next']}"


def until_level(nodes: Sequence[Node], patience_s: float, *, besides: str = "") -> None:
    """Wait until all nodes tell of the same chains and seals, and everything is sealed; of the
    origin ``besides`` chains may differ, as far as they are not sealed.

    Raises:
        LostError: it did not come to that.
    """
    deadline = time.monotonic() + patience_s
    while True:
        told = [node.get("/api/ledger/sync") for node in nodes]
        chains = [[one for one in each["chains"] if one["origin"] != besides] for each in told]
        same = all(each["height"] == told[0]["height"] for each in told)
        same = same and chains == [chains[0]] * len(nodes)
        if same and all(one["sealed"] == one["sequence"] for one in chains[0]):
            return
        if time.monotonic() > deadline:
            seen = [{key: one[key] for key in ("height", "entries", "unsealed")} for one in told]
            raise LostError(f"not level within {patience_s} s: {seen}")
        time.sleep(0.1)


def grow(cluster: Cluster) -> Node:
    """Let another node join ``cluster``, whose members may be killed meanwhile; return it.

    Raises:
        LostError: it is no member in time.
    """
    first = cluster.members[0]
    name = f"node{len(cluster.members) + 1}"
    (port,) = free_ports(1)
    home = first.home.directory.parent / name
    node = Node(home, name, listen=f"127.0.0.1:{port}", bare=True)
    old = [_Caller(one.home.directory, one.name, one.address) for one in cluster.members]
    cluster.members.append(node)
    node.start()
    deadline = time.monotonic() + _PATIENCE_S
    for member in itertools.cycle(old):
        try:
            join(node, member, invite(member))
            return node
        except (NodeError, OSError, ValueError) as error:
            if time.monotonic() > deadline:
                raise LostError(f"{name} could not join: {error}") from error
            time.sleep(_AGAIN_S)
        finally:
            member.hang_up()
    raise LostError("there is nobody to join")
