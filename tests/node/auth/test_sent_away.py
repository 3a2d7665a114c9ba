"""Who is sent away is told what helps those who ask in their way."""

from __future__ import annotations

import pytest

from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth.caller import OWNER, Caller, CallerKind
from buildnet.node.auth.sent_away import own_session, sent_away

KEY = Caller(CallerKind.KEY, "agent:ci", Rights.ADMIN, credential="k")


@pytest.mark.parametrize(
    ("way", "hint"), [("api", "the key still counts"), ("cli", "no login"), ("web", "log in again")]
)
def test_each_is_told_how_to_come_back(way: str, hint: str) -> None:
    error = sent_away(way)
    assert (error.code, error.http_status) == ("NOT_AUTHENTICATED", 401)
    assert "ended by an admin" in error.message
    assert hint in str(error.hint)
    assert ("buildnet login" in str(error.hint)) == (way == "web")


@pytest.mark.parametrize("asking", [OWNER, KEY, Caller(CallerKind.SESSION, "account:anna")])
def test_who_would_end_themselves_is_told_what_to_do_instead(asking: Caller) -> None:
    error = own_session(asking, "1f")
    assert (error.message, error.code) == ("the session 1f is you, who ask this", "USAGE")
    assert "name another one" in str(error.hint)
