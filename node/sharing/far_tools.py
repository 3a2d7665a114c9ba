"""Tools that other hosts have and this one lacks: who asks, and who answers.

The key of an action names the platform, and each tool with its digest. For a tool that this node
has itself it knows them; for another, or where a command is for another platform, it asks all
linked members, and makes the key from what one of them answers. Such an action runs on hosts alone
that answered the same.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from buildnet.mesh.events import LinkDown, Received
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.peer_questions import Question, Questions
from buildnet.node.platform import platform_properties
from buildnet.node.pool_results import may_ask, name_of
from buildnet.node.toolchain import Toolchain, ToolMissingError
from buildnet.pool.far_tools import FarTools, ToolsWanted, best_of
from buildnet.pool.messages.tools import MAX_TOOLS, ToolsAnswer, ToolsAsk, ToolTold
from buildnet.pool.messages.work import Setting

ANSWER_S = 5.0
"""A host may have to start a program to learn its version."""
_MORE_S = 0.3
"""So long others are waited for once somebody has what is needed."""
_MAX_PEERS_ASKED = 64
_MAX_WORD = 128


@dataclass(slots=True, kw_only=True)
class _Question(Question):
    wanted: ToolsWanted
    found: dict[bytes, FarTools] = field(default_factory=dict)


class ToolsElsewhere:
    """See the module's text. :meth:`guest` is for the mesh; ``refusal``: why this node lends
    nothing now, None: it lends."""

    def __init__(self, toolchain: Toolchain, refusal: Callable[[], str | None]) -> None:
        self._toolchain = toolchain
        self._refusal = refusal
        self._questions: Questions[_Question] = Questions()

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        async with self._questions.joined(cluster):
            yield self

    def take(self, event: GuestEvent) -> None:
        """Take note of a message, or of a peer that is gone."""
        match event:
            case Received(sender, ToolsAsk() as ask):
                self._asked(sender, ask)
            case Received(sender, ToolsAnswer() as answer):
                self._answered(sender, answer)
            case LinkDown(peer):
                self._questions.gone(peer)

    # --- asking --------------------------------------------------------------------------------

    async def find(self, wanted: ToolsWanted) -> FarTools | None:
        """Return what the most hosts have alike of what is wanted; None: no linked member that
        lends has all of it."""
        cluster = self._questions.cluster
        if cluster is None:
            return None
        local = cluster.local
        peers = [
            peer
            for peer in sorted(local.links)
            if local.alive(peer)
            and may_ask(local.members, peer)  # the others may lend nothing to anybody
            and local.members.members[peer].role == "worker"
        ][:_MAX_PEERS_ASKED]
        words = tuple(word for word in wanted.words if len(word) <= _MAX_WORD)[:MAX_TOOLS]
        if len(wanted.tools) > MAX_TOOLS:
            return None
        ask = ToolsAsk(os.urandom(16), wanted.tools, words)
        if not peers:
            return None
        question = _Question(peers=set(peers), wanted=wanted)
        await self._questions.ask(cluster, ask.request, ask, question, ANSWER_S)
        return best_of(question.found.values())

    def _answered(self, sender: bytes, answer: ToolsAnswer) -> None:
        question, cluster = self._questions.of(answer.request, sender), self._questions.cluster
        if question is None or cluster is None:
            return
        question.peers.discard(sender)
        question.settle()
        told = {each.name: each for each in answer.tools}
        versions = {name: each.version for name, each in told.items()}
        platform = _settings(answer.platform)
        if not platform or not question.wanted.is_met_by(versions, platform):
            return  # who lends nothing says nothing
        tools = {name: told[name].identity for name in question.wanted.tools}
        commands = {told[name].command for name in question.wanted.tools}
        words = {
            each.name: each.value
            for each in answer.words
            if each.name in question.wanted.words and each.name not in commands
        }
        if not question.found:
            asyncio.get_running_loop().call_later(_MORE_S, question.over.set)
        question.found[sender] = FarTools(
            owners=(sender,),
            names=(name_of(cluster.local.members, sender),),
            platform=platform,
            programs={**words, **tools},
        )

    # --- answering -----------------------------------------------------------------------------

    def _asked(self, sender: bytes, ask: ToolsAsk) -> None:
        cluster = self._questions.cluster
        if cluster is None or not may_ask(cluster.local.members, sender):
            return
        if self._questions.may_answer(cluster, sender, "ToolsAsk"):
            self._questions.answer(cluster, sender, lambda: self._answer(cluster, sender, ask))

    async def _answer(self, cluster: Cluster, sender: bytes, ask: ToolsAsk) -> None:
        answer = ToolsAnswer(ask.request, (), (), ())
        if self._refusal() is None:
            answer = await asyncio.to_thread(self._look_up, ask)
        cluster.say(sender, answer)

    def _look_up(self, ask: ToolsAsk) -> ToolsAnswer:
        tools: list[ToolTold] = []
        for name in ask.tools:
            try:
                tool = self._toolchain.tool(name)
            except ToolMissingError:
                continue
            tools.append(ToolTold(name, tool.command, tool.version[:128], tool.identity[:1024]))
        programs = {word: self._toolchain.program(word) for word in ask.words}
        return ToolsAnswer(
            ask.request,
            tuple(Setting(name, value) for name, value in platform_properties().items()),
            tuple(tools),
            tuple(
                Setting(word, program.identity)
                for word, program in programs.items()
                if program is not None
            ),
        )


def _settings(told: tuple[Setting, ...]) -> Mapping[str, str]:
    return {each.name: each.value for each in told}
