"""Whether all nodes hold the same ledger: what must come true after the faults."""

from __future__ import annotations

from buildnet.ledger.accounts import Books, Posted
from buildnet.ledger.core import LedgerCore
from buildnet.ledger.entry import Chain
from buildnet.ledger.postings import CAPACITY, LEGS
from buildnet.ledger.seal import Seal, SealValue, majority_of
from buildnet.ledger.simulation.ledgers import Ledgers
from buildnet.ledger.simulation.program import LedgerMachine
from buildnet.ledger.simulation.watch import LedgerWatch
from buildnet.mesh.simulation.agreement import can_elect, members_running
from buildnet.mesh.simulation.host import Host
from buildnet.mesh.simulation.world import World

_AHEAD = 200 * 1000 << 16
_SHOWN = 5
"""Of so many lost entries is told which they are."""


def running_ledgers(world: World) -> list[tuple[Host, LedgerMachine]]:
    """Return the members that run."""
    return [
        (host, program)
        for host, program in members_running(world)
        if isinstance(program, LedgerMachine) and program.local.members.is_member(host.key)
    ]


def ledgers_disagree(world: World) -> str | None:
    """Return the first thing about which ledgers do not agree; None: all is well.

    The same entries everywhere, and where there is a quorum the same seals, over all that can be
    sealed. Of a chain with two branches, or of a revoked key, only what is sealed must be the same.
    """
    running = running_ledgers(world)
    if not running:
        return None
    first, one = running[0]
    heads = {chain: head for chain, head in one.ledger.heads.items() if _counts(one, chain)}
    for host, other in running[1:]:
        theirs = {
            chain: head for chain, head in other.ledger.heads.items() if _counts(other, chain)
        }
        if theirs != heads:
            chain = sorted(dict(set(theirs.items()) ^ set(heads.items())))[0]
            here, there = heads.get(chain), theirs.get(chain)
            owner = world.host_of(chain.origin)
            return (
                f"of a chain of {owner} {first} has {here and here.sequence}, "
                f"{host} has {there and there.sequence}"
            )
    assert isinstance(world.watch, LedgerWatch)
    if not _can_seal(world.watch, running):
        return None
    for host, other in running:
        if other.ledger.last is None:
            return f"{host} has no seal"
        if one.ledger.last is None or other.ledger.last.hash != one.ledger.last.hash:
            return f"{host} and {first} have other last seals"
        open_chain = _not_sealed(other)
        if open_chain is not None:
            return f"{host}: a chain of {world.host_of(open_chain.origin)} is not sealed"
        if not other.ledger.may_change_voters():
            return f"{host}: no seal names the newest voters"
    return _rotten(world, running)


def _can_seal(watch: LedgerWatch, running: list[tuple[Host, LedgerMachine]]) -> bool:
    """Tell whether a majority is there that votes: not who abstains, its disk having gone back.
    Of the newest voters, of those before whom no seal names yet, and of those that a value names
    which somebody accepted."""
    if not can_elect(running):
        return False
    vote = {host.key for host, program in running if not program.ledger.abstention.active}
    ledger = max((program.ledger for _, program in running), key=_height)
    voters, last = ledger.membership.voters, ledger.last
    for host, _ in running:
        accepted = watch.stores.store(host.key).image.accepted
        if accepted is not None and accepted.height > _height(ledger):
            named = SealValue.decode(accepted.value)
            if named.epoch == ledger.membership.epoch and not _is_majority(vote, named.voters):
                return False
    step = voters.required(None if last is None else last.value.members)
    while step is not None and _is_majority(vote, step.voters):
        if step.version == voters.newest.version:
            return True
        step = voters.required(step.version)
    return False


def _is_majority(keys: set[bytes], voters: tuple[bytes, ...]) -> bool:
    return len(keys & set(voters)) >= majority_of(voters)


def _height(ledger: LedgerCore) -> int:
    return 0 if ledger.last is None else ledger.last.height


def _rotten(world: World, running: list[tuple[Host, LedgerMachine]]) -> str | None:
    """Return who has still not repaired what somebody else has."""
    assert isinstance(world.watch, LedgerWatch)
    images = {host: world.watch.stores.store(host.key).image for host, _ in running}
    for host, image in images.items():
        others = [other for other in images.values() if other is not image]
        for chain, sequence in sorted(image.rotten):
            place = (chain, sequence)
            if any(
                sequence in one.entries.get(chain, {}) and place not in one.rotten for one in others
            ):
                return f"{host}: {sequence} of a chain of {world.host_of(chain.origin)} is rotten"
        for height in sorted(image.rotten_seals):
            if any(height in one.seals and height not in one.rotten_seals for one in others):
                return f"{host}: seal {height} is rotten"
    return None


