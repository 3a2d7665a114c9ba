"""Invitation tokens: what people carry, mistype, keep too long and use elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mesh.member_changes import CHECK, FOUNDER, SECOND, START, after, beginning, put

from buildnet.mesh.identity import NodeKey, is_signed_by
from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.invitation import Token, TokenError, invite, join, new_token
from buildnet.mesh.members.member_list import MemberList, Refused, Rights, Role
from buildnet.mesh.testing import MIDNIGHT_MS, key_number

NOW = MIDNIGHT_MS // 1000
ADDRESS = "http://10.0.0.7:80"


def token(members: MemberList | None = None, *, secret: bytes = bytes(range(16))) -> Token:
    cluster_id = (members or beginning()).cluster_id
    return new_token(cluster_id, secret=secret, expires=NOW + 3600, addresses=(ADDRESS,))


class RealKeys:
    """Real signatures for joiners and tokens, cheap ones for the rest."""

    def sign(self, message: bytes) -> bytes:
        raise NotImplementedError

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        return is_signed_by(key, message, signature) or CHECK.verify(key, message, signature)


def test_text_is_one_word_that_reads_back() -> None:
    one = token()
    assert one.text.startswith("bn1-")
    assert one.text.isascii()
    assert not set(one.text) & set(" \t\n'\"\\$&;=/")
    assert len(one.text) < 160
    for text in (one.text, one.text.upper(), f"  {one.text[:30]}\n{one.text[30:]} "):
        assert Token.parse(text) == one


def test_secret_is_not_shown() -> None:
    assert token().secret.hex() not in repr(token())
    assert str(token().secret) not in repr(token())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no token"),
        ("hello", "no token"),
        ("bn2-abcdef", "another version"),
        ("bn1-", "damaged"),
        ("bn1-abc", "damaged"),
        ("bn1-ä", "damaged"),
        ("bn1-" + "a" * 5000, "too long"),
        ("bn1-" + "0189", "damaged"),
    ],
)
def test_what_is_no_token_is_told(text: str, message: str) -> None:
    with pytest.raises(TokenError, match=message) as caught:
        Token.parse(text)
    assert caught.value.hint


@given(st.data())
def test_a_typing_error_is_noticed(data: st.DataObject) -> None:
    text = token().text
    at = data.draw(st.integers(4, len(text) - 2))  # the last digit has bits that stand for nothing
    others = [digit for digit in "abcdefghijklmnopqrstuvwxyz234567" if digit != text[at]]
    other = data.draw(st.sampled_from(others))
    for broken in (text[:at] + other + text[at + 1 :], text[:at], text[:at] + text[at + 1 :]):
        with pytest.raises(TokenError):
            Token.parse(broken)


@given(st.text(max_size=200))
def test_any_text_is_told_or_read(text: str) -> None:
    for word in (text, f"bn1-{text}"):
        with pytest.raises(TokenError):
            Token.parse(word)


def test_a_foreign_token_is_told_before_it_is_used() -> None:
    one = token()
    one.check(beginning().cluster_id)
    with pytest.raises(TokenError, match="another cluster"):
        one.check(beginning(name="other").cluster_id)


def test_join_by_token() -> None:
    members = beginning()
    one = token(members)
    members = after(members, FOUNDER, invite(one, rights=Rights.OBSERVER))
    assert one.id in {invitation.id for invitation in members.invitations.values()}
    joiner = key_number(50)
    change = join(one, joiner, cluster_id=members.cluster_id, name="n", role=Role.WORKER, hlc=START)
    after_it = members.apply(put(members, change), RealKeys())
    assert after_it.members[joiner.public_key].rights is Rights.OBSERVER


def test_another_secret_or_joiner_is_refused() -> None:
    members = beginning()
    members = after(members, FOUNDER, invite(token(members)))
    joiner, thief = key_number(50), key_number(51)

    def change_of(one: Token, who: NodeKey) -> Change:
        return join(one, who, cluster_id=members.cluster_id, name="n", role=Role.WORKER, hlc=START)

    guessed = change_of(token(members, secret=bytes(16)), joiner)
    with pytest.raises(Refused) as caught:
        members.apply(put(members, guessed), RealKeys())
    assert caught.value.reason == "unknown invitation"
    honest = change_of(token(members), joiner)
    stolen = replace(honest, author=thief.public_key)
    with pytest.raises(Refused) as caught:
        members.apply(put(members, stolen), RealKeys())
    assert caught.value.reason == "forged change"


def test_token_of_another_cluster_makes_no_join() -> None:
    with pytest.raises(TokenError, match="another cluster"):
        join(
            token(beginning(name="other")),
            key_number(50),
            cluster_id=beginning().cluster_id,
            name="n",
            role=Role.WORKER,
            hlc=START,
        )


def test_expiry_is_the_tokens() -> None:
    assert invite(token()).expires == START + 3600 * SECOND
