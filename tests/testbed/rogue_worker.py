"""A worker that a cluster trusts and that lies about what it runs: a real node, with real links.

    python -m testbed.rogue_worker WAY DESCRIPTOR OPTIONS

The rest as for ``python -m buildnet.node``; ``WAY`` is one of :data:`WAYS`.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from buildnet.mesh.digest import Digest
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.messages.kinds import Message
from buildnet.node.sharing.guest_work import GuestWork
from buildnet.node.sharing.service import Sharing
from buildnet.pool.messages.results import SharedResult
from buildnet.pool.messages.work import MAX_OUTPUT_BYTES, WorkDone, WorkOutput
from buildnet.pool.result import encode_result, signed_message
from buildnet.pool.tree import DirectoryTree, FileEntry
from testbed.nodes import Node

LIE = b"a lie\n"
_TESTS = Path(__file__).parent.parent

Told = Callable[[WorkDone], list[Message]]


def _results(change: Callable[[SharedResult], SharedResult]) -> None:
    """Change each result that is told to others."""

    def changed(done: WorkDone) -> list[Message]:
        return [done if done.result is None else replace(done, result=change(done.result))]

    _answers(changed)


def _answers(tell: Told) -> None:
    """Tell something else at the end of an action."""
    say = Sharing._say

    def lie(self: Sharing, to: bytes, message: Message) -> None:
        for each in tell(message) if isinstance(message, WorkDone) else [message]:
            say(self, to, each)

    Sharing._say = lie  # type: ignore[method-assign]


def _outputs(change: Callable[[Any, dict[str, Any]], tuple[str, ...]]) -> None:
    """Change the outputs before they are signed; ``change`` returns what is declared besides."""
    keep = GuestWork._keep

    def lie(
        self: GuestWork, ask: Any, order: Any, execution: Any, outputs: DirectoryTree, hold: Any
    ) -> Any:
        leaves = dict(outputs.leaves())
        declared = (*ask.outputs, *change(hold, leaves))
        changed = DirectoryTree.from_paths(leaves)
        return keep(self, replace(ask, outputs=declared), order, execution, changed, hold)

    GuestWork._keep = lie  # type: ignore[method-assign]


def another_action() -> None:
    """Answer with the first result that it made."""
    first: list[SharedResult] = []

    def change(result: SharedResult) -> SharedResult:
        first.append(result)
        return first[0]

    _results(change)


def relabelled() -> None:
    """Say that the first result is that of each action."""
    first: list[SharedResult] = []

    def change(result: SharedResult) -> SharedResult:
        first.append(result)
        return replace(first[0], action=result.action)

    _results(change)


def bad_signature() -> None:
    """Sign nothing."""
    _results(lambda result: replace(result, signature=bytes(64)))


def stranger() -> None:
    """Have somebody sign whom the cluster does not know."""
    key = NodeKey.generate()

    def change(result: SharedResult) -> SharedResult:
        assert result.result is not None
        message = signed_message(result.action.digest, result.isolation, result.result)
        return replace(result, worker=key.public_key, signature=key.sign(message))

    _results(change)


def undeclared() -> None:
    """Make an output more than was asked for."""

    def change(hold: Any, leaves: dict[str, Any]) -> tuple[str, ...]:
        directory = next(iter(leaves)).rpartition("/")[0]
        leaves[f"{directory}/extra.txt"] = FileEntry(hold.put(LIE))
        return (f"{directory}/extra.txt",)

    _outputs(change)


def missing() -> None:
    """Leave an output away."""

    def change(hold: Any, leaves: dict[str, Any]) -> tuple[str, ...]:
        directory = next(iter(leaves)).rpartition("/")[0]
        leaves.clear()
        leaves[f"{directory}/other.txt"] = FileEntry(hold.put(LIE))
        return (f"{directory}/other.txt",)

    _outputs(change)


def wrong_digests() -> None:
    """Tell digests of blobs that it does not have."""
    keep = GuestWork._keep

    def lie(
        self: GuestWork, ask: Any, order: Any, execution: Any, outputs: DirectoryTree, hold: Any
    ) -> Any:
        record = keep(self, ask, order, execution, outputs, hold)
        leaves = {path: FileEntry(Digest.of(LIE)) for path, _ in outputs.leaves()}
        changed = DirectoryTree.from_paths(leaves)
        told = encode_result(changed, order.working_directory, ask.outputs, execution.log)
        for tree in told.trees:
            hold.put(tree)
        message = signed_message(record.action, record.isolation, told.encoded)
        signature = self.keys.current.sign(message)
        return replace(record, result=told.encoded, signature=signature)

    GuestWork._keep = lie  # type: ignore[method-assign]


def endless_output() -> None:
    """Print without end."""

    async def perform(self: GuestWork, ask: Any, running: Any, room: Any) -> None:
        while not running.token.is_set():
            self.say(running.holder, WorkOutput(ask.work, b"x" * MAX_OUTPUT_BYTES))
            await asyncio.sleep(0.005)

    GuestWork._perform = perform  # type: ignore[method-assign]


def silent() -> None:
    """Take the work, and say nothing."""

    async def perform(self: GuestWork, ask: Any, running: Any, room: Any) -> None:
        await asyncio.sleep(3600)

    GuestWork._perform = perform  # type: ignore[method-assign]
    GuestWork.tell_alive = lambda self: None  # type: ignore[method-assign]


def without_result() -> None:
    """Tell of a success, and no result."""
    _answers(lambda done: [replace(done, result=None)])


def after_the_end() -> None:
    """Answer, and go on talking of what is over: another result, more output."""
    counted = itertools.count()

    def tell(done: WorkDone) -> list[Message]:
        refusal = replace(done, refused=f"no {next(counted)}", outcome=None, result=None)
        return [done, WorkOutput(done.work, LIE), refusal, WorkOutput(done.work, LIE), done]

    _answers(tell)


WAYS: dict[str, Callable[[], None]] = {
    way.__name__: way
    for way in (
        *(another_action, relabelled, bad_signature, stranger, undeclared, missing),
        *(wrong_digests, endless_output, silent, without_result, after_the_end),
    )
}


class RogueWorker(Node):
    """A node that lies in one way."""

    def __init__(self, home: Path, name: str, way: str, **options: Any) -> None:
        super().__init__(home, name, **options)
        self._way = way

    def launch(self, writing: int, options: str, environment: dict[str, str]) -> Any:
        """Return a process of it."""
        return subprocess.Popen(
            [sys.executable, "-m", "testbed.rogue_worker", self._way, str(writing), options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[writing],
            start_new_session=True,
            cwd="/",
            env=environment | {"PYTHONPATH": str(_TESTS)},
        )


if __name__ == "__main__":
    from buildnet.node.__main__ import main

    WAYS[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
