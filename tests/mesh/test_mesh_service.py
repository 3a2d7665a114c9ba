"""The whole mesh of a node over loopback: founding, joining, leaving, administration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from buildnet.mesh.errors import BuildNetError, NotFoundError, StoppingError, UsageError
from buildnet.mesh.events import OfficeChanged, Persist, Status
from buildnet.mesh.identity import NodeKey, load_or_create, save
from buildnet.mesh.link.dialing import UnreachableError, dial
from buildnet.mesh.members.changes import ChangeBody, rotate
from buildnet.mesh.members.invitation import Token, TokenError
from buildnet.mesh.members.member_list import Refused, Rights, Role
from buildnet.mesh.members.proposals import NoQuorum
from buildnet.mesh.service import opening
from buildnet.mesh.service.administration import NotAdminError
from buildnet.mesh.service.admission import AdmissionDesk
from buildnet.mesh.service.cluster import ChangeTimeoutError, Cluster
from buildnet.mesh.service.guest import GuestEvent
from buildnet.mesh.service.joining import Applicant, JoinError
from buildnet.mesh.service.opening import SeedFact, now_ms, settle_rotation, upcoming_key_path
from buildnet.mesh.service.service import Joined, MembershipError, MeshService, MeshSettings
from buildnet.mesh.service.store import MeshStore
from buildnet.mesh.service.testing import Node, listening_node


def run(work: Coroutine[None, None, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(90):
            await work

    asyncio.run(bounded())


async def until(service: MeshService, holds: Callable[[], object]) -> None:
    """Wait until something holds; what is wrong is shown if it never does."""
    try:
        async with asyncio.timeout(20):
            while not holds():
                await service.changed(service.version)
    except TimeoutError:
        raise AssertionError(service.view()) from None


def coordinates(node: Node) -> Callable[[], object]:
    def holds() -> bool:
        office = node.service.view().office
        return office is not None and office.quorum

    return holds


def sees(node: Node, others: list[Node]) -> Callable[[], object]:
    """All of them are members, alive and linked, and one coordinates with quorum."""

    def holds() -> bool:
        view = node.service.view()
        keys = {other.service.key for other in others}
        return (
            {member.key for member in view.members} == keys
            and all(member.status is Status.ALIVE for member in view.members)
            and all(member.linked or member.key == view.me for member in view.members)
            and view.office is not None
            and view.office.quorum
            and view.office.coordinator in keys
        )

    return holds


async def all_see_all(nodes: list[Node]) -> None:
    for node in nodes:
        await until(node.service, sees(node, nodes))


def node_at(directory: Path, name: str, port: int = 0) -> AbstractAsyncContextManager[Node]:
    key_file = directory / name / "node.key"
    key_file.parent.mkdir(parents=True, exist_ok=True)
    return listening_node(directory / name, name, key=load_or_create(key_file), port=port)


@asynccontextmanager
async def nodes_at(directory: Path, *names: str) -> AsyncIterator[list[Node]]:
    """Start nodes, each a cluster of its own."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node_at(directory, name)) for name in names]
        for node in nodes:
            await until(node.service, coordinates(node))
        yield nodes


@asynccontextmanager
async def cluster_at(directory: Path, *names: str) -> AsyncIterator[list[Node]]:
    """Start nodes and let all join the first one."""
    async with nodes_at(directory, *names) as nodes:
        invited = await nodes[0].service.invite(uses=len(names))
        for node in nodes[1:]:
            await node.service.join(nodes[0].address, token=invited.token)
        await all_see_all(nodes)
        yield nodes


def test_a_fresh_node_is_a_cluster_of_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a") as [a]:
            view = a.service.view()
            (me,) = view.members
            assert (me.name, me.role, me.rights, me.voter) == ("a", "worker", "admin", True)
            assert view.office is not None
            assert view.office.summary == "quorum, 1 of 1 voters reachable"
        key_file = tmp_path / "a" / "cluster.key"
        assert key_file.stat().st_mode & 0o777 == 0o600
        async with nodes_at(tmp_path, "a") as [a]:
            again = a.service.view()
            assert again.cluster_id == view.cluster_id
            assert again.boot > view.boot
            assert again.office is not None
            assert again.office.term > view.office.term

    run(work())


