"""Every type that BuildNet writes goes through the derived tables, and fills those it is about."""

from __future__ import annotations

from typing import Any

import pytest
from tests.ledger.entries import ANN, BOB, CLUSTER, entry
from tests.ledger.store_making import fact
from tests.mesh.member_changes import BEN, CARA, DAN, FOUNDER, admit, put, said, team
from tests.mesh.member_network import CheapSigner

from buildnet.ledger.chain import Tip
from buildnet.ledger.draft import EntryDraft, next_body
from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.entry_types import TYPES
from buildnet.ledger.member_entries import founding_draft, member_draft
from buildnet.ledger.store.folding import Fold, row_of
from buildnet.ledger.store.tables import TABLES
from buildnet.ledger.store.vault import Vault
from buildnet.mesh.members.changes import (
    ChangeBody,
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
from buildnet.mesh.members.member_list import MemberList

TIP = Tip(1, b"h" * 32, 4)
NODE = ANN.public_key.hex()[:16]
Rows = dict[str, list[dict[str, object]]]


def folded(*entries: Entry, sealed: bool = True) -> Rows:
    """The derived rows of entries that are sealed in their order."""
    fold = Fold.in_memory(lambda _: {ANN.public_key, FOUNDER.public_key})
    for place, one in enumerate(entries, 4096):
        fold.apply(one, place if sealed else None)
    fold.flush()
    found: Rows = {}
    for table in TABLES:
        stored = fold._connection.execute(f"SELECT {table.stored} FROM {table.name} ORDER BY 1, 2")
        rows = [row_of(table, row, Vault()) for row in stored.fetchall()]
        if rows:
            found[table.name] = [row.values for row in rows if not row.gone]
    return found


def told(
    type: str, data: dict[str, Any], entity: str = "", *, who: CheapSigner = ANN, hlc: int = 9
) -> Entry:
    return entry(who, after=TIP, type=type, data=data, entity=entity, hlc=hlc)


def of_draft(draft: EntryDraft, *, cluster: bytes = CLUSTER, clock: int = 9) -> Entry:
    body = next_body(cluster, Chain(FOUNDER.public_key, bytes(8)), TIP, draft, clock=clock)
    return Entry.sign(body, FOUNDER.sign)


def recorded(members: MemberList, who: CheapSigner, what: ChangeBody) -> tuple[Entry, MemberList]:
    """The ledger's entry of a change, and the list after it."""
    member = put(members, said(members, who, what))
    after = members.apply(member, None)
    return of_draft(member_draft(member, after)), after


TEAM = team()
BEN_ID, DAN_ID = BEN.public_key.hex()[:16], DAN.public_key.hex()[:16]
MEMBERS: dict[str, ChangeBody] = {
    "admitted": admit(DAN),
    "left": Leave(),
    "removed": Remove(BEN.public_key),
    "revoked": Revoke(BEN.public_key, ""),
    "rotated": Rotate(DAN.public_key, bytes(64)),
    "priority": SetPriority(BEN.public_key, 1),
    "rights": SetRights(BEN.public_key, "observer"),
    "voters": SetVoters(BEN.public_key, None),
    "renamed": Rename(BEN.public_key, "elm"),
    "recovered": Recover(1, TEAM.head, BEN.public_key, (BEN.public_key,)),
    "invitation": Invite(DAN.public_key, 9, 1, "worker", "builder"),
}
PACKAGES = [
    {
        "name": "core",
        "status": "built",
        "started_at": 1,
        "completed_at": 3,
        "duration_ms": 2,
        "node": NODE,
        "error": None,
    }
]
GRANT = {
    "id": "lease",
    "build": "7",
    "type": "cpu",
    "amount": {"cores": 2},
    "expires_at": 99,
}
OF_BUILD, OF_NODE = ("build:7", ("builds",)), (f"node:{NODE}", ("nodes",))
EXAMPLES: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "node.joined": (
        {"node_id": NODE, "name": "oak", "role": "worker"},
        *OF_NODE,
    ),
    "node.left": ({"node_id": NODE, "reason": "moved"}, *OF_NODE),
    "node.started": ({"version": "1", "name": "oak"}, *OF_NODE),
    "node.stopped": ({"reason": "asked"}, *OF_NODE),
    "node.resources": (
        {"resources": {"cpu": {"cores": 4}, "tools": [{"name": "git"}]}},
        *(f"node:{NODE}", ("nodes", "node_resources")),
    ),
    "resources.offered": (
        {"offers": [{"resource": "cpu", "unit": "cores", "amount": 4}]},
        *("", ("node_resources",)),
    ),
    "resources.allocated": ({"allocations": [GRANT], "term": 3}, "build:7", ("allocations",)),
    "resources.released": (
        {"allocations": [GRANT], "reason": "done"},
        *("build:7", ("allocations",)),
    ),
    "benchmark.completed": (
        {"type": "cpu", "results": {"single_ops_s": 9}},
        *(f"node:{NODE}", ("benchmarks", "node_resources")),
    ),
    "build.queued": (
        {"config_id": None, "packages": ["core"], "term": 1},
        *("build:7", ("builds", "build_packages")),
    ),
    "build.started": (
        {"config_id": "config:a", "packages": ["core"], "resources": {}, "term": 1},
        *("build:7", ("builds", "build_packages")),
    ),
    "build.completed": (
        {"duration_ms": 2, "artifacts": ["x"], "packages": PACKAGES, "root": "aa", "metrics": {}},
        *("build:7", ("builds", "build_packages")),
    ),
    "build.failed": (
        {"error": "no", "duration_ms": 2, "packages": PACKAGES, "root": "aa", "metrics": {}},
        *("build:7", ("builds", "build_packages")),
    ),
    "build.cancelled": (
        {"reason": "late", "duration_ms": 2, "packages": PACKAGES},
        *("build:7", ("builds", "build_packages")),
    ),
    "build.taken_over": ({"term": 2, "before": 1}, *OF_BUILD),
    **{
        f"{kind}.{what}": (fact({"name": "a", "rights": "admin"}), f"{kind}:a", ("facts", table))
        for kind, table in (
            ("config", "configurations"),
            ("template", "configurations"),
            ("profile", "configurations"),
            ("key", "api_keys"),
            ("rights", "rights"),
        )
        for what in ("created", "modified", "granted")
        if f"{kind}.{what}" in TYPES
    },
    "config.deleted": (fact(None), "config:a", ("facts", "configurations")),
    "template.deleted": (fact(None), "template:a", ("facts", "configurations")),
    "profile.deleted": (fact(None), "profile:a", ("facts", "configurations")),
    "key.revoked": (fact(None), "key:a", ("facts", "api_keys")),
    "rights.withdrawn": (fact(None), "rights:a", ("facts", "rights")),
    "session.opened": ({"kind": "user", "address": "::1"}, "session:s", ("sessions",)),
    "session.closed": ({"reason": "asked"}, "session:s", ("sessions",)),
    "session.expired": ({}, "session:s", ("sessions",)),
    "session.kicked": ({"whose": "anna", "reason": "asked"}, "session:s", ("sessions",)),
}


