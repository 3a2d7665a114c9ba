"""What another node is told of an action of its that runs here, or could not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.messages.kinds import Message
from buildnet.node.capacity import Capacity
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.errors import OutputError, StageError
from buildnet.node.execute.executor import Execution, ExecutionRequest
from buildnet.node.execute.limits import DEFAULT_LIMITS
from buildnet.node.execute.outcome import ProcessOutcome
from buildnet.node.own_keys import OwnKeys
from buildnet.node.platform import platform_properties
from buildnet.node.runner import Limits
from buildnet.node.sharing.guest_work import GuestWork
from buildnet.node.store import Hold
from buildnet.node.store.store import Store
from buildnet.node.toolchain import Toolchain
from buildnet.node.workers import Workers
from buildnet.pool.action import Action, ActionSpec, encode_action
from buildnet.pool.leases import Amount
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.messages.work import Setting, WorkAlive, WorkAsk, WorkBegun, WorkDone
from buildnet.pool.requirements import Requirements
from buildnet.pool.tree import DirectoryTree, FileEntry
from testbed.lease_hosts import work_ask

HOLDER = b"h" * 32
ROOM = Digest.of(b"room")
WORK = b"w" * 16
SOURCE = b"a source"
MADE = b"what was made"


class Commands:
    """An executor whose commands go on until they may end."""

    owner = None

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.may_end = threading.Event()
        self.ran: list[ExecutionRequest] = []
        self._loop = asyncio.get_running_loop()

    def execute(
        self,
        request: ExecutionRequest,
        hold: Hold,
        on_output: Callable[[bytes], None],
        cancel: CancelToken,
    ) -> Execution:
        for digest in request.inputs.files():
            assert hold.get(digest) == SOURCE
        self.ran.append(request)
        self._loop.call_soon_threadsafe(self.began.set)
        assert self.may_end.wait(30)
        outputs = DirectoryTree.from_paths({"out.txt": FileEntry(hold.put(MADE))})
        outcome = ProcessOutcome(0, None, False, False, 1, 1, None, 0, 0)
        return Execution(outcome, hold.put(b""), outputs)


class Owner:
    """A node that runs actions of others."""

    def __init__(self, directory: Path, group: asyncio.TaskGroup) -> None:
        self.store = Store.open(directory / "store", 1 << 30)
        self.workers = Workers(Capacity(1))
        self.commands = Commands()
        self.said: list[Message] = []
        self.fetched: list[Digest] = []
        self.elsewhere: dict[Digest, bytes] = {}
        nothing: Any = None
        executor: Any = self.commands
        self.work = GuestWork(
            OwnKeys(directory / "key", directory / "former"),
            self.store,
            self.workers,
            Toolchain(directory / "links", {}),
            Limits(60.0, 1000, DEFAULT_LIMITS),
            lambda: executor,
            self._fetch,
            nothing,
            trees=nothing,
            trees_max_bytes=None,
        )

        def spawn(begin: Callable[[], Coroutine[None, None, None]]) -> None:
            group.create_task(begin())

        self.work.spawn = spawn
        self.work.say = lambda to, message: self.said.append(message)
        assert self.workers.reserve(ROOM, Requirements())

    async def _fetch(self, blobs: Iterable[Digest], holder: bytes) -> None:
        assert holder == HOLDER
        for digest in blobs:
            self.fetched.append(digest)
            self.store.put(self.elsewhere[digest])

    @classmethod
    @asynccontextmanager
    async def at_work(cls, directory: Path) -> AsyncIterator[Owner]:
        """Give one; what it was asked for has ended after that."""
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            owner = cls(directory, group)
            try:
                yield owner
            finally:
                owner.commands.may_end.set()
        owner.workers.close()
        owner.store.close()

    def start(self, ask: WorkAsk) -> None:
        """Be asked for an action."""
        self.work.start(HOLDER, ask, ROOM, Amount(1))

    def has(self, *blobs: bytes) -> list[bool]:
        """Tell of each blob whether it is in the store."""
        missing = self.store.missing(map(Digest.of, blobs))
        return [Digest.of(blob) not in missing for blob in blobs]

    @property
    def done(self) -> WorkDone:
        """What it answered."""
        (done,) = (each for each in self.said if isinstance(each, WorkDone))
        return done


def action_of() -> Action:
    """Return an action that makes one file of another."""
    tree = DirectoryTree.from_paths({"in.txt": FileEntry(Digest.of(SOURCE))})
    platform = {**platform_properties(), "isolation": "strict"}
    return encode_action(ActionSpec("true", "", {}, ("out.txt",), platform, tree))


def question(action: Action, *enclosed: bytes) -> WorkAsk:
    """Return what is asked, with some of the blobs that belong to it."""
    tree = tree_of(action)
    return replace(
        work_ask(WORK, b"l" * 16),
        action=WireDigest.of(action.digest),
        command=WireDigest.of(Digest.of(action.command_encoded)),
        inputs=WireDigest.of(Digest.of(tree)),
        dependencies=None,
        outputs=action.spec.outputs,
        network=False,
        again=False,
        blobs=enclosed,
    )


def tree_of(action: Action) -> bytes:
    """Return the message that lists an action's inputs."""
    return action.spec.inputs.tree_message().SerializeToString(deterministic=True)