def look_at_the_end(world: World, watch: LedgerWatch, ledgers: Ledgers) -> None:
    """Check what was acknowledged, and that what is on disk is what is in memory."""
    running = running_ledgers(world)
    quorum = _can_seal(watch, running)
    rows: dict[int, tuple[Host, bytes]] = {}
    for host, program in running:
        store = ledgers.store(host.key)
        for height, (record, _) in store.image.seals.items() if quorum else ():
            first, other = rows.setdefault(height, (host, Seal.decode(record).hash))
            if other != Seal.decode(record).hash:
                watch.violated("two rows of seals", f"{height} at {host} and {first}")
        _look_at_accounts(watch, ledgers, host, program)
        _look_at_requests(watch, ledgers, host)
        again = LedgerCore(program.local, program.log, store.restored())
        live = program.ledger
        if again.frontier.digest() != live.holding.reach.digest_after(()):
            watch.violated("replay differs", f"frontier of {host}")
        if again.heads != live.heads or again.last != live.last:
            watch.violated("replay differs", f"heads of {host}")
    if quorum:
        _look_at_acknowledged(world, watch, running)


def _look_at_acknowledged(
    world: World, watch: LedgerWatch, running: list[tuple[Host, LedgerMachine]]
) -> None:
    """Check that what was called sealed is sealed, everywhere.

    Most voters of a recovery may be lost for good before any old one heard of it: a majority is
    gone, and what it sealed is with it. Those who come back then go on in their own epoch. So what
    was told in an epoch that nobody who runs has heard of counts only where most of its voters run.

    Who lacks the newest seals has lost nothing: that it does not get them is told by itself.
    """
    keys = {host.key for host, _ in running}
    known = max(program.local.members.epoch for _, program in running)
    expected = {
        place: told
        for epoch, by_place in watch.acknowledged.items()
        for place, told in by_place.items()
        if epoch == known or (epoch > known and _is_majority(keys, told.voters))
    }
    lost: list[str] = []
    top = max(_height(program.ledger) for _, program in running)
    for host, program in running:
        sealed = watch.stores.store(host.key).sealed_places()
        is_behind = _height(program.ledger) < top
        lost += [
            f"{world.host_of(place[0].origin)} {place[1]} at {host}"
            for place, told in expected.items()
            if sealed.get(place) != told.hash and not (is_behind and place not in sealed)
        ]
    if lost:
        shown = ", ".join(lost[:_SHOWN])
        watch.violated("acknowledged entries are lost", f"{len(lost)}: {shown}")


def _look_at_accounts(
    watch: LedgerWatch, ledgers: Ledgers, host: Host, program: LedgerMachine
) -> None:
    """Post what is sealed, in its order: no place gives out more than it has, nothing is lost."""
    books, store = Books(), ledgers.store(host.key)
    for old, was in program.local.members.former.items():
        if was.successor is not None:
            books.rotated(old, was.successor)
    for _, (_, order) in sorted(store.image.seals.items()):
        for place in order:
            entry = store.entry(*place)
            assert entry is not None, "a sealed entry is missing"
            _look_at_posted(watch, books, books.apply(entry), f"{place[1]} at {host}")


def _look_at_posted(watch: LedgerWatch, books: Books, posted: Posted, where: str) -> None:
    for name in posted.accounts:
        place, _, leg = name.rpartition("/")
        held = {one: books.balance(f"{place}/{one}", "cores") for one in LEGS}
        if sum(held.values()) != 0:
            watch.violated("debits and credits differ", f"{place} at entry {where}")
        if leg != CAPACITY and held[leg] < 0:
            watch.violated("an account is below zero", f"{name} at entry {where}")


def _look_at_requests(watch: LedgerWatch, ledgers: Ledgers, host: Host) -> None:
    seen: set[tuple[bytes, bytes]] = set()
    image = ledgers.store(host.key).image
    for chain, rows in image.entries.items():
        for sequence in rows:
            entry = ledgers.store(host.key).entry(chain, sequence)
            assert entry is not None
            request = (chain.origin, entry.body.request)
            if entry.body.request and request in seen and chain.origin not in ledgers.restored:
                watch.violated("a request appended twice", f"{sequence} at {host}")
            seen.add(request)


def _counts(program: LedgerMachine, chain: Chain) -> bool:
    held = program.ledger.holding.chains[chain]
    members = program.local.members
    if chain.origin in members.revoked or chain in program.ledger.holding.closed:
        return False
    if chain.origin not in members.members and chain.origin not in members.former:
        return False  # a recovery forgot that it was let in: what it wrote is nobody's any more
    return held.quarantined is None


def _not_sealed(program: LedgerMachine) -> Chain | None:
    """Return a chain that could be sealed further."""
    holding = program.ledger.holding
    latest = program.local.clock.now() + _AHEAD
    for chain in holding.open_chains():
        held = holding.chains[chain]
        if not _counts(program, chain):
            continue
        if held.tail.reach(latest, len(held.tail)) > held.tail.after:
            return chain
    return None
