"""Asking other hosts for tools, and answering."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from buildnet.mesh.events import LinkDown, Note, Received
from buildnet.mesh.members.member_list import Rights
from buildnet.mesh.messages.kinds import Message
from buildnet.node.sharing.far_tools import ToolsElsewhere
from buildnet.node.toolchain import Toolchain
from buildnet.pool.far_tools import FarTools, ToolsWanted
from buildnet.pool.messages.tools import ToolsAnswer, ToolsAsk, ToolTold
from buildnet.pool.messages.work import Setting
from buildnet.pool.wanted_platform import WantedPlatform

ME, HAS, LACKS, WATCHER = (each * 32 for each in (b"m", b"h", b"l", b"w"))
WANTED = ToolsWanted(("frob",), ("cp", "frob", "/x" * 99), {"frob": ">=2"})


class Cluster:
    """What one node says, and who is there."""

    def __init__(self) -> None:
        self.said: list[tuple[bytes, Message]] = []
        self.notes: list[Note] = []
        self.tasks: list[asyncio.Task[None]] = []
        roles = {HAS: "worker", LACKS: "worker", WATCHER: "observer"}
        rights = {HAS: Rights.BUILDER, LACKS: Rights.BUILDER, WATCHER: Rights.OBSERVER}
        members = {
            key: SimpleNamespace(role=role, rights=rights[key], name=chr(key[0]))
            for key, role in roles.items()
        }
        self.local = SimpleNamespace(
            links=dict.fromkeys(roles),
            alive=lambda peer: True,
            members=SimpleNamespace(members=members, is_member=members.__contains__),
        )

    def say(self, to: bytes, message: Message) -> None:
        self.said.append((to, message))

    def note(self, note: Note) -> None:
        self.notes.append(note)

    def spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.tasks.append(asyncio.ensure_future(work()))


def tools_of(directory: Path, refusal: str | None = None) -> ToolsElsewhere:
    tool = directory / "bin/frob"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho frob 2.5\n")
    tool.chmod(0o755)
    return ToolsElsewhere(Toolchain(directory / "links", {}, str(tool.parent)), lambda: refusal)


def answer_of(ask: ToolsAsk, version: str) -> ToolsAnswer:
    told = ToolTold("frob", "frob", version, f"{version} abc")
    words = (Setting("cp", "cp-digest"), Setting("frob", "other"), Setting("rm", "unasked"))
    return ToolsAnswer(ask.request, (Setting("OSFamily", "linux"),), (told,), words)


def test_who_has_it_is_found_and_who_has_another_is_not(tmp_path: Path) -> None:
    async def run() -> None:
        cluster, tools = Cluster(), tools_of(tmp_path)
        async with tools.guest(cast(Any, cluster)):
            finding = asyncio.ensure_future(tools.find(WANTED))
            while len(cluster.said) < 2:
                await asyncio.sleep(0)
            asks = dict(cluster.said)
            assert asks.keys() == {HAS, LACKS}  # observers run nothing
            ask = asks[HAS]
            assert isinstance(ask, ToolsAsk)
            assert ToolsAsk.decode(ask.encode()) == ask
            tools.take(Received(WATCHER, answer_of(ask, "9")))  # who was not asked
            tools.take(Received(LACKS, answer_of(ask, "1.9")))
            tools.take(Received(HAS, answer_of(ask, "2.5")))
            assert await finding == FarTools(
                (HAS,), ("h",), {"OSFamily": "linux"}, {"frob": "2.5 abc", "cp": "cp-digest"}
            )

    asyncio.run(run())


def test_a_platform_alone_is_found_and_who_says_none_lends_nothing(tmp_path: Path) -> None:
    async def run(said: str) -> FarTools | None:
        cluster, tools = Cluster(), tools_of(tmp_path / said)
        async with tools.guest(cast(Any, cluster)):
            wanted = ToolsWanted((), ("cp",), platform=WantedPlatform("macos"))
            finding = asyncio.ensure_future(tools.find(wanted))
            while len(cluster.said) < 2:
                await asyncio.sleep(0)
            ask = cluster.said[0][1]
            assert isinstance(ask, ToolsAsk)
            assert ToolsAsk.decode(ask.encode()) == ask
            tools.take(Received(LACKS, ToolsAnswer(ask.request, (), (), ())))
            platform = (Setting("OSFamily", said),)
            tools.take(Received(HAS, ToolsAnswer(ask.request, platform, (), ())))
            return await finding

    assert asyncio.run(run("macos")) == FarTools((HAS,), ("h",), {"OSFamily": "macos"}, {})
    assert asyncio.run(run("linux")) is None


def test_a_worker_whose_owner_may_not_build_is_not_asked(tmp_path: Path) -> None:
    async def run() -> None:
        cluster, tools = Cluster(), tools_of(tmp_path)
        cluster.local.members.members[LACKS].rights = Rights.OBSERVER
        async with tools.guest(cast(Any, cluster)):
            finding = asyncio.ensure_future(tools.find(WANTED))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert dict(cluster.said).keys() == {HAS}
            tools.take(LinkDown(HAS, "gone"))
            assert await finding is None

    asyncio.run(run())


def test_nobody_is_waited_for_who_is_gone(tmp_path: Path) -> None:
    async def run() -> None:
        cluster, tools = Cluster(), tools_of(tmp_path)
        assert await tools.find(WANTED) is None  # in no cluster
        async with tools.guest(cast(Any, cluster)):
            finding = asyncio.ensure_future(tools.find(WANTED))
            while len(cluster.said) < 2:
                await asyncio.sleep(0)
            for peer in (HAS, LACKS):
                tools.take(LinkDown(peer))
            assert await finding is None

    asyncio.run(run())


async def answered(tools: ToolsElsewhere, sender: bytes, times: int = 1) -> Cluster:
    cluster = Cluster()
    async with tools.guest(cast(Any, cluster)):
        for number in range(times):
            ask = ToolsAsk(bytes([number]) * 16, ("frob", "no-such-tool"), ("sh", "no-such-word"))
            tools.take(Received(sender, ask))
        await asyncio.gather(*cluster.tasks)
    return cluster


def test_a_member_is_told_what_is_here_and_lent(tmp_path: Path) -> None:
    cluster = asyncio.run(answered(tools_of(tmp_path / "a"), HAS))
    ((to, answer),) = cluster.said
    assert to == HAS
    assert isinstance(answer, ToolsAnswer)
    assert ToolsAnswer.decode(answer.encode()) == answer
    (tool,) = answer.tools
    assert (tool.name, tool.command, tool.version) == ("frob", "frob", "2.5")
    assert tool.identity.startswith("2.5 ")
    assert [each.name for each in answer.words] == ["sh"]
    assert answer.platform
    idle = asyncio.run(answered(tools_of(tmp_path / "b", "it is drained"), HAS))
    ((_, nothing),) = idle.said
    assert isinstance(nothing, ToolsAnswer)
    assert (nothing.tools, nothing.words) == ((), ())


def test_what_a_member_names_by_its_path_is_not_run(tmp_path: Path) -> None:
    script = tmp_path / "deploy"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/deployed\n")
    script.chmod(0o755)
    tools, cluster = tools_of(tmp_path / "a"), Cluster()

    async def run() -> None:
        async with tools.guest(cast(Any, cluster)):
            tools.take(Received(HAS, ToolsAsk(bytes(16), (str(script),), ())))
            await asyncio.gather(*cluster.tasks)

    asyncio.run(run())
    ((_, answer),) = cluster.said
    assert isinstance(answer, ToolsAnswer)
    assert answer.tools == ()
    assert not (tmp_path / "deployed").exists()


def test_observers_are_told_nothing_and_nobody_asks_without_end(tmp_path: Path) -> None:
    tools = tools_of(tmp_path)
    assert asyncio.run(answered(tools, WATCHER)).said == []
    cluster = asyncio.run(answered(tools, HAS, 9))
    assert len(cluster.said) == 4
    assert [note.reason for note in cluster.notes] == ["too many questions"] * 5