def test_a_guest_that_opens_late_is_told_who_coordinates(tmp_path: Path) -> None:
    told: list[OfficeChanged] = []

    class Listener:
        def take(self, event: GuestEvent) -> None:
            if isinstance(event, OfficeChanged):
                told.append(event)

    @asynccontextmanager
    async def late(cluster: Cluster) -> AsyncIterator[Listener]:
        while cluster.local.office is None or not cluster.local.office.quorum:
            await asyncio.sleep(0)
        yield Listener()

    async def go() -> None:
        async with listening_node(tmp_path, "one", guest_of=late) as node:
            office = told[-1].office
            assert office is not None
            assert office.coordinator == node.service.key

    run(go())


def test_join_with_a_token(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as nodes:
            a, b, c = nodes
            ids = {node.service.view().cluster_id for node in nodes}
            assert len(ids) == 1
            terms = {node.service.view().office.term for node in nodes}  # type: ignore[union-attr]
            assert len(terms) == 1
            member = a.service.view().member(b.service.key)
            assert member is not None
            assert (member.rights, member.role) == ("builder", "worker")
            assert member.link is not None
            assert member.link.kind == "direct"
            assert member.link.bytes_sent > 0
            a.service.advertise("profile", b"a's words")
            await until(c.service, lambda: c.service.records("profile"))
            held = c.service.records("profile")[a.service.key]
            assert held.body == b"a's words"
            assert abs(held.received - c.service.view().at) < 60
        kept = {path.name for path in (tmp_path / "b").iterdir()}
        assert "cluster.key" not in kept
        assert any(name.startswith("cluster-") for name in kept)
        assert any(name.startswith("mesh-") for name in kept)

    run(work())


def test_where_a_node_joined_is_kept_as_it_is_advertised(tmp_path: Path) -> None:
    """However it was typed, and also where an older version kept it so; or else the node would dial
    a peer that it is linked to."""

    async def work() -> None:
        async with nodes_at(tmp_path, "a", "b") as (a, b):
            typed = a.address.removeprefix("http://")
            invited = await a.service.invite()
            await b.service.join(typed, token=invited.token)
            seed = next(
                fact
                for fact in await b.service.cluster.facts_beside_log()
                if isinstance(fact, SeedFact)
            )
            assert seed.address == a.address
            store = await MeshStore.open(tmp_path / "b" / "mesh.db")
            await store.write([Persist(0, (SeedFact(typed),))])
            await store.close()
        async with node_at(tmp_path, "b") as b:
            assert list(b.service.cluster.machine.topology.seeds) == [a.address]

    run(work())


def test_a_member_that_joins_again_looks_for_it_where_it_was_told(tmp_path: Path) -> None:
    """Who came back at another address may not know where this one is, nor this one where he is."""

    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            elsewhere = a.address.replace("127.0.0.1", "localhost")
            assert elsewhere not in b.service.cluster.machine.topology.seeds
            assert (await b.service.join(elsewhere)).already
            assert elsewhere in b.service.cluster.machine.topology.seeds
        async with node_at(tmp_path, "b") as b:
            assert list(b.service.cluster.machine.topology.seeds) == [elsewhere]

    run(work())


def test_a_node_that_moves_tells_where_it_is_now(tmp_path: Path) -> None:
    """Members learn it, invitations name it, and the next cluster of the node, too."""

    async def work() -> None:
        moved = ("http://10.0.0.9:80", "https://a.example")
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            a.service.set_addresses(moved, ())
            await until(b.service, lambda: addresses(b, a) == moved)
            token = Token.parse((await a.service.invite()).token)
            assert token.addresses == moved
            await b.service.leave()
            b.service.set_addresses(("http://10.0.0.8:80",), ())
            assert addresses(b, b) == ("http://10.0.0.8:80",)

    def addresses(at: Node, of: Node) -> tuple[str, ...]:
        member = at.service.view().member(of.service.key)
        return () if member is None else member.addresses

    run(work())


def test_an_invitation_names_other_members_too(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, b, c]:
            shown = a.service.view
            await until(a.service, lambda: all(one.addresses for one in shown().members))
            token = Token.parse((await a.service.invite()).token)
            assert token.addresses == (a.address, b.address, c.address)
            a.service.set_addresses(("http://10.0.0.9:80",), ())
            token = Token.parse((await a.service.invite()).token)
            assert token.addresses == ("http://10.0.0.9:80",)  # the others are on this host only

    run(work())


def test_readiness_does_not_wait_for_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Announcing a node on the LAN takes seconds; that it can't be announced is counted."""
    begun = asyncio.Event()

    class Slow:
        def __init__(self, **options: object) -> None:
            begun.set()
            raise OSError("no network")

    monkeypatch.setattr("buildnet.mesh.link.discovery.AsyncZeroconf", Slow)

    async def work() -> None:
        settings = MeshSettings(tmp_path, "a", lan_addresses=("http://10.0.0.5:80",))
        service = await MeshService.open(NodeKey.generate(), settings)
        async with service.running():
            assert not begun.is_set()
            await begun.wait()
            while "discovery failed" not in {one.reason for one in service.view().counters}:
                await asyncio.sleep(0.01)
            assert service.candidates() == ()

    run(work())


def test_a_restarted_node_finds_its_cluster_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            cluster_id = a.service.view().cluster_id
        # Others listen on the same ports again; nobody is told anything.
        async with AsyncExitStack() as stack:
            nodes: list[Node] = []
            for name, before in (("a", a), ("b", b)):
                again = node_at(tmp_path, name, int(before.address.rpartition(":")[2]))
                nodes.append(await stack.enter_async_context(again))
            await all_see_all(nodes)
            assert nodes[0].service.view().cluster_id == cluster_id

    run(work())


async def refused_join(node: Node, address: str, token: str | None) -> BuildNetError:
    before = node.service.view()
    with pytest.raises(BuildNetError) as caught:
        await node.service.join(address, token=token)
    after = node.service.view()
    assert (after.cluster_id, after.boot) == (before.cluster_id, before.boot)
    assert caught.value.hint
    return caught.value


def test_tokens_that_open_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a", "b", "c") as [a, b, c]:
            used = await a.service.invite()
            await b.service.join(a.address, token=used.token)
            error = await refused_join(c, a.address, used.token)
            assert isinstance(error, TokenError)
            assert "used already" in error.message

            error = await refused_join(c, a.address, used.token[:-2])
            assert isinstance(error, TokenError)
            error = await refused_join(c, a.address, "hello")
            assert isinstance(error, TokenError)

            short = await a.service.invite(valid_s=1.1)
            while c.service.view().at < short.expires:
                await asyncio.sleep(0.05)
            error = await refused_join(c, a.address, short.token)
            assert isinstance(error, TokenError)
            assert "expired" in error.message

        async with nodes_at(tmp_path, "d", "e", "c") as [d, e, c]:
            invited = await d.service.invite()
            error = await refused_join(c, e.address, invited.token)
            assert isinstance(error, TokenError)
            assert "another cluster" in error.message
            reasons = {one.reason for one in e.service.view().counters}
            assert "join refused: wrong cluster" in reasons

    run(work())


@pytest.mark.parametrize("insists_on", [None, Role.OBSERVER, Role.WORKER])
def test_who_is_invited_as_an_observer_is_one(tmp_path: Path, insists_on: Role | None) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a", "b") as [a, b]:
            b.service._settings = replace(b.service._settings, role=insists_on)
            token = (await a.service.invite(role=Role.OBSERVER)).token
            if insists_on is Role.WORKER:
                error = await refused_join(b, a.address, token)
                assert isinstance(error, TokenError)
                assert error.message.startswith("the token admits an observer only")
            else:
                await b.service.join(a.address, token=token)
                me = b.service.view().member(b.service.view().me)
                assert me is not None
                assert me.role == "observer"

    run(work())


def test_addresses_that_lead_nowhere(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a") as [a]:
            error = await refused_join(a, "127.0.0.1:1", None)
            assert isinstance(error, UnreachableError)
            assert isinstance(await refused_join(a, "no address", None), UsageError)
            error = await refused_join(a, a.address, None)
            assert isinstance(error, JoinError)
            assert "this node itself" in error.message

    run(work())


def test_who_is_a_member_already(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            cluster_at(tmp_path, "a", "b") as [a, b],
            nodes_at(tmp_path, "other") as [other],
        ):
            invited = await a.service.invite()
            assert (await b.service.join(a.address, token=invited.token)).already
            assert (await b.service.join(a.address)).already
            elsewhere = await other.service.invite()
            error = await refused_join(b, other.address, elsewhere.token)
            assert isinstance(error, MembershipError)
            assert "node leave" in str(error.hint)
            assert isinstance(await refused_join(b, other.address, None), MembershipError)

    run(work())


def test_two_joins_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a", "b", "c") as nodes:
            a, b, c = nodes
            invited = await a.service.invite(uses=2)
            async with asyncio.TaskGroup() as group:
                for node in (b, c):
                    group.create_task(node.service.join(a.address, token=invited.token))
            await all_see_all(nodes)
        async with nodes_at(tmp_path, "d", "e") as [d, e]:
            invited = await d.service.invite(uses=2)
            first = asyncio.ensure_future(e.service.join(d.address, token=invited.token))
            await asyncio.sleep(0)
            with pytest.raises(MembershipError, match="right now"):
                await e.service.join(d.address, token=invited.token)
            assert not (await first).already

    run(work())


async def asked(node: Node, at: Node) -> tuple[asyncio.Future[Joined], str]:
    """Let ``node`` ask for admission; return the waiting join and the code that it shows."""
    shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    joining = asyncio.ensure_future(node.service.join(at.address, on_pending=shown.set_result))
    async with asyncio.timeout(20):
        await shown
    return joining, await shown


def test_a_request_is_approved_on_another_node(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b], nodes_at(tmp_path, "c") as [c]:
            joining, code = await asked(c, b)
            for node in (a, b):
                await until(node.service, node.service.requests)
                (request,) = node.service.requests()
                assert request.code == code
                assert (request.name, request.key) == ("c", c.service.key)
                assert request.responder == b.service.key
            with pytest.raises(NotAdminError, match="not admin") as caught:
                await b.service.approve("c")
            assert "a" in str(caught.value.hint)
            with pytest.raises(NotFoundError):
                await a.service.approve("nobody")
            approved = await a.service.approve(request.id[:6], rights=Rights.OBSERVER)
            assert approved.code == code
            await joining
            await all_see_all([a, b, c])
            member = c.service.view().member(c.service.key)
            assert member is not None
            assert member.rights == "observer"
            for node in (a, b, c):
                assert node.service.requests() == ()

    run(work())


def test_a_request_is_rejected_on_another_node(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b], nodes_at(tmp_path, "c") as [c]:
            joining, _ = await asked(c, b)
            await until(a.service, a.service.requests)
            await a.service.reject("c")
            with pytest.raises(JoinError, match="rejected"):
                await joining
            await until(a.service, lambda: not a.service.requests())
            assert len(c.service.view().members) == 1

    run(work())


def test_a_request_ends_when_who_asked_goes_away(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a", "c") as [a, c]:
            joining, _ = await asked(c, a)
            await until(a.service, a.service.requests)
            joining.cancel()
            await until(a.service, lambda: not a.service.requests())

    run(work())


def test_a_node_that_stops_does_not_wait_for_people(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a") as [a]:
            async with nodes_at(tmp_path, "c") as [c]:
                joining, _ = await asked(c, a)
                with pytest.raises(MembershipError, match="right now"):
                    await c.service.leave()
            with pytest.raises(StoppingError, match="stopping") as stopped:
                await joining
            assert stopped.value.exit_code == 3
            await until(a.service, lambda: not a.service.requests())

    run(work())


def test_a_node_that_stops_sends_away_who_waits_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b], nodes_at(tmp_path, "c") as [c]:
            joining, _ = await asked(c, b)
            await until(a.service, a.service.requests)
            b.service._stop()
            with pytest.raises(JoinError, match="about to stop"):
                await joining
            await until(a.service, lambda: not a.service.requests())

    run(work())
    assert "bug" not in caplog.text


def test_a_node_that_changes_its_cluster_sends_away_who_waits_there(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a", "b", "c") as [a, b, c]:
            joining, _ = await asked(c, b)
            invited = await a.service.invite()
            await b.service.join(a.address, token=invited.token)
            with pytest.raises(JoinError, match="about to stop"):
                await joining
            assert b.service.requests() == ()

    run(work())


def test_who_waited_at_a_node_that_crashed_is_shown_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        pass

    async def work() -> None:
        async with cluster_at(tmp_path, "a") as [a], nodes_at(tmp_path, "c") as [c]:
            async with node_at(tmp_path, "b") as b:
                invited = await a.service.invite()
                await b.service.join(a.address, token=invited.token)
                await all_see_all([a, b])
                joining, _ = await asked(c, b)
                await until(a.service, a.service.requests)
                monkeypatch.setattr(AdmissionDesk, "stop", crash)
                monkeypatch.setattr(AdmissionDesk, "_publish", lambda desk: None)
            monkeypatch.undo()
            joining.cancel()
            await until(a.service, lambda: not a.service.requests())
            async with node_at(tmp_path, "b") as b:
                await all_see_all([a, b])
                await until(a.service, lambda: not a.service.requests())

    run(work())


@pytest.mark.parametrize("ahead_s", [3700, -3700])
def test_a_clock_that_is_an_hour_off_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    def wrong() -> int:
        return now_ms() + ahead_s * 1000

    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            invited = await a.service.invite()
            monkeypatch.setattr(opening, "now_ms", wrong)
            async with nodes_at(tmp_path, "c") as [c]:
                await c.service.join(b.address, token=invited.token)
                await all_see_all([a, b, c])

    run(work())


def test_leave_and_join_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, b, c]:
            old = a.service.view().cluster_id
            await c.service.leave()
            alone = c.service.view()
            assert alone.cluster_id != old
            assert len(alone.members) == 1
            for node in (a, b):
                await until(node.service, sees(node, [a, b]))
            await until(c.service, coordinates(c))
            with pytest.raises(MembershipError, match="alone"):
                await c.service.leave()
            invited = await a.service.invite()
            assert not (await c.service.join(a.address, token=invited.token)).already
            await all_see_all([a, b, c])

    run(work())


def test_a_refused_leave_keeps_the_office(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, b, c]:
            await all_see_all([a, b, c])
            await until(a.service, coordinates(a))
            before = a.service.view().office
            with pytest.raises(BuildNetError, match="last admin"):
                await a.service.leave()
            after = a.service.view().office
            assert before is not None
            assert after is not None
            assert (after.coordinator, after.term) == (before.coordinator, before.term)

    run(work())


def test_a_leave_that_is_not_confirmed_leaves_the_node_willing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unconfirmed(_: Cluster, __: ChangeBody) -> None:
        raise ChangeTimeoutError("not confirmed")

    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, b, c]:
            await until(a.service, has_three_voters(a))
            await a.service.set_rights("b", Rights.ADMIN)
            await until(b.service, is_coordinated_by(b, a))
            with monkeypatch.context() as patched:
                patched.setattr(Cluster, "change", unconfirmed)
                with pytest.raises(ChangeTimeoutError):
                    await a.service.leave()
            await until(c.service, lambda: not is_coordinated_by(c, a)())
            await until(b.service, coordinates(b))
            await b.service.promote("a")
            await until(c.service, is_coordinated_by(c, a))

    run(work())


def test_leave_without_the_others(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [_, b]:
            cluster_id = b.service.view().cluster_id
        async with node_at(tmp_path, "b") as b:
            with pytest.raises(BuildNetError) as caught:
                await b.service.leave()
            assert caught.value.hint
            assert b.service.view().cluster_id == cluster_id
            await b.service.leave(force=True)
            assert b.service.view().cluster_id != cluster_id

    run(work())


def test_a_node_that_is_out_already_is_told_how_to_end_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, _]:
            port = int(a.address.rpartition(":")[2])
        async with node_at(tmp_path, "a") as a:
            await until(a.service, coordinates(a))
            await a.service.remove("b")
        async with node_at(tmp_path, "a", port), node_at(tmp_path, "b") as b:
            await until(b.service, lambda: b.service.view().turned_away == "removed")
            with pytest.raises(MembershipError, match="it was removed") as caught:
                await b.service.leave()
            assert "node leave --force" in str(caught.value.hint)
            await b.service.leave(force=True)
            assert b.service.view().turned_away is None

    run(work())


def test_without_a_majority_nobody_is_promoted(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, _, _]:
            await until(a.service, has_three_voters(a))
        async with node_at(tmp_path, "a") as a:
            with pytest.raises(NoQuorum):
                await a.service.promote("b")

    run(work())


def has_three_voters(node: Node) -> Callable[[], bool]:
    """Three voters, and that is final."""

    def holds() -> bool:
        return len(node.service.cluster.machine.log.committed.voters) == 3

    return holds


def is_coordinated_by(node: Node, other: Node) -> Callable[[], bool]:
    def holds() -> bool:
        office = node.service.view().office
        return office is not None and office.coordinator == other.service.key

    return holds


def test_promote_and_priorities(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as nodes:
            a, b, _ = nodes
            await until(a.service, has_three_voters(a))
            await a.service.promote("b")
            for node in nodes:
                await until(node.service, is_coordinated_by(node, b))
            await a.service.set_priority("c", 7)
            member = a.service.view().member(a.service.find("c").key)
            assert member is not None
            assert member.priority == 7
            with pytest.raises(UsageError):
                await a.service.set_priority("c", 10**6)
            with pytest.raises(NotFoundError):
                await a.service.set_priority("d", 1)
            with pytest.raises(NotAdminError):
                await b.service.set_priority("c", 1)

    run(work())


def test_a_revoked_member_is_cut_off(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, b, c]:
            await a.service.revoke("c", reason="stolen")
            for node in (a, b):
                await until(node.service, sees(node, [a, b]))
                told = node.service.view().former
                assert [(one.node_id, one.name, one.ending) for one in told] == [
                    (c.service.view().node_id, "c", "revoked")
                ]
            error = await refused_join(c, a.address, None)
            assert isinstance(error, JoinError)
            assert "revoked" in error.message

    run(work())


def test_nobody_revokes_itself(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, _]:
            with pytest.raises(Refused, match="own key"):
                await a.service.revoke("a")
            await a.service.invite()

    run(work())


def test_a_revocation_without_a_majority_counts_here_and_is_not_final(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, _, _]:
            await until(a.service, has_three_voters(a))
        async with node_at(tmp_path, "a") as a:
            await until(a.service, lambda: a.service.view().office)
            member, final = await a.service.revoke("c", reason="stolen")
            assert not final
            assert not a.service.cluster.local.members.is_member(member.key)

    run(work())


def test_who_joins_learns_where_everybody_is(tmp_path: Path) -> None:
    """So the one it asked may be gone the next moment."""

    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            invitation = await a.service.invite()
            applicant = Applicant(
                NodeKey.generate(),
                1,
                "c",
                Role.WORKER,
                b.service.cluster.local.clock.now,
                Token.parse(invitation.token),
            )
            admission = await applicant.join(await dial(b.address))
            owners = {record.owner for record in admission.addresses}
            assert owners == {a.service.key, b.service.key}

    run(work())


def test_a_rotated_key_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            path = tmp_path / "b" / "node.key"
            old = b.service.key
            new = await b.service.rotate_key(path)
            assert load_or_create(path) == new
            assert b.service.key == new.public_key != old
            await all_see_all([a, b])
            [former] = a.service.view().former
            assert (former.key, former.ending) == (old, "rotated")
            assert former.successor == b.service.view().node_id

    run(work())


@pytest.mark.parametrize("names", ["a", "ab"])
def test_the_only_voter_rotates_its_key_and_the_list_goes_on(tmp_path: Path, names: str) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, *names) as nodes:
            a = nodes[0]
            assert a.service.view().voters == 1
            await a.service.rotate_key(tmp_path / "a" / "node.key")
            await all_see_all(nodes)
            await a.service.invite()

    run(work())


def test_a_rotation_that_a_crash_broke_off_is_finished_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise OSError("the power went")

    async def work() -> None:
        path = tmp_path / "b" / "node.key"
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            old, port = load_or_create(path), int(a.address.rpartition(":")[2])
            with monkeypatch.context() as context:
                context.setattr(Cluster, "write_identity", crash)
                with pytest.raises(BuildNetError, match="can't be moved"):
                    await b.service.rotate_key(path)
            assert load_or_create(path) == old
        await settle_rotation(path, path.parent)
        new = load_or_create(path)
        assert new != old
        await settle_rotation(path, path.parent)  # once more changes nothing
        assert load_or_create(path) == new
        async with node_at(tmp_path, "a", port) as a, node_at(tmp_path, "b") as b:
            assert b.service.key == new.public_key
            await all_see_all([a, b])

    run(work())


def test_a_rotation_that_only_the_others_know_of_is_finished(tmp_path: Path) -> None:
    """It became final after the node had died."""

    async def work() -> None:
        path = tmp_path / "b" / "node.key"
        async with node_at(tmp_path, "a") as a:
            async with node_at(tmp_path, "b") as b:
                await until(a.service, coordinates(a))
                invited = await a.service.invite()
                await b.service.join(a.address, token=invited.token)
                await all_see_all([a, b])
                old, new = load_or_create(path), NodeKey.generate()
                save(upcoming_key_path(path), new)
                what = rotate(b.service.view().cluster_id, old.public_key, new)
                change = b.service.cluster.sign(what, old)
            await a.service.cluster.propose(change)
            await settle_rotation(path, path.parent)
            assert load_or_create(path) == old
            async with node_at(tmp_path, "b") as b:
                told: list[NodeKey] = []
                b.service.on_new_key = told.append
                await until(b.service, lambda: b.service.key == new.public_key)
                await all_see_all([a, b])
                assert told == [new]
            assert load_or_create(path) == new
            assert not upcoming_key_path(path).exists()

    run(work())


def test_who_was_away_while_the_only_other_one_rotated_its_key_comes_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with node_at(tmp_path, "a") as a:
            async with node_at(tmp_path, "b") as b:
                await until(a.service, coordinates(a))
                invited = await a.service.invite()
                await b.service.join(a.address, token=invited.token)
                await all_see_all([a, b])
            await a.service.rotate_key(tmp_path / "a" / "node.key")
            async with node_at(tmp_path, "b") as b:
                await all_see_all([a, b])
                assert [one.ending for one in b.service.view().former] == ["rotated"]

    run(work())


def test_a_rotation_whose_outcome_is_not_known_keeps_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pending(*_: object) -> None:
        raise ChangeTimeoutError("not known")

    async def work() -> None:
        path = tmp_path / "a" / "node.key"
        async with nodes_at(tmp_path, "a") as [a]:
            with monkeypatch.context() as context:
                context.setattr(Cluster, "change", pending)
                with pytest.raises(ChangeTimeoutError):
                    await a.service.rotate_key(path)
            upcoming = load_or_create(upcoming_key_path(path))
            assert await a.service.rotate_key(path) == upcoming

    run(work())


def test_a_rotation_that_was_never_confirmed_changes_nothing_at_the_next_start(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        path = tmp_path / "a" / "node.key"
        async with node_at(tmp_path, "a"):
            old = load_or_create(path)
        save(upcoming_key_path(path), NodeKey.generate())
        await settle_rotation(path, path.parent)
        assert load_or_create(path) == old

    run(work())


def test_a_cluster_that_lost_its_majority_is_recovered(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, _, _]:
            await until(a.service, has_three_voters(a))
        async with node_at(tmp_path, "a") as a:
            await until(a.service, lambda: a.service.view().office)
            office = a.service.view().office
            assert office is not None
            assert not office.quorum
            assert "provisional, 1 of 3 voters reachable since" in office.summary
            await a.service.recover(("a",))
            await until(a.service, coordinates(a))
            view = a.service.view()
            assert (view.epoch, view.voters) == (1, 1)

    run(work())


def test_names_and_ids_find_members(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "alice", "bob") as [a, b]:
            find = a.service.find
            assert find("bob") == find(b.service.view().node_id[:5])
            assert find("bob").key == b.service.key
            with pytest.raises(NotFoundError) as caught:
                find("alise")
            assert "alice" in str(caught.value.hint)

    run(work())


def test_before_it_runs_nothing_is_served(tmp_path: Path) -> None:
    from buildnet.mesh.service.opening import MeshSettings
    from buildnet.mesh.service.testing import pair
    from buildnet.mesh.testing import key_number

    async def work() -> None:
        service = await MeshService.open(key_number(1), MeshSettings(tmp_path, "a"))
        _, there = pair()
        await service.accept(there)
        assert there.closed is not None
        assert there.closed.close_code == 1013
        async with service.running():
            pass

    run(work())


@pytest.mark.parametrize("name", ["", " a", "a\nb", "x" * 300])
def test_names_that_a_node_can_not_have(tmp_path: Path, name: str) -> None:
    from buildnet.mesh.service.opening import MeshSettings

    with pytest.raises(BuildNetError):
        MeshSettings(tmp_path, name)