def all_of(action: Action) -> tuple[bytes, ...]:
    """Return all blobs that belong to an action."""
    return action.encoded, action.command_encoded, tree_of(action), SOURCE


def test_a_command_that_ends_at_once_is_answered_in_one_message(tmp_path: Path) -> None:
    async def run() -> list[Message]:
        action = action_of()
        async with Owner.at_work(tmp_path) as owner:
            owner.commands.may_end.set()
            owner.start(question(action, *all_of(action)))
        assert owner.done.refused is None
        return owner.said

    assert [type(each) for each in asyncio.run(run())] == [WorkDone]


def test_of_what_came_with_the_question_only_inputs_are_kept(tmp_path: Path) -> None:
    async def run() -> None:
        action = action_of()
        async with Owner.at_work(tmp_path) as owner:
            owner.start(question(action, *all_of(action), b"something else"))
            await owner.commands.began.wait()
            assert owner.has(SOURCE, *all_of(action)[:3], b"something else") == [True] + [False] * 4
        assert owner.done.refused is None
        assert owner.fetched == []

    asyncio.run(run())


def test_what_did_not_come_with_the_question_is_fetched(tmp_path: Path) -> None:
    async def run() -> list[Digest]:
        action = action_of()
        async with Owner.at_work(tmp_path) as owner:
            owner.elsewhere = {Digest.of(blob): blob for blob in all_of(action)}
            owner.start(question(action, action.encoded))
            await owner.commands.began.wait()
        assert owner.done.refused is None
        return owner.fetched

    _, command, tree, source = map(Digest.of, all_of(action_of()))
    first, second, third = asyncio.run(run())
    assert {first, second} == {command, tree}
    assert third == source


def test_what_ran_here_before_does_not_run_again(tmp_path: Path) -> None:
    async def run() -> list[WorkDone]:
        action = action_of()
        async with Owner.at_work(tmp_path) as owner:
            owner.commands.may_end.set()
            for _ in range(2):
                owner.start(question(action, *all_of(action)))
                while owner.work.is_busy(b"l" * 16):
                    await asyncio.sleep(0.001)
            assert len(owner.commands.ran) == 1
        return [each for each in owner.said if isinstance(each, WorkDone)]

    one, other = asyncio.run(run())
    assert one.result == other.result


