"""The desk: who makes which keys, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import OWNER, Caller, CallerKind
from buildnet.node.auth.desk import KeyDesk, Wish
from buildnet.node.auth.key_facts import KeyFact
from buildnet.node.auth.keys import Keys
from buildnet.node.auth.register_file import RegisterFile
from buildnet.node.auth.uses import Uses
from testbed.pool_keys import ADMIN, AGENT, BUILDER, MEMBERS, NOW, Clock

Answer = TypeVar("Answer")


class Office:
    """A desk whose records go nowhere but into its own register."""

    def __init__(self, directory: Path, key: NodeKey = ADMIN) -> None:
        self.clock, self.file, self.facts = Clock(), RegisterFile(directory), list[KeyFact]()
        self.uses = Uses()
        self.keys = Keys(
            lambda: MEMBERS,
            lambda: key.public_key,
            lambda: self.file.of(MEMBERS.cluster_id),
            self.clock,
        )
        self.desk = KeyDesk(
            lambda: MEMBERS,
            lambda: key,
            self.file,
            cast(Any, self),
            self.keys,
            self.uses,
            cast(Any, self),
            self.clock,
        )

    def tell(self, record: Any) -> None:
        assert self.file.of(MEMBERS.cluster_id).take(record, MEMBERS)

    async def keep(self, register: Any) -> None:
        await self.file.save(register)

    def put(self, fact: KeyFact) -> None:
        self.facts.append(fact)

    def make(self, name: str = "ci", asking: Caller = OWNER, **wish: Any) -> dict[str, Any]:
        wished = Wish(name, **{"rights": Rights.BUILDER, **wish})
        return done(self.desk.create(wished, asking, "anna"))

    def code(self, key: str) -> str:
        try:
            self.keys.key(key)
        except BuildNetError as error:
            return error.code
        return ""

    def agent(self, made: dict[str, Any]) -> Caller:
        key = self.keys.key(made["key"])
        return Caller(
            CallerKind.KEY, "agent:x", key.claims.rights, key.actions, credential=made["id"]
        )


def done(work: Awaitable[Answer]) -> Answer:
    async def wait() -> Answer:
        return await work

    return asyncio.run(wait())


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(BuildNetError) as caught:
        call()
    return caught.value.code


def test_a_key_is_shown_once_and_never_kept(tmp_path: Path) -> None:
    office = Office(tmp_path)
    made = office.make(scope=("node:second",), bound=AGENT.public_key.hex(), rate=5)
    assert made["scope"] == [f"node:{BUILDER.node_id}"]
    shown = office.desk.one("ci")
    assert (shown["status"], shown["made_by"], shown["rate"]) == ("valid", "anna", 5)
    assert made["key"] not in str(shown) + str(office.facts)
    (file,) = tmp_path.iterdir()
    assert made["key"][60:120].encode() not in file.read_bytes()
    assert [fact.kind for fact in office.facts] == ["key.created"]


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"name": "a b"}, "USAGE"),
        ({"name": ""}, "USAGE"),
        ({"name": "a\n"}, "USAGE"),
        ({"valid_s": 59.0}, "USAGE"),
        ({"valid_s": 400 * 86400.0}, "USAGE"),
        ({"valid_s": float("nan")}, "USAGE"),
        ({"rate": 0}, "USAGE"),
        ({"bound": "aa"}, "USAGE"),
        ({"bound": "00" * 32}, "USAGE"),
        ({"bound": "02" * 32}, "USAGE"),  # no point of the curve
        ({"bound": "01" + "00" * 31}, "USAGE"),  # anybody signs for it
        ({"bound": "ec" + "ff" * 30 + "7f"}, "USAGE"),
        ({"scope": ("team:x",)}, "USAGE"),
        ({"scope": ("node:third",)}, "NOT_FOUND"),
        ({"name": "ci"}, "KEY_EXISTS"),
    ],
)
def test_what_makes_no_key(tmp_path: Path, wish: dict[str, Any], code: str) -> None:
    office = Office(tmp_path)
    office.make()
    assert refusal(lambda: office.make(**{"name": "other", **wish})) == code


def test_only_the_node_of_an_admin_makes_and_revokes(tmp_path: Path) -> None:
    office = Office(tmp_path, BUILDER)
    assert refusal(office.make) == "NOT_ADMIN"
    assert refusal(lambda: done(office.desk.revoke("0" * 16, "", "anna"))) == "NOT_ADMIN"
    assert refusal(lambda: done(office.desk.rotate("ci", OWNER, "anna"))) == "NOT_ADMIN"


def test_nobody_makes_more_than_they_have(tmp_path: Path) -> None:
    office = Office(tmp_path)
    builder = Caller(CallerKind.KEY, "agent:b", Rights.BUILDER, credential="1" * 16)
    assert refusal(lambda: office.make("x", builder, rights=Rights.ADMIN)) == "NOT_ALLOWED"
    narrow = Caller(CallerKind.KEY, "n", Rights.ADMIN, frozenset({Action.MANAGE_ACCESS}))
    assert refusal(lambda: office.make("x", narrow)) == "NOT_ALLOWED"
    here = office.make("here", rights=Rights.ADMIN, scope=(f"node:{ADMIN.node_id}",))
    assert refusal(lambda: office.make("x", office.agent(here))) == "NOT_ALLOWED"


def test_with_the_key_of_an_agent_those_go_that_it_made_and_none_outlives_it(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path)
    parent = office.make("parent", rights=Rights.ADMIN, valid_s=3600.0)
    child = office.make("child", office.agent(parent), rights=Rights.ADMIN)
    assert child["expires_at"] == parent["expires_at"]
    grandchild = office.make("grandchild", office.agent(child))
    # somebody who logged in with a link that was made with the key
    linked = Caller(CallerKind.SESSION, "b", Rights.ADMIN, credential="s", linked_by=parent["id"])
    theirs = office.make("theirs", linked)
    assert theirs["expires_at"] == parent["expires_at"]
    assert {office.code(each["key"]) for each in (grandchild, theirs)} == {""}
    done(office.desk.revoke("parent", "leaked", "anna"))
    assert {office.code(each["key"]) for each in (parent, child, grandchild, theirs)} == {
        "KEY_REVOKED"
    }
    assert refusal(lambda: done(office.desk.rotate("child", OWNER, "anna"))) == "NOT_ALLOWED"


def test_a_key_made_anew_takes_the_place_of_all_before(tmp_path: Path) -> None:
    office = Office(tmp_path)
    keys = [office.make()["key"]]
    for _ in range(3):  # within one millisecond, too
        keys.append(done(office.desk.rotate("ci", OWNER, "anna"))["key"])
    assert [office.code(key) for key in keys] == [*["KEY_REVOKED"] * 3, ""]
    (listed,) = office.desk.all()
    assert listed["status"] == "valid"
    done(office.desk.revoke(listed["id"][:5], "", "anna"))
    assert office.code(keys[-1]) == "KEY_REVOKED"
    assert office.desk.one("ci")["revoked_by"] == "anna"
    assert (office.facts[-1].kind, office.facts[-1].value) == ("key.revoked", {"name": "ci"})
    office.make()  # the name is free again
    assert refusal(lambda: done(office.desk.rotate(listed["id"], OWNER, "a"))) == "NOT_ALLOWED"


def test_nothing_is_made_for_somebody_who_can_not_be_put_on_record(tmp_path: Path) -> None:
    office = Office(tmp_path)
    wish = Wish("ci", Rights.BUILDER)
    assert refusal(lambda: done(office.desk.create(wish, OWNER, "a\nb"))) == "USAGE"
    assert office.desk.all() == []


def test_a_key_that_is_not_known_here_is_revoked_by_its_whole_id(tmp_path: Path) -> None:
    office = Office(tmp_path)
    assert done(office.desk.revoke("f" * 16, "", "anna"))["id"] == "f" * 16
    assert refusal(lambda: done(office.desk.revoke("f" * 15, "", "anna"))) == "NOT_FOUND"


def test_what_was_revoked_is_on_the_disk_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office, synced = Office(tmp_path), list[Path]()
    office.make()
    monkeypatch.setattr("buildnet.node.auth.register_file.sync", synced.append)
    done(office.desk.revoke("ci", "", "anna"))
    assert synced == [tmp_path]


def test_a_revocation_that_is_not_taken_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(tmp_path)
    made = office.make()
    monkeypatch.setattr(office, "tell", lambda record: None)  # as between two clusters
    assert refusal(lambda: done(office.desk.revoke("ci", "", "anna"))) == "KEYS_KEPT"
    assert office.code(made["key"]) == ""
    assert [fact.kind for fact in office.facts] == ["key.created"]


def test_an_expired_key_says_so(tmp_path: Path) -> None:
    office = Office(tmp_path)
    made = office.make(valid_s=60.0)
    office.clock.now = (NOW + timedelta(seconds=61)).timestamp()
    assert office.code(made["key"]) == "KEY_EXPIRED"
    assert office.desk.one("ci")["status"] == "expired"


def test_uses_are_summed_up(tmp_path: Path) -> None:
    uses = Uses()
    assert uses.sums() is None
    for number in range(20):
        uses.count("k", "ci", f"192.0.2.{number}", 100.0 + number, number == 19)
    sums = uses.sums()
    assert sums is not None
    use = sums.uses["k"]
    assert (use.count, use.limited, use.first, use.last) == (19, 1, 100.0, 119.0)
    assert len(use.addresses) == 8
    assert uses.sums() is None
    assert uses.last_used("k") == 119.0
