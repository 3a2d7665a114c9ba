"""A cluster on simulated hosts, and what its people do: join, leave, revoke, promote, change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.events import ChangeDone, Effect, Fact
from buildnet.mesh.identity import KeySignatures, NodeKey
from buildnet.mesh.local import Local, Signatures
from buildnet.mesh.machine import Machine
from buildnet.mesh.members.changes import (
    MAX_USES,
    Admit,
    Change,
    ChangeBody,
    Invite,
    Join,
    Leave,
    Rename,
    Revoke,
    SetPriority,
    join_statement,
    rotate,
    sign_change,
)
from buildnet.mesh.members.facts import EntryFact, GenesisFact, LogFact, facts_of
from buildnet.mesh.members.genesis import Rights, Role
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.members.statement import Signer
from buildnet.mesh.simulation.agreement import can_elect, members_running
from buildnet.mesh.simulation.host import Host, Program, Start
from buildnet.mesh.simulation.world import ProgramFactory, World
from buildnet.mesh.testing import MIDNIGHT_MS, CheapSignatures, key_number

ADMINS = 3
"""So many of the first hosts belong to admins."""
_CLUSTER_KEY = key_number(1_000_000)
_INVITATION = key_number(1_000_001)
_TRY_AGAIN_S = 1.0
_LOOK_AGAIN_S = 0.02
_LOOKS = 50
_YEAR_MS = 365 * 24 * 3600 * 1000
_OF_THE_LIST = (GenesisFact, LogFact, EntryFact)

Facts = dict[str, tuple[type[Fact], bytes]]


class _Signatures(Signatures, Signer, Protocol):
    """One key pair, for everything that is signed and checked."""


class _RealSignatures(KeySignatures):
    @property
    def public_key(self) -> bytes:
        return self.key.public_key


def start_machine(real_signatures: bool) -> ProgramFactory:
    """Return what starts the daemon's cores on a host."""

    def start(start: Start) -> Machine:
        return Machine(
            local_at(start, real_signatures),
            facts=start.facts,
            seeds=start.seeds,
            addresses=start.addresses,
            now=start.now,
        )

    return start


def local_at(start: Start, real_signatures: bool) -> Local:
    """Return what the cores of a host that starts share."""
    return Local(
        start.key.public_key,
        start.boot,
        _signatures(start.key, real_signatures),
        start.random,
        HybridClock(start.wall),
        _members_at_start(start.facts, start.key, real_signatures=real_signatures),
    )


