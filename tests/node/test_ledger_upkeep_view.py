"""What is said of a ledger's file that is damaged."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from tests.ledger.entries import ANN, BOB, chain_of

from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.node.ledger_upkeep_view import damage_text


@pytest.mark.parametrize(
    ("others", "said"),
    [(True, "waits for a peer that has it whole: entry 3"), (False, "maybe a backup does")],
)
def test_who_may_have_what_is_damaged_is_told(others: bool, said: str) -> None:
    keys = (ANN.public_key, BOB.public_key)
    members = SimpleNamespace(members=keys, is_member=lambda key: key == ANN.public_key or others)
    ledger = SimpleNamespace(
        key=ANN.public_key,
        core=SimpleNamespace(lost={chain_of(ANN): (3, 3)}),
        upkeep=SimpleNamespace(damaged_seals=()),
        cluster=SimpleNamespace(local=SimpleNamespace(members=members)),
    )
    told = damage_text(cast(ClusterLedger, ledger))
    assert told is not None
    assert said in told
