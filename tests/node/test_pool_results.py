"""Results of other members: asked for, checked, taken in, or left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.events import LinkDown, Note, Received
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.members.member import Ending
from buildnet.mesh.messages.kinds import Message, decode_message, kind_of
from buildnet.node.offered_results import Offer, Wanted
from buildnet.node.peer_questions import Questions
from buildnet.node.pool_results import PoolResults, is_trusted, shared_result
from buildnet.node.result_question import Said
from buildnet.node.store import ActionRecord, Store
from buildnet.pool.messages.results import ResultAnswer, ResultAsk, WireDigest
from buildnet.pool.result import encode_result, signed_message
from buildnet.pool.tree import DirectoryTree, FileEntry, merge_trees

STRICT = frozenset({"strict"})
ACTION = Digest.of(b"an action")
PATH = "packages/core"
OUTPUTS = ("packages/core/dist", "packages/core/*.js")


@dataclass
class Host:
    """A member with its store; ``others`` are those it is linked with."""

    store: Store
    key: NodeKey = field(default_factory=NodeKey.generate)
    rights: Rights = Rights.BUILDER
    others: dict[bytes, Host] = field(default_factory=dict)
    asked: int = 0
    notes: list[Note] = field(default_factory=list)
    silent: bool = False
    results: PoolResults = field(init=False)
    local: Any = field(init=False)

    def __post_init__(self) -> None:
        self.results = PoolResults(self.store)
        self.results.fetch_all = self.fetch_all
        self.results.latency_ms = lambda: dict.fromkeys(self.others, 0.3)
        self.members = SimpleNamespace(
            members={self.key.public_key: self}, former={}, revoked={}, is_member=self.is_member
        )
        self.local = SimpleNamespace(
            key=self.key.public_key,
            links=self.others,
            alive=lambda peer: True,
            members=self.members,
        )

    def is_member(self, key: bytes) -> bool:
        return key in self.members.members

    def meet(self, other: Host) -> None:
        for one, two in ((self, other), (other, self)):
            one.others[two.key.public_key] = two
            one.members.members[two.key.public_key] = two

    def say(self, to: bytes, message: Message) -> None:
        other = self.others[to]
        other.asked += isinstance(message, ResultAsk)
        if other.silent:
            return
        travelled = decode_message(kind_of(message).number, message.encode())
        assert travelled is not None
        other.results.take(Received(self.key.public_key, travelled))

    def spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self.tasks.append(asyncio.ensure_future(work()))

    tasks: list[asyncio.Future[None]] = field(default_factory=list)

    def note(self, note: Note) -> None:
        self.notes.append(note)

    async def fetch_all(self, blobs: Iterable[Digest], peer: bytes) -> None:
        for blob in blobs:
            data = await asyncio.to_thread(self.others[peer].store.get, blob)
            await asyncio.to_thread(self.store.put, data)

    def keep(
        self, files: dict[str, bytes], *, isolation: str = "strict", signer: NodeKey | None = None
    ) -> ActionRecord:
        """Keep a result of ACTION with these outputs."""
        key = signer or self.key
        leaves = [
            DirectoryTree({name: FileEntry(self.store.put(data), False)}).placed_at(parent)
            for path, data in files.items()
            for parent, _, name in [path.rpartition("/")]
        ]
        encoded = encode_result(merge_trees(leaves), PATH, OUTPUTS, self.store.put(b"log"))
        for tree in encoded.trees:
            self.store.put(tree)
        record = ActionRecord(
            action=ACTION,
            result=encoded.encoded,
            isolation=isolation,
            worker=key.public_key,
            signature=key.sign(signed_message(ACTION, isolation, encoded.encoded)),
            created_at=1.5,
            duration_ms=7.0,
            label="shop/core build",
            references=encoded.references,
        )
        self.store.put_action(record)
        return record


def is_same(one: ActionRecord | None, other: ActionRecord) -> bool:
    """Tell whether two records are the same, in whichever order they name blobs."""
    if one is None:
        return False
    sets = (set(one.references), set(other.references))
    return sets[0] == sets[1] and replace(one, references=()) == replace(other, references=())


DIST = {"packages/core/dist/a.js": b"a", "packages/core/dist/deep/b.js": b"b"}


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Callable[[], Host]]:
    stores: list[Store] = []

    def make() -> Host:
        stores.append(Store.open(tmp_path / str(len(stores)), 1 << 30, verify=lambda record: True))
        return Host(stores[-1])

    yield make
    for store in stores:
        store.close()


def met(make: Callable[[], Host]) -> tuple[Host, Host]:
    one, other = make(), make()
    one.meet(other)
    return one, other


async def within(*hosts: Host, work: Callable[[], Coroutine[None, None, Any]]) -> Any:
    """Do some work while the hosts take part in one cluster."""
    if not hosts:
        return await work()
    first: Any = hosts[0]
    async with hosts[0].results.guest(first):
        return await within(*hosts[1:], work=work)


def found(one: Host, *others: Host) -> dict[Digest, Offer]:
    async def work() -> Any:
        return dict(await one.results.find((ACTION,)))

    answer: dict[Digest, Offer] = asyncio.run(within(one, *others, work=work))
    return answer


def taken_in(one: Host, *others: Host) -> ActionRecord | None:
    async def work() -> Any:
        offer = (await one.results.find((ACTION,)))[ACTION]
        with one.store.hold() as hold:
            taken = await one.results.take_in([Wanted(offer, PATH, OUTPUTS)], hold)
        record = one.store.get_action(ACTION, STRICT)
        assert (record is None) == (taken.keys() == set())
        return record

    record: ActionRecord | None = asyncio.run(within(one, *others, work=work))
    return record


def test_a_result_of_another_member_is_taken_in_whole(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    kept = other.keep({**DIST, "packages/core/index.js": b"c"})
    assert is_same(taken_in(one, other), kept)
    assert not one.store.missing(kept.references)


def test_a_long_result_travels_as_a_blob(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    many = {f"packages/core/{number:05}-{'x' * 60}.js": b"c" for number in range(600)}
    kept = other.keep({**DIST, **many})
    assert len(kept.result) > 64 * 1024
    assert is_same(taken_in(one, other), kept)


def test_many_results_come_in_several_messages(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    kept = other.keep({f"packages/core/{number:05}.js": b"c" for number in range(300)})
    actions = [Digest.of(str(number).encode()) for number in range(20)]
    for action in actions:
        other.store.put_action(replace(kept, action=action))

    async def work() -> Any:
        return await one.results.find(actions)

    assert asyncio.run(within(one, other, work=work)).keys() == set(actions)
    assert other.asked == 1


def test_nobody_is_waited_for_longer_than_a_moment(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    other.keep(DIST)
    other.silent = True
    assert found(one, other) == {}
    assert other.asked == 1


@pytest.mark.parametrize(
    ("slowest_ms", "waits_s"), [(0.3, 0.1), (50.0, 0.4), (900.0, 1.0), (None, 1.0)]
)
def test_members_that_are_slow_to_reach_have_longer_to_answer(
    hosts: Callable[[], Host],
    monkeypatch: pytest.MonkeyPatch,
    slowest_ms: float | None,
    waits_s: float,
) -> None:
    one, other = met(hosts)
    known = {} if slowest_ms is None else {other.key.public_key: slowest_ms}
    one.results.latency_ms = lambda: known
    waited: list[float] = []
    ask = Questions.ask

    async def asked(*arguments: Any) -> Any:
        waited.append(arguments[-1])
        return await ask(*arguments)

    monkeypatch.setattr(Questions, "ask", asked)
    assert found(one, other) == {}
    assert waited == [waits_s]


def test_who_is_gone_is_not_waited_for(
    hosts: Callable[[], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = met(hosts)
    other.silent = True
    monkeypatch.setattr("buildnet.node.pool_results.ANSWER_S", 3600.0)

    async def work() -> Any:
        asking = asyncio.ensure_future(one.results.find((ACTION,)))
        while not other.asked:
            await asyncio.sleep(0)
        one.results.take(LinkDown(other.key.public_key))
        return await asking

    assert asyncio.run(within(one, other, work=work)) == {}


def test_everybody_is_asked_who_has_a_result(hosts: Callable[[], Host]) -> None:
    one, has, lacks, mute, gone = hosts(), hosts(), hosts(), hosts(), hosts()
    for other in (has, lacks, mute, gone):
        one.meet(other)
    has.keep(DIST)
    mute.silent = True

    async def work() -> Any:
        asking = asyncio.create_task(one.results.census(ACTION, 0.2))
        await asyncio.sleep(0)
        one.results.take(LinkDown(gone.key.public_key))
        return await asking

    said = asyncio.run(within(one, has, lacks, mute, work=work))
    assert said == {
        has.key.public_key: Said(True, 1.5),
        lacks.key.public_key: Said(False),
        mute.key.public_key: Said(None),
        gone.key.public_key: Said(None),
    }
    assert asyncio.run(one.results.census(ACTION, 0.2)) == {}


def test_who_asks_who_has_results_again_and_again_keeps_no_build_from_its_questions(
    hosts: Callable[[], Host],
) -> None:
    one, other = met(hosts)
    other.keep(DIST)

    async def work() -> Any:
        asking = [asyncio.create_task(one.results.census(ACTION, 20)) for _ in range(20)]
        await asyncio.sleep(0)
        found = await one.results.find((ACTION,))
        await asyncio.gather(*asking)
        return found

    assert ACTION in asyncio.run(within(one, other, work=work))
    assert other.notes == []


def test_without_a_cluster_or_peers_nothing_is_found(hosts: Callable[[], Host]) -> None:
    one = hosts()
    assert found(one) == {}
    assert asyncio.run(one.results.find((ACTION,))) == {}


@pytest.mark.parametrize("isolation", ["staged", "workspace"])
def test_only_strict_results_are_handed_out(hosts: Callable[[], Host], isolation: str) -> None:
    one, other = met(hosts)
    other.keep(DIST, isolation=isolation)
    assert found(one, other) == {}


def test_who_may_not_build_is_told_nothing(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    other.keep(DIST)
    one.rights = Rights.OBSERVER
    assert found(one, other) == {}


def test_who_may_not_build_is_not_asked_and_its_word_does_not_count(
    hosts: Callable[[], Host],
) -> None:
    one, other = met(hosts)
    other.keep(DIST)
    other.rights = Rights.OBSERVER
    assert found(one, other) == {}
    assert other.asked == 0
    members: Any = one.members
    assert not is_trusted(members, other.key.public_key)


def test_a_stranger_s_signature_does_not_count(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    other.keep(DIST, signer=NodeKey.generate())
    assert found(one, other) == {}


def test_a_result_that_its_executor_did_not_sign_is_refused(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    kept = other.keep(DIST)
    other.store.put_action(replace(kept, signature=bytes(64)))
    assert taken_in(one, other) is None
    assert [note.reason for note in one.notes] == ["result refused"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({**DIST, "packages/core/Makefile": b"evil"}, "packages/core/Makefile, which"),
        ({"packages/core/index.js": b"c"}, "lacks packages/core/dist"),
    ],
)
def test_outputs_of_another_action_are_refused(
    hosts: Callable[[], Host], files: dict[str, bytes], why: str
) -> None:
    one, other = met(hosts)
    other.keep(files)
    assert taken_in(one, other) is None
    assert why in one.notes[0].detail


def test_a_result_whose_blobs_are_gone_is_no_hit(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    kept = other.keep(DIST)

    async def work() -> Any:
        offer = (await one.results.find((ACTION,)))[ACTION]
        gone = kept.references[-1]
        (other.store.directory / "blobs" / gone.hash[:2] / gone.hash).unlink()
        with one.store.hold() as hold:
            assert not await one.results.take_in([Wanted(offer, PATH, OUTPUTS)], hold)

    asyncio.run(within(one, other, work=work))
    assert one.store.get_action(ACTION, STRICT) is None


def test_what_came_with_a_result_is_not_asked_for(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    kept = other.keep(DIST)
    fetched: list[Digest] = []
    fetch_all = one.results.fetch_all

    async def noted(blobs: Iterable[Digest], peer: bytes) -> None:
        wanted = tuple(blobs)
        fetched.extend(wanted)
        await fetch_all(wanted, peer)

    async def work() -> Any:
        offer = (await one.results.find((ACTION,)))[ACTION]
        one.results.fetch_all = noted
        *came, left_out = (other.store.get(blob) for blob in dict.fromkeys(kept.references))
        with one.store.hold() as hold:
            wanted = Wanted(offer, PATH, OUTPUTS)
            assert one.results.take_here(wanted, hold, came) == {Digest.of(left_out)}
            taken = await one.results.take_one(wanted, hold)
            assert hold.get_action(ACTION, STRICT) is None  # until it counts
            hold.put_action(taken.record)
        return [Digest.of(left_out)]

    assert asyncio.run(within(one, other, work=work)) == fetched
    assert one.store.get_action(ACTION, STRICT) is not None


def test_an_answer_to_no_question_is_ignored(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    third = hosts()
    kept = other.keep(DIST)
    other.silent = True

    async def work() -> None:
        with other.store.hold() as hold:
            said = shared_result(kept, hold)

        async def answered(sender: Host, request: bytes | None = None) -> Mapping[Digest, Offer]:
            asking = asyncio.ensure_future(one.results.find((ACTION,)))
            await asyncio.sleep(0)
            (asked,) = one.results._questions.out
            answer = ResultAnswer(request or asked, (said,), True, (), (), ())
            one.results.take(Received(sender.key.public_key, answer))
            return await asking

        assert await answered(other, bytes(16)) == {}  # to another question
        assert await answered(third) == {}  # of somebody who was not asked
        assert (await answered(other)).keys() == {ACTION}

    asyncio.run(within(one, other, work=work))


def test_who_asks_too_much_at_once_is_not_answered(hosts: Callable[[], Host]) -> None:
    one, other = met(hosts)
    other.keep(DIST)

    async def work() -> None:
        for number in range(5):
            ask = ResultAsk(bytes([number]) * 16, (WireDigest.of(ACTION),), 0)
            other.results.take(Received(one.key.public_key, ask))
        assert len(other.tasks) == 4
        await asyncio.gather(*other.tasks)

    asyncio.run(within(one, other, work=work))
    assert [note.reason for note in other.notes] == ["too many questions"]


def test_whose_results_count(hosts: Callable[[], Host]) -> None:
    members: Any = hosts().members
    gone = bytes(32)
    for ending in Ending:
        members.former[gone] = SimpleNamespace(ending=ending)
        assert is_trusted(members, gone) == (ending in (Ending.LEFT, Ending.ROTATED))
    members.former[gone] = SimpleNamespace(ending=Ending.LEFT)
    members.revoked[gone] = None
    assert not is_trusted(members, gone)
    assert not is_trusted(members, b"\1" * 32)
