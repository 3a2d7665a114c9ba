"""Each change of the member list is told in its own type and in words."""

from __future__ import annotations

import base64

import pytest
from tests.ledger.entries import CLUSTER, START, chain_of
from tests.mesh.member_changes import (
    BEN,
    CARA,
    DAN,
    EVE,
    FOUNDER,
    TOKEN,
    admit,
    after,
    put,
    said,
    team,
)
from tests.mesh.member_network import CLUSTER as CLUSTER_KEY
from tests.mesh.member_network import CheapSigner

from buildnet.ledger.chain import Tip
from buildnet.ledger.draft import next_body
from buildnet.ledger.entry import Entry
from buildnet.ledger.entry_types import TYPES, describe
from buildnet.ledger.member_entries import founding_draft, member_draft
from buildnet.ledger.membership import member_entry_of
from buildnet.mesh.members import changes
from buildnet.mesh.members.changes import (
    ChangeBody,
    CloseInvitation,
    Invite,
    Join,
    Leave,
    Recover,
    Remove,
    Rename,
    Revoke,
    Rotate,
    SetPriority,
    SetRights,
    SetVoters,
)
from buildnet.mesh.members.genesis import Genesis
from buildnet.mesh.wire import MAX_COUNTER

MEMBERS = team()
SIGNATURE = bytes(64)
TIP = Tip(1, b"h" * 32, 4)
TOLD: list[tuple[ChangeBody, CheapSigner, str, str, str]] = [
    (
        Invite(TOKEN.public_key, START, 2, "worker", "builder"),
        *(FOUNDER, "invitation", f"invitation:{TOKEN.public_key.hex()[:16]}"),
        "up to 2 nodes may join as worker, with the rights builder, until 2",
    ),
    (
        Invite(TOKEN.public_key, MAX_COUNTER, 1, "worker", "builder"),
        *(FOUNDER, "invitation", f"invitation:{TOKEN.public_key.hex()[:16]}"),
        "one node may join as worker, with the rights builder, until 6429-",
    ),
    (
        CloseInvitation(TOKEN.public_key),
        *(FOUNDER, "invitation", f"invitation:{TOKEN.public_key.hex()[:16]}"),
        "nobody joins by the invitation ",
    ),
    (
        Join("oak", "worker", TOKEN.public_key, SIGNATURE),
        *(DAN, "admitted", f"node:{DAN.public_key.hex()[:16]}", "oak ("),
    ),
    (admit(EVE), FOUNDER, "admitted", f"node:{EVE.public_key.hex()[:16]}", "node ("),
    (Leave(), BEN, "left", f"node:{BEN.public_key.hex()[:16]}", "node ("),
    (Remove(BEN.public_key), CARA, "removed", f"node:{BEN.public_key.hex()[:16]}", "node ("),
    (
        Revoke(BEN.public_key, "stolen"),
        *(CARA, "revoked", f"node:{BEN.public_key.hex()[:16]}", "nothing of node ("),
    ),
    (
        Rotate(DAN.public_key, SIGNATURE),
        *(BEN, "rotated", f"node:{DAN.public_key.hex()[:16]}", "node ("),
    ),
    (
        SetPriority(BEN.public_key, -3),
        *(CARA, "priority", f"node:{BEN.public_key.hex()[:16]}", "node ("),
    ),
    (
        SetRights(BEN.public_key, "admin"),
        *(CARA, "rights", f"node:{BEN.public_key.hex()[:16]}", "the owner of node ("),
    ),
    (
        SetVoters(BEN.public_key, None),
        *(FOUNDER, "voters", f"node:{BEN.public_key.hex()[:16]}", "node ("),
    ),
    (
        SetVoters(None, CARA.public_key),
        *(FOUNDER, "voters", f"node:{CARA.public_key.hex()[:16]}", "node ("),
    ),
    (
        Rename(BEN.public_key, "elm"),
        *(CARA, "renamed", f"node:{BEN.public_key.hex()[:16]}", "the node "),
    ),
    (
        Rename(None, "shop"),
        *(CARA, "renamed", f"cluster:{MEMBERS.cluster_id.hex()[:16]}", "the cluster is called"),
    ),
    (
        Recover(1, MEMBERS.head, BEN.public_key, (BEN.public_key,)),
        *(CLUSTER_KEY, "recovered", f"cluster:{MEMBERS.cluster_id.hex()[:16]}", "epoch 1 began at"),
    ),
]


def recorded(what: ChangeBody, who: CheapSigner) -> Entry:
    """The ledger's entry of a change that stands in the list already, if it can."""
    member = put(MEMBERS, said(MEMBERS, who, what))
    draft = member_draft(member, MEMBERS)
    body = next_body(CLUSTER, chain_of(FOUNDER), TIP, draft, clock=START)
    entry = Entry.sign(body, FOUNDER.sign)
    assert member_entry_of(entry) == member
    assert entry.body.request == member.hash
    assert entry.data["version"] == member.version
    return entry


def test_every_kind_of_change_is_tried() -> None:
    assert {type(what) for what, *_ in TOLD} == set(changes._numbers)


@pytest.mark.parametrize(("what", "who", "kind", "entity", "words"), TOLD)
def test_a_change_is_told(
    what: ChangeBody, who: CheapSigner, kind: str, entity: str, words: str
) -> None:
    entry = recorded(what, who)
    body, data = entry.body, entry.data
    assert body.type == f"member.{kind}"
    assert body.type in TYPES
    assert body.entity == entity
    assert data["change"].startswith(words)
    assert data.keys() <= TYPES[body.type].fields.keys()
    assert "unknown" not in describe(entry)
    assert body.actor.id == who.public_key.hex()[:16]
    assert body.actor.kind == ("system" if who is CLUSTER_KEY else "node")


def test_who_it_is_about_is_told_as_it_is_after_it() -> None:
    change = said(MEMBERS, CARA, SetRights(BEN.public_key, "admin"))
    entry = put(MEMBERS, change)
    draft = member_draft(entry, MEMBERS.apply(entry, None))
    told = {"key": BEN.public_key.hex(), "name": "node", "role": "worker", "rights": "admin"}
    assert draft.data["member"] == told
    assert draft.actor.name == "node"


def test_who_is_no_member_any_more_has_a_name_still() -> None:
    gone = after(MEMBERS, CARA, Remove(BEN.public_key))
    entry = put(MEMBERS, said(MEMBERS, CARA, Remove(BEN.public_key)))
    draft = member_draft(entry, gone)
    node = BEN.public_key.hex()[:16]
    assert draft.data["change"] == f"node ({node}) is no member any more"


def test_a_revocation_keeps_its_reason() -> None:
    assert recorded(Revoke(BEN.public_key, "stolen"), CARA).body.reason == "stolen"
    assert recorded(Remove(BEN.public_key), CARA).body.reason == ""


def test_how_the_cluster_began_is_told() -> None:
    draft = founding_draft(MEMBERS.genesis)
    assert draft.type in TYPES
    assert draft.data.keys() == TYPES[draft.type].fields.keys()
    assert draft.data["name"] == "team"
    assert Genesis.decode(base64.b64decode(draft.data["genesis"])) == MEMBERS.genesis
    assert draft.request == MEMBERS.cluster_id
