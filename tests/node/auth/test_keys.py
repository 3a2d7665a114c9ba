"""Keys: which count, which do not, and how soon not any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.member_list import Ending, Former, Revocation, Rights
from buildnet.node.auth.actions import Action
from buildnet.node.auth.claims import Claims
from buildnet.node.auth.key_credentials import KeyCredentials
from buildnet.node.auth.keys import implicit_of, is_within, make_token
from buildnet.node.auth.refusal import TooManyRequestsError
from buildnet.node.auth.revocations import FOR_EVER_MS
from buildnet.node.auth.scope import MAX_SCOPES, Scope
from buildnet.node.auth.token import TokenError, signed_token
from buildnet.pool.messages.keys import KeyMade
from testbed.pool_keys import (
    ADMIN,
    AGENT,
    BUILDER,
    MEMBERS,
    NOW,
    SPARE,
    Pool,
    asking,
    claims,
    members,
    token,
)

ID = claims().id
ISSUED_MS = round(claims().issued.timestamp() * 1000)


def code(pool: Pool, text: str) -> str:
    """Return the code of the refusal; "" where the key counts."""
    try:
        pool.keys.key(text)
    except BuildNetError as error:
        shown = f"{error.message}{error.cause}{error.hint}"
        return "SHOWN" if text and text in shown else error.code
    return ""


def test_a_key_counts_and_says_what_it_was_made_with() -> None:
    pool = Pool()
    made = claims(scope=("action:view-builds",), rate=7, bound=AGENT.public_key.hex())
    assert pool.keys.key(make_token(made, ADMIN.sign)).claims == made
    assert Claims.decode(made.encode()) == made


def _gone(pool: Pool) -> None:
    pool.members = replace(
        MEMBERS, members={BUILDER.public_key: MEMBERS.members[BUILDER.public_key]}
    )


def _demoted(pool: Pool) -> None:
    key = ADMIN.public_key
    demoted = replace(MEMBERS.members[key], rights=Rights.BUILDER)
    pool.members = replace(MEMBERS, members={**MEMBERS.members, key: demoted})


def _stolen(pool: Pool) -> None:
    key = ADMIN.public_key
    pool.members = replace(MEMBERS, revoked={key: Revocation(key, key, "stolen", None)})


def _rotated(pool: Pool) -> None:
    key, now = ADMIN.public_key, SPARE.public_key
    member = MEMBERS.members[key]
    others = {other: one for other, one in MEMBERS.members.items() if other != key}
    pool.members = replace(
        MEMBERS,
        members={**others, now: replace(member, key=now)},
        former={key: Former(member, Ending.ROTATED, 2, now)},
    )


def _unreadable(pool: Pool) -> None:
    pool.register.problem = "it can't be read"


def _later(pool: Pool) -> None:
    pool.clock.now = (NOW + timedelta(days=31)).timestamp()


def _revoked(pool: Pool) -> None:
    pool.revocations.take(ID, FOR_EVER_MS)


def _replaced(pool: Pool) -> None:
    pool.revocations.take(ID, ISSUED_MS)


def _replaced_before(pool: Pool) -> None:
    pool.revocations.take(ID, ISSUED_MS - 1)


def _elsewhere(pool: Pool) -> None:
    pool.members = members("other")


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        (_gone, "KEY_REVOKED"),
        (_demoted, "KEY_REVOKED"),
        (_stolen, "KEY_REVOKED"),
        (_rotated, "KEY_REVOKED"),
        (_unreadable, "KEY_REVOKED"),
        (_later, "KEY_EXPIRED"),
        (_revoked, "KEY_REVOKED"),
        (_replaced, "KEY_REVOKED"),
        (_replaced_before, ""),
        (_elsewhere, "KEY_INVALID"),
    ],
)
def test_what_happens_counts_at_once_whether_the_key_was_seen_before_or_not(
    happens: Callable[[Pool], None], expected: str
) -> None:
    seen, unseen, text = Pool(), Pool(), token()
    assert code(seen, text) == ""
    happens(seen)
    happens(unseen)
    assert code(seen, text) == code(unseen, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (token(BUILDER), "KEY_REVOKED"),
        (token(SPARE), "KEY_REVOKED"),
        (make_token(claims(), SPARE.sign), "KEY_INVALID"),
        (make_token(claims(cluster="00" * 32), ADMIN.sign), "KEY_INVALID"),
        (signed_token(claims().encode(), ADMIN.sign), "KEY_INVALID"),
        (signed_token(claims().encode(), ADMIN.sign, implicit=bytes(32)), "KEY_INVALID"),
        (token()[:-4], "KEY_INVALID"),
        (token() + ".Zm9vdGVy", "KEY_INVALID"),
        (
            signed_token(
                claims().encode(),
                ADMIN.sign,
                footer=b"footer",
                implicit=implicit_of(MEMBERS.cluster_id),
            ),
            "KEY_INVALID",
        ),
        ("", "KEY_INVALID"),
        ("secret", "KEY_INVALID"),
        (token(issued=NOW + timedelta(hours=1)), "KEY_EXPIRED"),
        (token(issued=NOW + timedelta(minutes=4)), ""),
        (token(scope=(f"node:{ADMIN.node_id}",)), "KEY_ELSEWHERE"),
        (token(scope=("node:second",)), "KEY_ELSEWHERE"),  # anybody may take that name
        (token(scope=(f"node:{ADMIN.node_id}", f"node:{BUILDER.node_id}")), ""),
        (token(scope=(f"node:{BUILDER.node_id}",)), ""),
    ],
)
def test_forged_cut_foreign_and_other_keys(text: str, expected: str) -> None:
    assert code(Pool(), text) == expected


def test_keys_that_do_not_count_take_no_room_from_those_that_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("buildnet.node.auth.keys.MOST_KNOWN", 1)
    pool, text = Pool(), token()
    assert code(pool, text) == ""
    assert code(pool, token(SPARE)) == "KEY_REVOKED"  # whose signature is right
    monkeypatch.setattr(pool.keys, "_checked", None)  # so what is known is known still
    assert code(pool, text) == ""


def test_of_a_key_that_was_rotated_only_what_is_known_to_be_made_with_it_counts() -> None:
    pool, text = Pool(), token()
    pool.knows(text)
    _rotated(pool)
    assert code(pool, text) == ""
    assert code(pool, token(rights=Rights.ADMIN)) == "KEY_REVOKED"
    assert code(pool, token(id="f" * 16)) == "KEY_REVOKED"
    # A thief of the old key tells of what it made with it: nobody takes that.
    told = claims(id="f" * 16).encode().decode()
    record = KeyMade.unsigned(claims=told, by="eve", digest=bytes(32))
    signed = record.signed(MEMBERS.cluster_id, ADMIN.public_key, ADMIN.sign)
    assert not pool.register.take(signed, pool.members)


def test_a_key_for_a_node_goes_with_it_through_its_rotations() -> None:
    pool = Pool()
    key = BUILDER.public_key
    member = MEMBERS.members[key]
    pool.members = replace(
        MEMBERS,
        members={**MEMBERS.members, key: member},
        former={SPARE.public_key: Former(member, Ending.ROTATED, 2, key)},
    )
    assert code(pool, token(scope=(f"node:{node_id_of(SPARE.public_key)}",))) == ""


def test_with_a_key_those_fall_that_were_made_with_it() -> None:
    pool = Pool()
    child = token(id="1" * 16, parents=("2" * 16, "3" * 16))
    assert code(pool, child) == ""
    pool.revocations.take("3" * 16, ISSUED_MS)
    assert code(pool, child) == "KEY_REVOKED"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"x":' * 200,
        claims().encode().replace(b'"builder"', b'"owner"'),
        claims().encode().replace(b'"sub":"ci"', b'"sub":"c\\ni"'),
        claims().encode()[:-1] + b',"more":1}',
        claims(scope=("x:y",)).encode(),
        claims(scope=("action:own-node",)).encode(),
    ],
)
def test_claims_that_mean_nothing_here_do_not_count(message: bytes) -> None:
    with pytest.raises(TokenError):
        Claims.decode(message)


def test_what_a_scope_allows() -> None:
    assert Scope.read(()).allowed is None
    assert not Scope.read(())
    one = Scope.read(("action:view-builds", "action:modify-config", "workspace:shop", "node:n"))
    assert one.allowed == frozenset({Action.VIEW_BUILDS})
    assert one.workspaces == {"shop"}
    assert Scope.read(one.said()) == one
    wide = Scope.read(("workspace:shop",)).allowed
    assert wide is not None
    assert wide.isdisjoint({Action.VIEW_LEDGER, Action.MANAGE_ACCESS, Action.WRITE_NOTE})


@pytest.mark.parametrize(
    "said",
    ["", "node", "node:", "team:x", "action:none", "action:open", "node:a\nb", "node:" + "x" * 201],
)
def test_what_is_no_scope(said: str) -> None:
    with pytest.raises(UsageError):
        Scope.read((said,))


def test_scopes_are_bounded() -> None:
    with pytest.raises(UsageError):
        Scope.read(f"node:{number}" for number in range(MAX_SCOPES + 1))


def test_rights_are_ordered() -> None:
    assert is_within(Rights.OBSERVER, Rights.BUILDER)
    assert is_within(Rights.ADMIN, Rights.ADMIN)
    assert not is_within(Rights.ADMIN, Rights.BUILDER)


def test_a_request_with_a_key_is_its_agent_s() -> None:
    pool, used = Pool(), list[object]()

    def count(*use: object) -> None:
        used.append(use)

    kind = KeyCredentials(pool.keys, count, clock=pool.clock, monotonic=pool.clock)
    text = token(scope=("workspace:shop",))
    caller = asyncio.run(kind.caller(asking({"authorization": f"Bearer {text}"})))
    assert caller is not None
    assert (caller.actor, caller.credential, caller.address) == ("agent:ci", ID, "192.0.2.1")
    assert caller.reaches("shop")
    assert not caller.reaches("other")
    assert text not in repr(caller)
    assert used == [(ID, "ci", "192.0.2.1", pool.clock.now, False)]
    assert caller.problem() is None
    pool.revocations.take(ID, FOR_EVER_MS)
    problem = caller.problem()
    assert problem is not None
    assert problem.code == "KEY_REVOKED"


@pytest.mark.parametrize("said", ["", "Basic YTpi", "Bearer", "Token x", "Bearer  "])
def test_another_header_of_this_name_is_no_credential_that_counts(said: str) -> None:
    with pytest.raises(BuildNetError) as caught:
        asyncio.run(KeyCredentials(Pool().keys).caller(asking({"authorization": said})))
    assert caught.value.code == "KEY_INVALID"


def test_no_header_is_no_key() -> None:
    assert asyncio.run(KeyCredentials(Pool().keys).caller(asking({}))) is None


def test_a_key_may_ask_so_often_and_no_other_feels_it() -> None:
    pool = Pool()
    kind = KeyCredentials(pool.keys, clock=pool.clock, monotonic=pool.clock)
    busy = asking({"authorization": f"Bearer {token(rate=60)}"})
    other = asking({"authorization": f"Bearer {token(rate=60, id='2' * 16)}"})

    async def pour() -> None:
        for _ in range(10):
            await kind.caller(busy)
        with pytest.raises(TooManyRequestsError) as caught:
            await kind.caller(busy)
        assert caught.value.retry_after_s == pytest.approx(1)
        await kind.caller(other)
        pool.clock.now += 1
        await kind.caller(busy)
        with pytest.raises(TooManyRequestsError):
            await kind.caller(busy)

    asyncio.run(pour())