class Cluster:
    """Hosts of ``world`` that belong together, and newcomers. ``disks``: what each finds."""

    def __init__(
        self, world: World, disks: Sequence[Facts], *, real_signatures: bool = False
    ) -> None:
        self.acknowledged: dict[bytes, None] = {}
        """The ids of changes that somebody was told are final."""
        self._world = world
        self._real_signatures = real_signatures
        self._random = world.stream("people")
        self._proposed = 0
        self._sponsors: set[Host] = set()
        """Somebody knows nobody else: these keep their membership and their keys."""
        self._gone: set[Host] = set()
        """Who left, was revoked or has another key, or is about to."""
        self._keepers: set[Host] = set()
        """Who holds the only whole copy of something: these are not lost for good."""
        self._successors: dict[Host, Host] = {}
        """Who goes on with whose disk, under another key."""
        self.on_rotated: Callable[[Host, Host], None] = lambda host, successor: None
        """Told of a host that is about to start with the disk of another one."""
        world.size = len(disks)
        world.cluster = self
        world.watch.listener = self._told
        for facts in disks:
            host = world.add_host()
            host.disk.facts.update(facts)
            if host.index > 0:  # it joined there
                host.seeds = (world.hosts[0].address,)

    # --- what people do ------------------------------------------------------------------------

    def work(self, *, until: float) -> None:
        """Let nodes advertise and admins make changes now and then, until some time."""
        self._again(until, 1.0, self._advertise)
        self._again(until, 2.0, self._change)

    def open_to_all(self, founder: Host) -> None:
        """Let the founder invite everybody, for a year: what :meth:`join` needs."""
        self._propose(
            founder,
            founder,
            Invite(
                _INVITATION.public_key,
                (MIDNIGHT_MS + _YEAR_MS) << 16,
                MAX_USES,
                Role.WORKER.value,
                Rights.BUILDER.value,
            ),
        )

    def admit(self, founder: Host, host: Host, role: Role, rights: Rights) -> None:
        """Let the founder admit a host, which starts once it is a member."""
        self._propose(founder, founder, Admit(host.key, host.name, role.value, rights.value))
        self._wait_for_admission(host, founder, None, 0)

    def join(self, sponsor: Host) -> Host:
        """Let a new host join by an invitation; ``sponsor`` is asked, if it can be dialled.

        For some time it is the only one whose address the newcomer knows, so it does not leave.
        """
        if not self._may_sponsor(sponsor):
            able = (host for host in self._world.hosts if self._may_sponsor(host))
            sponsor = next(able, sponsor)
        newcomer = self._world.add_host()
        newcomer.seeds = (sponsor.address,)
        self._ask_to_join(newcomer, sponsor, None)
        return newcomer

    def leave(self, host: Host) -> bool:
        """Let a host leave; its process ends once it is no member any more."""
        if not host.works or host in self._sponsors:
            return False
        self._gone.add(host)
        self._propose(host, host, Leave())
        self._world.timeline.after(_TRY_AGAIN_S, self._retire_if_gone, host)
        return True

    def revoke(self, victim: Host) -> bool:
        """Let an admin revoke a host's key. It goes on running, and counts no more."""
        victim = self._successors.get(victim, victim)  # who has a host's old key, has its new one
        if victim in self._sponsors:
            return False
        for admin in self._world.hosts[:ADMINS]:
            if admin.works and admin is not victim and not admin.retired:
                victim.retired = victim.revoked = True
                self._gone.add(victim)
                self._propose(admin, admin, Revoke(victim.key, "lost"))
                return True
        return False

    def promote(self, host: Host) -> None:
        """Let somebody promote a host."""
        working = [one for one in self._world.hosts if one.works and not one.retired]
        if working:
            asked = self._random.choice(working)
            asked.ask(lambda program, now: _machine(program).promote(host.key, now))

    def lose_voters(self) -> None:
        """Kill a majority of the voters for good, as far as their disks may be lost."""
        lists = [host.program.local.members for host in self._world.hosts if host.program]
        if lists:
            members = max(lists, key=lambda one: one.version)
            kept = {keeper.key for keeper in self._keepers}
            able = [key for key in members.voters if key not in kept]
            for key in self._random.sample(able, min(members.majority, len(able))):
                host = self._world.host_of(key)
                if host is not None:
                    host.retired = True
                    host.kill(dark=self._random.random() < 0.3)

    def rotate(self, host: Host) -> bool:
        """Let a host go on under another key: as another host with its disk, once that is final.

        Not where one host at most keeps its key besides: away at that time, it would know nobody,
        and what helps it then (``mesh/service/rotation.py``) is no part of the cores.
        """
        if not host.works or host in self._gone or host in self._sponsors:
            return False
        kept = [one for one in self._world.hosts if not one.retired and one not in self._gone]
        if len(kept) == 2 or all(one.natted for one in kept if one is not host):
            return False
        assert host.program is not None
        self._gone.add(host)
        successor = self._world.add_host()
        successor.retired = True
        self._successors[host] = successor
        signer = _signatures(successor.node_key, self._real_signatures)
        body = rotate(host.program.local.members.cluster_id, host.key, signer)
        change = self._propose(host, host, body)
        if change is not None:
            self._take_over_if_final(host, successor, change)
        return True

    @property
    def is_settled(self) -> bool:
        """Tell whether nobody is about to leave, to be revoked or to get another key."""
        return all(host.retired for host in self._gone)

    def stays(self, host: Host) -> bool:
        """Tell whether a host is not about to leave, to be revoked or to get another key."""
        return host not in self._gone and not host.retired

    def bind(self, hosts: Sequence[Host]) -> None:
        """Let hosts keep their membership and their keys: others need them."""
        self._sponsors.update(hosts)

    def preserve(self, host: Host) -> None:
        """Let nobody lose a host's disk for good: what is on it is nowhere else."""
        self.bind([host])
        self._keepers.add(host)

    def preserves(self, host: Host) -> bool:
        """Tell whether a host holds the only whole copy of something."""
        return host in self._keepers

    def recover(self, host: Host, voters: Sequence[bytes]) -> bool:
        """Let a host begin a new epoch with these voters, by the cluster's key; tell whether it
        did."""
        if not host.works or host.program is None:
            return False
        program = _machine(host.program)
        epoch = program.log.committed.epoch
        author = _signatures(_CLUSTER_KEY, self._real_signatures)
        change = sign_change(
            program.log.recovery(voters),
            cluster_id=program.local.members.cluster_id,
            author=author.public_key,
            hlc=program.local.date(),
            sign=author.sign,
        )
        host.ask(lambda program, now: _machine(program).propose(change, now))
        return program.log.committed.epoch > epoch

    def lost_changes(self) -> list[tuple[str, str]]:
        """Return what is wrong with changes that were said to be final, on any host's disk.

        Where most voters died for good, what only they knew is gone, and nothing is wrong.
        """
        if not self.has_quorum():
            return []
        return [
            ("an acknowledged change is lost", f"{change_id[:4].hex()} at {host}")
            for host, _ in members_running(self._world)
            for change_id in self.acknowledged.keys() - _final_changes(host)
        ]

    def has_quorum(self) -> bool:
        """Tell whether those that run can change the member list, as each of them knows it."""
        running = members_running(self._world)
        keys = {host.key for host, _ in running}
        return can_elect(running) and all(
            program.local.members.is_majority(keys) for _, program in running
        )

    def last_change(self) -> Change | None:
        """Let some host ask for a change by some admin; None: nobody can."""
        running = members_running(self._world)
        at, program = self._random.choice(running)
        members = program.local.members
        for author in self._world.hosts:
            if members.is_admin(author.key):
                return self._propose(at, author, Rename(None, "still alive"))
        return None

    def without(self, change: Change) -> list[Host]:
        """Return who runs and does not have a change as final on its disk. It is void where its
        author, whose leave was under way, is no admin any more."""
        return [
            host
            for host, program in members_running(self._world)
            if change.id not in _final_changes(host)
            and program.local.members.is_admin(change.author)
        ]

    # --- how -----------------------------------------------------------------------------------

    def _again(self, until: float, mean_s: float, action: Callable[[], None]) -> None:
        when = self._world.timeline.now + self._random.expovariate(1 / mean_s)
        if when < until:
            self._world.timeline.at(when, self._act, until, mean_s, action)

    def _act(self, until: float, mean_s: float, action: Callable[[], None]) -> None:
        action()
        self._again(until, mean_s, action)

    def _advertise(self) -> None:
        host = self._random.choice(self._world.hosts)
        body = self._random.randbytes(self._random.choice((40, 40, 3000)))
        host.ask(lambda program, now: _machine(program).advertise("load", body, now))

    def _change(self) -> None:
        admin = self._random.choice(self._world.hosts[:ADMINS])
        whom = self._random.choice(self._world.hosts).key
        self._proposed += 1
        if self._random.random() < 0.5:
            self._propose(admin, admin, SetPriority(whom, self._random.randint(-1, 1)))
        else:
            self._propose(admin, admin, Rename(whom, f"name {self._proposed}"))

    def _propose(self, at: Host, author: Host, what: ChangeBody) -> Change | None:
        if not at.works or at.program is None:
            return None
        local = at.program.local
        change = sign_change(
            what,
            cluster_id=local.members.cluster_id,
            author=author.key,
            hlc=local.date(),
            sign=_signatures(author.node_key, self._real_signatures).sign,
        )
        self._world.note(at, f"proposes {type(what).__name__} {change.id[:4].hex()}")
        at.ask(lambda program, now: _machine(program).propose(change, now))
        return change

    def _told(self, host: Host, effect: Effect) -> None:
        if isinstance(effect, ChangeDone) and effect.error is None:
            self.acknowledged[effect.change_id] = None

    def _ask_to_join(self, newcomer: Host, sponsor: Host, change: Change | None) -> None:
        """Ask a sponsor, and another one if it does not work out within a while."""
        if not sponsor.works:
            others = [
                host
                for host in self._world.hosts
                if host.works and not host.retired and self._may_sponsor(host)
            ]
            sponsor = self._random.choice(others) if others else sponsor
        self._sponsors.add(sponsor)
        if sponsor.program is not None:
            if change is None:
                body = self._join_body(newcomer, sponsor.program.local.members)
                change = self._propose(sponsor, newcomer, body)
            else:
                again = change
                sponsor.ask(lambda program, now: _machine(program).propose(again, now))
        self._wait_for_admission(newcomer, sponsor, change, 0)

    def _may_sponsor(self, host: Host) -> bool:
        return not host.natted and host not in self._gone

    def _wait_for_admission(
        self, newcomer: Host, sponsor: Host, change: Change | None, looks: int
    ) -> None:
        if newcomer.runs or newcomer.retired:
            return
        if sponsor.works and sponsor.program is not None:
            members = sponsor.program.local.members
            chain = _final_chain(sponsor) if members.is_member(newcomer.key) else ()
            if any(
                isinstance(fact, LogFact)
                and fact.version >= members.members[newcomer.key].seniority
                for fact in chain
            ):
                newcomer.seeds = (sponsor.address,)
                newcomer.disk.facts.update(
                    {fact.name(): (type(fact), fact.encode()) for fact in chain}
                )
                newcomer.start()
                return
        if looks < _LOOKS:
            again = (newcomer, sponsor, change, looks + 1)
            self._world.timeline.after(_LOOK_AGAIN_S, self._wait_for_admission, *again)
        else:
            self._ask_to_join(newcomer, sponsor, change)

    def _join_body(self, newcomer: Host, members: MemberList) -> Join:
        said = join_statement(members.cluster_id, newcomer.key, newcomer.name, Role.WORKER.value)
        proof = _signatures(_INVITATION, self._real_signatures).sign(said)
        return Join(newcomer.name, Role.WORKER.value, _INVITATION.public_key, proof)

    def _take_over_if_final(self, host: Host, successor: Host, change: Change) -> None:
        """Start with the new key once the host or, where that is not let in any more, somebody else
        shows that it counts."""
        others = [one for one in self._world.hosts if one.runs and not one.retired]
        knows = [one for one in (host, *others) if change.id in _final_changes(one)]
        if not knows:
            if not host.retired:
                again = (host, successor, change)
                self._world.timeline.after(_LOOK_AGAIN_S, self._take_over_if_final, *again)
            return
        host.retired = True
        host.kill()
        facts = dict(host.disk.facts)
        if knows[0] is not host:
            facts = {name: one for name, one in facts.items() if one[0] not in _OF_THE_LIST}
            facts.update((one.name(), (type(one), one.encode())) for one in _final_chain(knows[0]))
        successor.disk.facts.update(facts)
        successor.seeds = tuple(one.address for one in others)
        successor.retired = False
        self._world.note(host, f"goes on as {successor}")
        self.on_rotated(host, successor)
        successor.start()

    def _retire_if_gone(self, host: Host) -> None:
        known = [one.program.local.members for one in self._world.hosts if one.program]
        if any(not members.is_member(host.key) for members in known):
            host.retired = True
            host.kill()
        else:
            self._world.timeline.after(_TRY_AGAIN_S, self._retire_if_gone, host)