def example(name: str) -> tuple[Entry, tuple[str, ...]]:
    """An entry of a type with all that its data holds, and the tables that it is about."""
    if name == "cluster.founded":
        return of_draft(founding_draft(TEAM.genesis), cluster=TEAM.cluster_id), ("nodes",)
    kind, _, what = name.partition(".")
    if kind == "member":
        who = CARA if what in ("admitted", "removed", "revoked", "rights", "renamed") else BEN
        member = put(TEAM, said(TEAM, who, MEMBERS[what]))
        made = of_draft(member_draft(member, TEAM))
        return made, () if what in ("priority", "voters", "invitation") else ("nodes",)
    data, entity, tables = EXAMPLES.get(name, ({}, "", ()))
    assert data.keys() <= TYPES[name].fields.keys()
    return told(name, {**dict.fromkeys(TYPES[name].fields, "x"), **data}, entity), tables


@pytest.mark.parametrize("name", TYPES)
def test_every_type_fills_the_tables_that_it_is_about(name: str) -> None:
    made, tables = example(name)
    assert made.body.type == name
    assert set(folded(made)) == set(tables)


@pytest.mark.parametrize("name", TYPES)
def test_data_of_another_form_is_passed_over(name: str) -> None:
    entity = example(name)[0].body.entity
    for other in (None, 1, "x", [1], {"a": [1]}, ["x", {"name": 1}], -(2**63), 1e300):
        data = dict.fromkeys(TYPES[name].fields, other)
        folded(told(name, data, entity), told(name, data))


