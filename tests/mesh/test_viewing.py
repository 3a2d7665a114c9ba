"""What a node says of the quorum: who decides now, whom it hears."""

from __future__ import annotations

import random

from tests.mesh.member_changes import team

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.events import LinkState, Office, Status
from buildnet.mesh.local import Local
from buildnet.mesh.service.viewing import heard_members, office_summary
from buildnet.mesh.testing import CheapSignatures, ManualClock, key_number

ME, ANN, BOB = (key_number(number).public_key for number in (1, 2, 3))
NOW = 100.0


def heard(office: Office | None, *, silent: bytes | None = None) -> set[bytes]:
    """Whom this node hears: it has links to all, and believes all alive."""
    clock = HybridClock(ManualClock())
    local = Local(ME, 1, CheapSignatures(ME), random.Random(1), clock, team())
    local.office = office
    for peer in (ANN, BOB):
        local.links[peer] = LinkState(outgoing=True, since=0.0)
        local.status[peer] = Status.ALIVE
    at = {ANN: NOW - 0.2, BOB: NOW - 0.2}
    if silent is not None:
        at[silent] = NOW - 2
    return heard_members(local, at.get, NOW)


def office(coordinator: bytes, *, quorum: bool) -> Office:
    return Office(coordinator, 1, True, quorum, (ME, ANN, BOB))


def test_coordinator_counts_whom_it_hears_now() -> None:
    assert heard(office(ME, quorum=True)) == {ME, ANN, BOB}
    assert heard(office(ME, quorum=False), silent=BOB) == {ME, ANN}


def test_follower_does_not_count_a_coordinator_that_it_does_not_hear() -> None:
    assert heard(office(ANN, quorum=True)) == {ME, ANN, BOB}
    assert heard(office(ANN, quorum=False), silent=ANN) == {ME, BOB}
    assert heard(None) == {ME, ANN, BOB}


def test_a_change_of_voters_that_is_not_final_is_told() -> None:
    said = office_summary(False, 2, 4, 43200.0, ["n1", "n3", "n4", "n5"])
    assert said == (
        "provisional, 2 of 4 voters reachable since 1970-01-01 12:00:00 UTC; "
        "a change of voters to n1, n3, n4, n5 is not final yet"
    )
    assert office_summary(True, 3, 3, 0.0, []) == "quorum, 3 of 3 voters reachable"
