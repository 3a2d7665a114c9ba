"""How the ledger's file is, as JSON. Field names are a contract."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from buildnet.ledger.entry_view import time_text
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.ledger.service.damage import Damage, last_damage
from buildnet.ledger.service.service import LedgerService
from buildnet.ledger.store.database import read_setting
from buildnet.ledger.store.pruning import pruned_to
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.scrubbing import Pass, last_pass
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.identity import node_id_of
from buildnet.pool.advertisement import CLOSED, NOT_WRITTEN, SET_BACK
from buildnet.pool.sealing import Sealing, Waiting

Json = dict[str, Any]
_SHOWN = 3


async def store_view(ledger: ClusterLedger, sealing: Sealing) -> Json:
    """Return how the file of a ledger is.

    Raises:
        LedgerError: it can't be read.
    """
    store, upkeep = ledger.store, ledger.upkeep
    last, encrypted, damage = await store.read(_read)
    return {
        "file": str(store.path),
        "bytes": await asyncio.to_thread(_size, store.path),
        "encrypted": encrypted,
        "retention_s": upkeep.settings.retention_s,
        "pruned": await pruned_view(store),
        "scrub": {
            "interval_s": upkeep.settings.scrub_s,
            "running": upkeep.scrubber.running,
            "checked": upkeep.scrubber.checked if upkeep.scrubber.running else None,
            "last": None if last is None else _pass_view(last),
            "damaged_seals": list(upkeep.damaged_seals),
        },
        "damage": None if damage is None else _damage_view(damage, ledger),
        "voting": voting_view(ledger),
        "sealing": sealing.view(),
    }


async def pruned_view(store: LedgerStore) -> Json | None:
    """Return up to where entries were pruned on this node; None: none were.

    Raises:
        LedgerError: the file can't be read.
    """
    height = await store.read(pruned_to)
    sealed = await store.seals(height, max_count=1) if height else ()
    if not sealed:
        return None
    return {"height": height, "until": milliseconds_text(milliseconds_of(sealed[0].value.hlc))}


def voting_view(ledger: ClusterLedger) -> Json:
    """Return whether a node takes part as a voter. ``until``: the height that has to be final here
    first; null: ``unheard``, ids of nodes, have to be heard before that is known."""
    core = ledger.core
    abstention = core.abstention
    newest = core.membership.voters.newest.voters
    return {
        "voter": ledger.key in newest,
        "abstains": abstention.active,
        "until": abstention.until if abstention.active else None,
        "unheard": [node_id_of(key) for key in abstention.missing] if abstention.active else [],
    }


def abstention_text(ledger: ClusterLedger) -> str | None:
    """Say that a node does not vote, and until when; None: it does, or is no voter."""
    told = voting_view(ledger)
    if not (told["voter"] and told["abstains"]):
        return None
    last = ledger.core.last
    height = 0 if last is None else last.height
    what = "the ledger went back to an older state, so this node seals nothing until "
    if told["until"] is None:
        return what + f"it heard {', '.join(told['unheard'])}"
    return what + f"the others have sealed up to height {told['until']} (now {height})"


def silence_of(service: LedgerService) -> str | None:
    """Return why a node takes no part as a voter, as it tells the others; None: it does, or is no
    voter."""
    ledger = service.open_now
    if ledger is None:
        return None if service.problem is None else CLOSED
    told = voting_view(ledger)
    if not told["voter"]:
        return None
    if ledger.trouble is not None or ledger.keeper.left_out is not None:
        return NOT_WRITTEN
    return SET_BACK if told["abstains"] else None


def waiting_of(ledger: ClusterLedger, now: float) -> Waiting:
    """Return what waits for seals on a node. ``now``: unix seconds."""
    core, waits_s = ledger.core, ledger.standing.waits_s
    last, holding = core.last, core.holding
    return Waiting(
        0 if last is None else last.height,
        None if last is None else time_text(last.value.hlc),
        sum(
            holding.sequence(chain) - holding.reach.sequence(chain)
            for chain in holding.open_chains()
        ),
        None if waits_s is None else now - waits_s,
    )


def left_out_text(ledger: ClusterLedger) -> str | None:
    """Say what could not be written for ever; None: nothing was left out."""
    why = ledger.keeper.left_out
    if why is None:
        return None
    return (
        f"something was not written to the ledger, and this node seals nothing any more: {why} "
        "(restart the node: it fetches from its peers what it lacks; please report it)"
    )


def damage_text(ledger: ClusterLedger) -> str | None:
    """Say what is damaged and waits for a peer that has it; None: nothing is known to be."""
    parts = [
        f"entries {first} to {last} of the chain {chain.incarnation.hex()}"
        if first != last
        else f"entry {first} of the chain {chain.incarnation.hex()}"
        for chain, (first, last) in sorted(ledger.core.lost.items())
    ]
    seals = ", ".join(str(height) for height in ledger.upkeep.damaged_seals)
    parts += [f"the seals of height {seals}"] if seals else []
    if not parts:
        return None
    shown = "; ".join(parts[:_SHOWN]) + ("; …" if len(parts) > _SHOWN else "")
    members = ledger.cluster.local.members
    if any(members.is_member(key) for key in members.members if key != ledger.key):
        return f"the ledger's file is damaged and waits for a peer that has it whole: {shown}"
    return (
        f"the ledger's file is damaged: {shown}; there is no other node that has it whole, maybe a "
        "backup does: buildnet ledger restore FILE"
    )


def _pass_view(last: Pass) -> Json:
    found = asdict(last)
    finished_ms = found.pop("finished_ms")
    age_s = round(max(0.0, time.time() - finished_ms / 1000), 1)
    return {"finished_at": milliseconds_text(finished_ms), "age_s": age_s, **found}


def _damage_view(damage: Damage, ledger: ClusterLedger) -> Json:
    age_s = round(max(0.0, time.time() - damage.found_ms / 1000), 1)
    came = ledger.upkeep.damage.is_awaited and damage_text(ledger) is None
    return {
        "found_at": milliseconds_text(damage.found_ms),
        "age_s": age_s,
        "by": damage.by,
        "problems": damage.problems,
        "mended": damage.mended or came,
    }


def _read(reader: Reader) -> tuple[Pass | None, bool, Damage | None]:
    encrypted = bool(read_setting(reader.connection, reader.path, "vault"))
    return last_pass(reader), encrypted, last_damage(reader)


def _size(path: Path) -> int:
    """Return the bytes of a file and its write-ahead log."""
    both = (path, path.with_name(path.name + "-wal"))
    return sum(one.stat().st_size for one in both if one.exists())


def milliseconds_text(moment_ms: int) -> str:
    """Return a moment, ISO 8601."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds")