def test_what_a_build_says_of_its_packages_is_kept() -> None:
    made = [
        told(f"build.{what}", EXAMPLES[f"build.{what}"][0], "build:7", hlc=at)
        for at, what in enumerate(("queued", "started", "completed"), 9)
    ]
    rows = folded(*made)
    assert folded(*made[::-1]) == rows
    (package,) = rows["build_packages"]
    assert package == {
        **{"build_id": "7", "package_name": "core", "status": "built", "started_at": 1},
        **{"completed_at": 3, "duration_ms": 2, "assigned_node": NODE},
        **{"output": None, "error": None},
    }
    (build,) = rows["builds"]
    assert (build["status"], build["config_id"], build["root"]) == ("completed", "config:a", "aa")


def test_an_allocation_is_of_the_node_that_grants_it() -> None:
    rows = folded(*(example(f"resources.{what}")[0] for what in ("allocated", "released")))
    (row,) = rows["allocations"]
    assert (row["build_id"], row["resource_type"], row["amount"]) == ("7", "cpu", '{"cores":2}')
    assert (row["node_id"], row["expires_at"]) == (NODE, 99)
    assert row["released_at"] is not None


@pytest.mark.parametrize("name", ["node.stopped", "node.resources", "benchmark.completed"])
def test_nobody_speaks_for_another_node(name: str) -> None:
    data, entity, _ = EXAMPLES[name]
    assert folded(told(name, data, entity, who=BOB)) == {}


def test_members_come_and_go() -> None:
    members, entries = TEAM, []
    for who, what in (
        (CARA, admit(DAN)),
        (CARA, Rename(DAN.public_key, "elm")),
        (CARA, SetRights(DAN.public_key, "observer")),
        (CARA, Remove(BEN.public_key)),
        (DAN, Leave()),
    ):
        made, members = recorded(members, who, what)
        entries.append(made)
    first = of_draft(founding_draft(TEAM.genesis), cluster=TEAM.cluster_id)
    rows = folded(first, *entries)
    assert folded(*entries[::-1], first) == rows
    by_id = {row["id"]: row for row in rows["nodes"]}
    dan, founder = by_id[DAN_ID], by_id[FOUNDER.public_key.hex()[:16]]
    assert (dan["name"], dan["role"], dan["rights"]) == ("elm", "worker", "observer")
    assert (dan["membership"], dan["public_key"]) == ("left", DAN.public_key.hex())
    assert by_id[BEN_ID]["membership"] == "removed"
    assert (founder["name"], founder["rights"], founder["membership"]) == ("a", "admin", "member")


def test_who_joined_or_goes_on_under_another_key_has_what_the_list_says() -> None:
    join = Join("oak", "observer", CARA.public_key, bytes(64))
    for what, who in ((join, DAN), (Rotate(DAN.public_key, bytes(64)), BEN)):
        member = put(TEAM, said(TEAM, who, what))
        draft = member_draft(member, TEAM)
        rights = {"key": DAN.public_key.hex(), "name": "n", "role": "worker", "rights": "builder"}
        made = of_draft(EntryDraft(draft.type, draft.actor, data={**draft.data, "member": rights}))
        by_id = {row["id"]: row for row in folded(made)["nodes"]}
        found = by_id[DAN_ID]
        assert (found["membership"], found["rights"]) == ("member", "builder")
        if what is join:
            assert (found["name"], found["role"]) == ("oak", "observer")
        else:
            assert (found["name"], by_id[BEN_ID]["membership"]) == ("n", "rotated")


def test_what_a_node_calls_itself_counts_until_the_list_names_it() -> None:
    def started(who: CheapSigner) -> Entry:
        return told("node.started", {"name": "own", "role": "observer"}, who=who)

    made, _ = recorded(TEAM, CARA, admit(DAN))
    assert folded(started(DAN))["nodes"][0]["name"] == "own"
    for order in ((made, started(DAN)), (started(DAN), made)):
        (row,) = folded(*order)["nodes"]
        assert (row["name"], row["role"], row["status"]) == ("node", "worker", "online")


def test_members_and_facts_count_once_sealed_and_a_genesis_proves_itself() -> None:
    for name in ("member.admitted", "config.created", "rights.granted"):
        assert folded(example(name)[0], sealed=False) == {}
    founded = example("cluster.founded")[0]
    assert folded(founded, sealed=False) == folded(founded)
    forged = told("cluster.founded", founded.data)
    assert forged.body.cluster != TEAM.cluster_id
    assert folded(forged) == {}