def _final_chain(host: Host) -> tuple[Fact, ...]:
    """Return what a host would hand to a newcomer: its final chain, as it is on its disk."""
    genesis: GenesisFact | None = None
    state: LogFact | None = None
    entries: dict[int, EntryFact] = {}
    for fact in host.disk.load():
        match fact:
            case GenesisFact():
                genesis = fact
            case LogFact():
                state = fact
            case EntryFact(entry):
                entries[entry.version] = fact
            case _:
                pass
    if genesis is None or state is None:
        return ()
    final = [entries[version].entry for version in range(1, state.proof.version + 1)]
    return facts_of(genesis.genesis, final, state.proof)


def _final_changes(host: Host) -> set[bytes]:
    """Return the ids of the changes that a host's disk shows to be final."""
    return {fact.entry.change.id for fact in _final_chain(host) if isinstance(fact, EntryFact)}


def _members_at_start(
    facts: tuple[Fact, ...], key: NodeKey, *, real_signatures: bool
) -> MemberList:
    """Return the list of the cluster as it began; without facts, found one."""
    for fact in facts:
        if isinstance(fact, GenesisFact):
            return MemberList.of(fact.genesis, _signatures(key, real_signatures))
    return MemberList.found(
        _signatures(_CLUSTER_KEY, real_signatures),
        _signatures(key, real_signatures),
        name="simulated",
        founder_name="n0",
        created=MIDNIGHT_MS << 16,
        nonce=bytes(16),
    )


def _machine(program: Program) -> Machine:
    assert isinstance(program, Machine)
    return program


def _signatures(key: NodeKey, real: bool) -> _Signatures:
    return _RealSignatures(key) if real else CheapSignatures(key.public_key)
