"""The register of keys: what is taken of others, what is handed on, and how it is kept."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.events import LinkUp, MembersChanged, Received
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.member_list import Ending, Former, MemberList, Rights
from buildnet.node.auth.register import Register
from buildnet.node.auth.register_file import RegisterFile
from buildnet.node.auth.revocations import FOR_EVER_MS
from buildnet.node.auth.spreading import KeySpreading
from buildnet.pool.messages.keys import KeyEnded, KeyMade, KeysHeld, KeysTold
from testbed.pool_keys import ADMIN, BUILDER, MEMBERS, NOW, SPARE, claims

CLUSTER = MEMBERS.cluster_id
ID = claims().id
NOW_MS = round(NOW.timestamp() * 1000)


def made(by: NodeKey = ADMIN, **said: Any) -> KeyMade:
    record = KeyMade.unsigned(claims=claims(**said).encode().decode(), by="anna", digest=bytes(32))
    return record.signed(CLUSTER, by.public_key, by.sign)


def ended(by: NodeKey = ADMIN, until_ms: int = FOR_EVER_MS, key: str = ID) -> KeyEnded:
    record = KeyEnded.unsigned(
        id=key, until_ms=until_ms, at_ms=5, forget_ms=NOW_MS + 1000, by="anna", reason="leaked"
    )
    return record.signed(CLUSTER, by.public_key, by.sign)


def test_only_what_an_admin_s_node_signed_is_taken_once() -> None:
    register = Register(CLUSTER)
    altered = replace(ended(), until_ms=1)
    elsewhere = KeyEnded.unsigned(
        id=ID, until_ms=1, at_ms=0, forget_ms=0, by="a", reason=""
    ).signed(bytes(32), ADMIN.public_key, ADMIN.sign)
    for forged in (
        ended(BUILDER),
        ended(SPARE),
        altered,
        elsewhere,
        replace(ended(SPARE), author=ADMIN.public_key),
        made(BUILDER),
        replace(made(), by="eve"),
        made(cluster="00" * 32),
        replace(made(), claims="{}"),
    ):
        assert not register.take(forged, MEMBERS)
    assert not register.revocations.cover((ID,), 0)
    assert register.take(ended(), MEMBERS)
    assert register.take(made(), MEMBERS)
    assert not register.take(ended(), MEMBERS)
    assert not register.take(made(), MEMBERS)
    assert register.revocations.cover((ID,), NOW_MS)


def test_a_later_end_takes_the_place_of_an_earlier_one_and_never_the_other_way_round() -> None:
    register = Register(CLUSTER)
    assert register.take(ended(until_ms=5), MEMBERS)
    assert register.take(ended(until_ms=7), MEMBERS)
    assert not register.take(ended(until_ms=6), MEMBERS)
    assert register.revocations.cover((ID,), 7)
    assert not register.revocations.cover((ID,), 8)


def test_nodes_that_know_the_same_say_so_in_the_same_bytes() -> None:
    one, other = Register(CLUSTER), Register(CLUSTER)
    assert one.digest() == other.digest()
    for record in (made(), ended()):
        one.take(record, MEMBERS)
    assert one.digest() != other.digest()
    for record in (ended(), made()):
        other.take(record, MEMBERS)
    assert one.digest() == other.digest()


def _without_admin() -> MemberList:
    """The admin left; the builder is admin now."""
    key = ADMIN.public_key
    builder = replace(MEMBERS.members[BUILDER.public_key], rights=Rights.ADMIN)
    former = Former(MEMBERS.members[key], Ending.LEFT, 2)
    return replace(MEMBERS, members={BUILDER.public_key: builder}, former={key: former})


def test_what_one_who_left_had_revoked_stays_revoked_and_later_ones_learn_of_it() -> None:
    register, late = Register(CLUSTER), Register(CLUSTER)
    register.take(ended(), MEMBERS)
    register.take(made(), MEMBERS)
    now = _without_admin()
    assert not late.take(ended(), now)
    assert register.endorse(now, SPARE) == []
    (anew,) = register.endorse(now, BUILDER)
    assert isinstance(anew, KeyEnded)
    assert late.take(anew, now)
    assert late.revocations.cover((ID,), NOW_MS)
    assert register.endorse(now, BUILDER) == []


def test_what_says_nothing_any_more_is_forgotten() -> None:
    register = Register(CLUSTER)
    register.take(ended(), MEMBERS)
    register.take(made(), MEMBERS)
    assert not register.forget(NOW_MS)
    assert register.forget(NOW_MS + 1000)
    assert (len(register.ended), len(register.made)) == (0, 1)
    assert register.forget(NOW_MS + 61 * 86400 * 1000)
    assert not register.made


def test_it_is_kept_for_its_owner_alone_and_where_it_is_damaged_no_key_counts(
    tmp_path: Path,
) -> None:
    register = RegisterFile(tmp_path).of(CLUSTER)
    for record in (made(), ended()):
        register.take(record, MEMBERS)
    asyncio.run(RegisterFile(tmp_path).save(register))
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = RegisterFile(tmp_path).of(CLUSTER)
    assert again.digest() == register.digest()
    assert again.revocations.cover((ID,), NOW_MS)
    assert RegisterFile(tmp_path).of(bytes(32)).problem is None
    for damage in (b"", file.read_bytes()[:-1], b"\x83\x00\x00\x00"):
        file.write_bytes(damage)
        damaged = RegisterFile(tmp_path)
        assert damaged.of(CLUSTER).problem
        asyncio.run(damaged.save(damaged.of(CLUSTER)))
        assert file.read_bytes() == damage


class Mesh:
    """Nodes whose links are in a row, each linked with the next; messages go when told."""

    def __init__(self, directory: Path, count: int) -> None:
        self.keys = [ADMIN, BUILDER, SPARE][:count]
        self.members = MEMBERS
        self.waiting: list[tuple[bytes, bytes, Any]] = []
        self.news = [0] * count
        self.files = [RegisterFile(directory / str(number)) for number in range(count)]
        for number in range(count):
            (directory / str(number)).mkdir()
        self.nodes = [
            KeySpreading(self.files[number], lambda key=key: key, lambda at=number: self._told(at))  # type: ignore[misc]
            for number, key in enumerate(self.keys)
        ]
        self.linked = {key.public_key: set[bytes]() for key in self.keys}

    def _told(self, at: int) -> None:
        self.news[at] += 1

    @contextmanager
    def cluster(self, number: int) -> Iterator[Any]:
        me = self.keys[number].public_key
        local = SimpleNamespace(members=self.members, links=self.linked[me])

        def say(to: bytes, message: Any) -> None:
            self.waiting.append((me, to, message))

        yield SimpleNamespace(local=local, say=say, note=lambda note: None)

    def link(self, one: int, other: int) -> None:
        keys = self.keys[one].public_key, self.keys[other].public_key
        self.linked[keys[0]].add(keys[1])
        self.linked[keys[1]].add(keys[0])
        self.nodes[one].take(LinkUp(keys[1], True))
        self.nodes[other].take(LinkUp(keys[0], False))

    def deliver(self) -> int:
        count = 0
        while self.waiting:
            sender, to, message = self.waiting.pop(0)
            at = [key.public_key for key in self.keys].index(to)
            self.nodes[at].take(Received(sender, message, 0))
            count += 1
        return count

    def register(self, number: int) -> Register:
        return self.files[number].of(CLUSTER)


def test_a_record_goes_from_link_to_link_and_comes_to_rest(tmp_path: Path) -> None:
    async def work() -> None:
        mesh = Mesh(tmp_path, 3)
        spare = replace(MEMBERS.members[BUILDER.public_key], key=SPARE.public_key)
        members = {**MEMBERS.members, SPARE.public_key: spare}
        mesh.members = replace(MEMBERS, members=members)
        with mesh.cluster(0) as one, mesh.cluster(1) as two, mesh.cluster(2) as three:
            async with (
                mesh.nodes[0].guest(cast(Any, one)),
                mesh.nodes[1].guest(cast(Any, two)),
                mesh.nodes[2].guest(cast(Any, three)),
            ):
                mesh.link(0, 1)
                mesh.deliver()
                mesh.nodes[0].tell(ended())
                assert mesh.deliver() == 1
                assert mesh.register(1).revocations.cover((ID,), NOW_MS)
                assert mesh.news[1] == 1
                # Who comes later hears of it from whoever has it.
                mesh.link(1, 2)
                mesh.deliver()
                assert mesh.register(2).digest() == mesh.register(0).digest()
                assert mesh.deliver() == 0
                # Who is no admin hands nothing of its own on.
                mesh.nodes[2].take(Received(BUILDER.public_key, KeysTold((), (ended(BUILDER),)), 0))
                mesh.nodes[1].tell(ended(BUILDER, key="f" * 16))
                assert mesh.deliver() == 0
                mesh.nodes[2].take(MembersChanged())
                assert mesh.news[2] == 2
                mesh.nodes[2].take(Received(BUILDER.public_key, KeysHeld(bytes(32)), 0))
                assert mesh.deliver() == 0, "it was told all of it a moment ago"

    asyncio.run(work())


def test_one_node_brings_no_more_than_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildnet.node.auth.spreading._AT_ONCE", 1.0)
    monkeypatch.setattr("buildnet.node.auth.spreading._A_SECOND", 0.0)

    async def work() -> None:
        mesh = Mesh(tmp_path, 2)
        with mesh.cluster(1) as two:
            async with mesh.nodes[1].guest(cast(Any, two)):
                for number in range(5):
                    told = KeysTold((), (ended(key=f"{number}" * 16),))
                    mesh.nodes[1].take(Received(ADMIN.public_key, told, 0))
        assert len(mesh.register(1).ended) == 1

    asyncio.run(work())
