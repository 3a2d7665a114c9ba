"""Why nothing is sealed, in words, from what a node knows."""

from __future__ import annotations

from dataclasses import replace

from buildnet.mesh.events import Status
from buildnet.mesh.service.view import MeshView, OfficeView
from buildnet.pool.advertisement import CLOSED, SET_BACK, Load
from buildnet.pool.membership import Words
from buildnet.pool.sealing import STALLED_S, Sealing, Waiting, sealing
from buildnet.pool.testing import NOON_S, member_view, mesh_view

ANNA, BERT, CARL = (name.encode() * 32 for name in "abc")
NOTHING = Waiting(41, "2026-11-21T11:59:00.000+00:00", 0, None)


def three(*away: bytes, quorum: bool = True) -> MeshView:
    members = [member_view(ANNA, "anna"), member_view(BERT, "bert"), member_view(CARL, "carl")]
    members = [
        replace(one, status=Status.DEAD, status_since=NOON_S - 300) if one.key in away else one
        for one in members
    ]
    return mesh_view(*members, me=ANNA, office=OfficeView(ANNA, 4, quorum, NOON_S - 200, ""))


def seen(
    view: MeshView,
    *silent: bytes,
    why: str = SET_BACK,
    silence: str | None = None,
    waiting: Waiting | None = NOTHING,
) -> Sealing:
    words = {key: Words(load=Load(silence=why)) for key in silent}
    return sealing(view, words, silence=silence, waiting=waiting)


def test_all_is_well_with_a_majority_that_takes_part() -> None:
    for found in (
        seen(three()),
        seen(three(CARL)),
        seen(three(), CARL),
        seen(three(), waiting=None),
    ):
        assert (found.text, found.view()["works"]) == (None, True)


def test_a_lost_majority_is_told_with_who_is_away_and_what_waits() -> None:
    found = seen(three(BERT, CARL, quorum=False), waiting=replace(NOTHING, unsealed=3))
    assert found.text == (
        "sealing stands still since 2026-11-21 11:56:40 UTC: no coordinator has a majority of the "
        "voters (2 of 3 needed; away: bert, carl); 3 entries wait, kept and provisional; start "
        "bert or carl, or repair the network; what waits is sealed by itself then, so nothing is "
        "to be repeated; if they are gone for good, an admin says who decides: buildnet node "
        "recover --new-voters NODE,NODE"
    )
    told = found.view()
    assert (told["since"], told["unsealed"]) == ("2026-11-21T11:56:40+00:00", 3)
    assert [one["state"] for one in told["voters"]] == ["here", "away", "away"]


def test_without_any_coordinator_it_is_told_since_when_too_many_were_away() -> None:
    view = replace(three(BERT, CARL), office=None)
    members = tuple(
        replace(one, status_since=NOON_S - 30) if one.key == CARL else one for one in view.members
    )
    assert seen(replace(view, members=members)).since == NOON_S - 30
    assert seen(replace(three(), office=None)).since is None  # an election is under way


def test_who_was_set_back_is_named_on_every_node() -> None:
    for found in (seen(three(), BERT, CARL), seen(three(), CARL, silence=SET_BACK)):
        assert found.text is not None
        assert "too few voters take part" in found.text
        assert "carl abstains: its ledger went back to an older state" in found.text
        assert found.text.endswith(
            "an admin says who decides: buildnet node recover --new-voters NODE,NODE"
        )


def test_one_set_back_and_one_away_wait_for_the_one_that_is_away() -> None:
    found = seen(three(BERT), CARL)
    assert (found.problem, found.hint) == (
        "too few voters take part (2 of 3 needed; away: bert; carl abstains: its ledger went back "
        "to an older state or was restored)",
        "start bert, or repair the network; what waits is sealed by itself then, so nothing is to "
        "be repeated; if they are gone for good, an admin says who decides: buildnet node recover "
        "--new-voters NODE,NODE",
    )


def test_ledgers_that_are_closed_are_to_be_repaired() -> None:
    found = seen(three(), BERT, CARL, why=CLOSED)
    assert found.hint is not None
    assert found.hint.startswith("repair bert and carl (buildnet node status there says how)")
    later = seen(three(), BERT, CARL, why="what a later version says")
    assert "bert abstains: what a later version says" in str(later.text)


def test_a_coordinator_whose_seals_do_not_come_is_told_after_a_while() -> None:
    waits = replace(NOTHING, unsealed=1, since=NOON_S - STALLED_S)
    found = seen(three(), waiting=waits)
    assert found.since == NOON_S - STALLED_S
    assert "the voters did not sign what was proposed" in str(found.text)
    assert "1 entry waits" in str(found.text)
    assert seen(three(), waiting=replace(waits, since=NOON_S - STALLED_S + 1)).text is None


def test_a_node_that_is_alone_or_no_member_is_told_nothing() -> None:
    alone = mesh_view(member_view(ANNA, "anna"), me=ANNA, office=None)
    assert seen(alone).text is None
    outside = mesh_view(member_view(BERT, "bert"), me=ANNA, office=None)
    assert seen(outside).text is None
