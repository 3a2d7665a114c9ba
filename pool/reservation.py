"""What a build takes of other nodes before it begins: all that its configuration asks for, or none.

Pure. A configuration's cores are so many commands at once: those of named nodes on these, what is
left over on any others. Memory of a node whose cores it does not name is for one command at a time,
which may ask for all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from buildnet.pool.demand import Want
from buildnet.pool.leases import Amount
from buildnet.pool.placement import ONE_SLOT, Host, Needs, Preferences, objection
from buildnet.pool.quantity import bytes_text

_NAMED_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class Reservation:
    """``wants``: what is to be had of other nodes, at once; ``lacking``: what can't be had now
    whatever others do, in words, and who could give it."""

    wants: tuple[Want, ...] = ()
    lacking: tuple[str, ...] = ()

    def is_had(self, leases: Iterable[tuple[bytes, Amount]]) -> bool:
        """Tell whether leases, by owner, are all that is wanted."""
        left = list(leases)
        for want in self.wants:
            fitting = [each for each in left if each[0] in want.owners and each[1] == want.amount]
            if len(fitting) < want.at_least:
                return False
            for each in fitting[: want.at_least]:
                left.remove(each)
        return True


def reservation_of(
    preferences: Preferences, cores: int, home: int, hosts: Sequence[Host]
) -> Reservation:
    """Return what is to be reserved. ``cores``: in all, 0: no more than those of named nodes;
    ``home``: what the driver has of them; ``hosts``: other nodes that there are now."""
    wants: list[Want] = []
    lacking: list[str] = []
    given = home
    named: set[bytes] = set()
    for name, wanted in preferences.cores.items():
        host = next((each for each in hosts if each.is_called(name)), None)
        count = wanted or (host.slots if host is not None else None) or 1
        given += count
        amount = ONE_SLOT if host is None else preferences.amount_on(host, ONE_SLOT)
        why = _why_not(host, count, amount, preferences)
        if host is not None:
            named.add(host.key)
        if why is None and host is not None:
            wants.append(Want(amount, count, (host.key,), at_least=count))
        else:
            others = [each for each in hosts if each is not host]
            lacking.append(f"{count} cores on {name}: {why}{_who_could(others, count)}")
    for name, memory_bytes in preferences.memory.items():
        host = next((each for each in hosts if each.is_called(name)), None)
        if name in preferences.cores or not (host is None or preferences.lends_memory_only(host)):
            continue
        amount = Amount(1, memory_bytes)
        why = _why_not(host, 1, amount, preferences)
        if why is None and host is not None:
            wants.append(Want(amount, 1, (host.key,), at_least=1))
        elif preferences.only_named:
            lacking.append(f"{bytes_text(memory_bytes)} of memory on {name}: {why}")
    if (rest := cores - given) > 0:
        fit = [
            each
            for each in hosts
            if each.key not in named and objection(each, Needs(), preferences) is None
        ]
        there = sum(each.slots or 0 for each in fit)
        if there >= rest:
            owners = tuple(each.key for each in fit)
            wants.append(Want(ONE_SLOT, rest, owners, at_least=rest))
        else:
            lacking.append(f"{rest} cores besides those here, of {there} that others have")
    return Reservation(tuple(wants), tuple(lacking))


def _why_not(host: Host | None, count: int, amount: Amount, preferences: Preferences) -> str | None:
    if host is None:
        return "it has no link with this node now"
    why = objection(host, Needs(amount), preferences)
    if why is None and host.slots is not None and count > host.slots:
        return f"it runs {host.slots} commands at once"
    return why


def _who_could(hosts: Sequence[Host], count: int) -> str:
    """Tell who has so many cores instead."""
    could = [
        each.name
        for each in hosts
        if objection(each, Needs()) is None and (each.slots or 0) >= count
    ]
    return f" ({', '.join(sorted(could)[:_NAMED_AT_MOST])} could)" if could else ""
