"""Terms of a host: who may change whose, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.events import Received
from buildnet.mesh.members.member_list import Rights
from buildnet.mesh.messages.kinds import Message
from buildnet.node import hosts
from buildnet.node.config import NodeConfig, parse_config
from buildnet.node.hosts import Hosts, InFlight, ServerRefusedError, ServerSilentError
from buildnet.node.in_force import InForce
from buildnet.node.terms import Terms, TermsError
from buildnet.pool.messages.hosts import HostAnswer, HostAsk

ADMIN, BUILDER, STRANGER = b"a" * 32, b"b" * 32, b"s" * 32
OPEN = "scheduling: {accept_changes: true}"


class Node:
    """One node's part, with links to whoever the test connects it to."""

    def __init__(self, directory: Path, key: bytes, config: NodeConfig) -> None:
        directory.mkdir()
        self.key = key
        self.in_force = InForce(directory / "terms.json", directory / "node.yaml", config)
        self.records: list[Any] = []
        self.said: list[tuple[bytes, Message]] = []
        self.peers: dict[bytes, Node] = {}
        rights = {ADMIN: Rights.ADMIN, BUILDER: Rights.BUILDER}
        members = SimpleNamespace(
            members={
                key: SimpleNamespace(name=each.value, rights=each) for key, each in rights.items()
            },
            is_member=rights.__contains__,
        )
        self.local = SimpleNamespace(key=key, links=self.peers, members=members)
        self.hosts = Hosts(
            self.in_force,
            lambda: InFlight(self.in_force.terms.draining, 2, 1, 0),
            self.records.append,
        )

    def say(self, to: bytes, message: Message) -> None:
        self.said.append((to, message))
        if to in self.peers:
            heard = type(message).decode(message.encode())
            self.peers[to].hosts.take(Received(self.key, heard))

    def hears(self, sender: bytes, change: str) -> HostAnswer:
        self.hosts.take(Received(sender, HostAsk(bytes(16), change, "ann")))
        answer = self.said[-1][1]
        assert isinstance(answer, HostAnswer)
        return answer


@pytest.fixture
def node(tmp_path: Path) -> Callable[..., Node]:
    def make(key: bytes = BUILDER, text: str = "") -> Node:
        made = Node(tmp_path / key.hex()[:4], key, parse_config(text, "node.yaml"))
        made.hosts._cluster = made  # type: ignore[assignment]
        return made

    return make


def test_an_owner_says_what_he_likes_within_node_yaml(node: Callable[..., Node]) -> None:
    here = node(text="workers: {max: 2}")
    found = asyncio.run(here.hosts.say(None, Terms(draining=True, max_commands=1), "ann"))
    assert found == InFlight(True, 2, 1, 0)
    drafts = asyncio.run(here.records[0].drafts(SimpleNamespace(key=BUILDER)))
    assert [(each.data["name"], each.data["new"]) for each in drafts] == [
        ("draining", True),
        ("max_commands", 1),
    ]
    assert drafts[0].actor.id == "ann"
    assert drafts[0].data["node"] == "builder"
    with pytest.raises(TermsError):
        asyncio.run(here.hosts.say(None, Terms(max_commands=3), "ann"))
    asyncio.run(here.hosts.say(None, Terms(draining=True), "ann"))
    assert len(here.records) == 1  # nothing new


def test_only_admins_drain_what_is_not_theirs(node: Callable[..., Node]) -> None:
    here = node()
    for sender in (BUILDER, STRANGER):
        answer = here.hears(sender, '{"draining": true}')
        assert answer.refused is not None
        assert "only admins" in answer.refused
    assert not here.in_force.terms.draining
    answer = here.hears(ADMIN, '{"draining": true}')
    assert (answer.refused, answer.draining, answer.leases, answer.running) == (None, True, 2, 1)
    (record,) = here.records
    assert record.actor.name == "ann@admin"
    assert here.hears(ADMIN, "{}").draining  # only asked


def test_limits_are_for_others_only_where_the_owner_allows_it(node: Callable[..., Node]) -> None:
    closed, open_ = node(BUILDER), node(ADMIN, OPEN)
    answer = closed.hears(ADMIN, '{"tags": ["x"]}')
    assert "lets nobody else change" in (answer.refused or "")
    assert "accept_changes" in answer.hint
    assert open_.hears(ADMIN, '{"tags": ["x"]}').refused is None
    assert open_.in_force.config.node_tags == ("x",)
    assert "no terms" in (open_.hears(ADMIN, '{"nonsense": 1}').refused or "")


def test_another_node_is_asked_and_answers(node: Callable[..., Node]) -> None:
    here, there = node(ADMIN), node(BUILDER)
    here.peers[BUILDER], there.peers[ADMIN] = there, here
    found = asyncio.run(here.hosts.say(BUILDER, Terms(draining=True), "ann"))
    assert found.draining
    assert there.in_force.terms == Terms(draining=True)
    with pytest.raises(ServerRefusedError, match="lets nobody else"):
        asyncio.run(here.hosts.say(BUILDER, Terms(max_cores=1), "ann"))


def test_who_is_not_there_is_told_of(
    node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = node(ADMIN)
    with pytest.raises(ServerSilentError, match="no link"):
        asyncio.run(here.hosts.say(BUILDER, Terms(), "ann"))
    silent: Any = SimpleNamespace(hosts=SimpleNamespace(take=lambda event: None))
    here.peers[BUILDER] = silent
    monkeypatch.setattr(hosts, "ANSWER_S", 0.01)
    with pytest.raises(ServerSilentError, match="does not answer"):
        asyncio.run(here.hosts.say(BUILDER, Terms(), "ann"))
    # An answer of somebody else counts for nothing.
    answer = HostAnswer(bytes(16), None, "", True, 0, 0, 0)
    here.hosts.take(Received(STRANGER, answer))
