"""The ledger as JSON for people and programs. Field names are a contract."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from buildnet.ledger.entry import Chain
from buildnet.ledger.entry_view import entry_view, time_text
from buildnet.ledger.seal import Seal
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.ledger.store.entity_state import EntityState
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.service.view import MeshView

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

Json = dict[str, Any]


def seal_view(seal: Seal) -> Json:
    """Return one final seal."""
    value = seal.value
    return {
        "height": seal.height,
        "hash": seal.hash.hex(),
        "previous": value.previous.hex(),
        "time": time_text(value.hlc),
        "entries": value.count,
        "chains": len(value.advances),
        "root": value.root.hex(),
        "term": seal.record.term,
        "epoch": value.epoch,
        "members_version": value.members,
        "voters": [node_id_of(key) for key in value.voters],
        "signed_by": [node_id_of(one.voter) for one in seal.record.cosignatures],
    }


def state_view(state: EntityState, seal: Seal | None) -> Json:
    """Return what an entity was at a height, whose ``seal`` it is; None: before the first one."""
    return {
        "entity": state.entity,
        "height": state.height,
        "seal": None
        if seal is None
        else {
            "height": seal.height,
            "hash": seal.hash.hex(),
            "time": time_text(seal.value.hlc),
        },
        "entry": None if state.entry is None else entry_view(state.entry),
        "data": state.data,
        "pruned": state.pruned,
        "rows": {name: list(rows) for name, rows in state.rows.items() if rows},
    }


def sync_view(service: NodeService, ledger: ClusterLedger) -> Json:
    """Return how far each chain reaches here, and what peers told of theirs."""
    view, core = service.pool.view(), ledger.core
    last, holding = core.last, core.holding
    heads = core.heads
    reach = {chain: head.sequence for chain, head in heads.items()}
    chains = [
        {
            "origin": chain.origin.hex(),
            "node_id": node_id_of(chain.origin),
            "name": _name(view, chain.origin),
            "incarnation": chain.incarnation.hex(),
            "sequence": head.sequence,
            "hash": head.hash.hex(),
            "sealed": holding.reach.sequence(chain),
            "quarantined_from": holding.chains[chain].quarantined,
        }
        for chain, head in sorted(heads.items(), key=lambda item: item[0])
    ]
    trouble = ledger.trouble
    return {
        "node_id": view.node_id,
        "cluster": service.cluster,
        "height": 0 if last is None else last.height,
        "sealed_at": None if last is None else time_text(last.value.hlc),
        "entries": sum(reach.values()),
        "unsealed": sum(head.sequence - holding.reach.sequence(c) for c, head in heads.items()),
        "problem": service.ledger_problem if trouble is None else trouble.message,
        "sealing": service.pool.sealing().view(),
        "chains": chains,
        "peers": [
            _peer(ledger, view, member.key, reach)
            for member in view.members
            if member.key != view.me
        ],
    }


def _peer(ledger: ClusterLedger, view: MeshView, key: bytes, reach: Mapping[Chain, int]) -> Json:
    member = view.member(key)
    told = ledger.peers.get(key)
    age_s = None if told is None else round(time.monotonic() - told.heard_at, 1)
    core = ledger.core
    is_level = told is not None and told.sealed >= (core.last.height if core.last else 0)
    sealed = {chain: core.holding.reach.sequence(chain) for chain in reach} if is_level else {}
    return {
        "node_id": node_id_of(key),
        "name": _name(view, key),
        "linked": member is not None and member.linked,
        "height": None if told is None else told.sealed,
        "lacks": None if told is None else told.lacks(reach, sealed),
        "leads": None if told is None else told.leads(reach),
        "age_s": age_s,
    }


def _name(view: MeshView, key: bytes) -> str | None:
    member = view.member(key)
    return None if member is None else member.name