def test_an_action_that_is_not_what_its_key_says_does_not_run(tmp_path: Path) -> None:
    async def run() -> WorkDone:
        action = action_of()
        ask = question(action, *all_of(action), b"")
        async with Owner.at_work(tmp_path) as owner:
            owner.start(replace(ask, command=WireDigest.of(Digest.of(b""))))
        assert owner.commands.ran == []
        return owner.done

    assert "command or inputs" in (asyncio.run(run()).refused or "")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"outputs": ("../../node.key",)}, "a place outside"),
        ({"outputs": (r"\.\./node.key",)}, "a place outside"),
        ({"outputs": ("/etc/passwd",)}, "a place outside"),
        ({"outputs": ("out.txt", "other.txt")}, "not those of the action"),
        ({"outputs": ()}, "not those of the action"),
        ({"reports": ("in.txt",)}, "not those of the action"),
        ({"path_entries": ("../bin",)}, "a place outside"),
        ({"path_variables": (Setting("A", "../x"),)}, "a place outside"),
    ],
)
def test_nothing_is_taken_from_outside_of_an_action(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    async def run() -> WorkDone:
        action = action_of()
        async with Owner.at_work(tmp_path) as owner:
            owner.start(replace(question(action, *all_of(action)), **changes))
        assert owner.commands.ran == []
        return owner.done

    assert why in (asyncio.run(run()).refused or "")


def test_no_action_that_says_so_itself_runs_outside_either(tmp_path: Path) -> None:
    async def run() -> WorkDone:
        spec = replace(action_of().spec, working_directory="../..", outputs=())
        action = encode_action(spec)
        async with Owner.at_work(tmp_path) as owner:
            owner.start(replace(question(action, *all_of(action)), outputs=()))
        assert owner.commands.ran == []
        return owner.done

    assert "a place outside" in (asyncio.run(run()).refused or "")


def test_who_asked_hears_once_that_a_longer_command_has_begun(tmp_path: Path) -> None:
    async def run() -> list[Message]:
        action = action_of()
        async with Owner.at_work(tmp_path) as owner:
            owner.start(question(action, *all_of(action)))
            await owner.commands.began.wait()
            owner.work.tell_alive()
            owner.work.tell_alive()
        return owner.said

    told = [WorkBegun, WorkAlive, WorkAlive, WorkDone]
    assert [type(each) for each in asyncio.run(run())] == told


def test_who_thinks_that_a_command_waits_hears_when_it_begins(tmp_path: Path) -> None:
    async def run() -> list[Message]:
        action = action_of()
        async with Owner.at_work(tmp_path) as owner:
            owner.start(question(action, *all_of(action)))
            owner.work.tell_alive()  # before anything of it was done
            await owner.commands.began.wait()
            owner.work.tell_alive()
        return owner.said

    told = [WorkAlive, WorkBegun, WorkAlive, WorkDone]
    assert [type(each) for each in asyncio.run(run())] == told


@pytest.mark.parametrize(
    "error",
    [
        lambda place: OSError(5, "Input/output error", place),
        lambda place: StageError(f"the stage {place} can't be made"),
        lambda place: OutputError("output dist can't be read", cause=place),
    ],
)
def test_a_place_of_this_host_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Callable[[str], Exception]
) -> None:
    class Store:
        def hold(self) -> None:
            raise error(str(tmp_path))

    nothing: Any = None
    store: Any = Store()
    limits = Limits(60.0, 1000, DEFAULT_LIMITS)
    work = GuestWork(
        nothing,
        store,
        nothing,
        nothing,
        limits,
        nothing,
        nothing,
        nothing,
        trees=nothing,
        trees_max_bytes=None,
    )
    said: list[tuple[bytes, Message]] = []

    async def run() -> None:
        async with asyncio.TaskGroup() as group:

            def spawn(begin: Callable[[], Coroutine[None, None, None]]) -> None:
                group.create_task(begin())

            work.spawn = spawn
            work.say = lambda to, message: said.append((to, message))
            work.start(HOLDER, work_ask(b"w" * 16, b"l" * 16), Digest.of(b""), Amount(1))

    asyncio.run(run())
    ((to, done),) = said
    assert to == HOLDER
    assert isinstance(done, WorkDone)
    assert done.refused
    assert str(tmp_path) not in done.refused
    assert str(tmp_path) in caplog.text
    assert not work.does(HOLDER, b"w" * 16)
