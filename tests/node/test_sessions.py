"""Who is logged in, how they came in, and when that is over: the pure cores."""

from __future__ import annotations

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth import sessions as sessions_module
from buildnet.node.auth.activity import GONE_S, Activity, Way
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.logins import (
    CODE_S,
    MOST_CODES,
    WRONG_A_SECOND,
    WRONG_AT_ONCE,
    Logins,
    TooManyLoginsError,
)
from buildnet.node.auth.refusal import NotAuthenticatedError
from buildnet.node.auth.same_site import OtherSiteError, is_own, require_own_page, require_token
from buildnet.node.auth.secret import forgery_token, hash_of, new_secret
from buildnet.node.auth.sessions import Ended, Grant, SessionLimits, Sessions
from buildnet.node.auth.tickets import TICKET_S, Tickets

LIMITS = SessionLimits(idle=100, lifetime=1000, per_actor=2)
ANNA = Grant("anna", account=True, rights=Rights.BUILDER)
BERTA = Grant("berta", account=True, rights=Rights.ADMIN)


def test_a_session_is_found_by_its_secret_alone() -> None:
    sessions = Sessions(LIMITS)
    secret = new_secret()
    session, _ = sessions.open("one", secret, ANNA, 0)
    assert sessions.find(secret, 1) == session
    assert session.secret == hash_of(secret)
    assert secret not in repr(session)
    for wrong in ("", "one", secret[:-1], secret + "x", hash_of(secret).hex(), new_secret()):
        assert sessions.find(wrong, 1) is None


@pytest.mark.parametrize(
    ("used", "asked", "good"),
    [([], 99, True), ([], 100, False), ([90], 189, True), ([90], 190, False)],
)
def test_a_session_ends_by_a_pause(used: list[float], asked: float, good: bool) -> None:
    sessions = Sessions(LIMITS)
    session, _ = sessions.open("one", "s", ANNA, 0)
    for now in used:
        session = sessions.use(session, now)
    assert (sessions.find("s", asked) is not None) is good
    assert [why for _, why in sessions.over(asked)] == ([] if good else [Ended.IDLE])


@pytest.mark.parametrize(("ends", "last"), [(None, 999), (500, 499), (5000, 999)])
def test_a_session_ends_after_its_lifetime_however_much_it_is_used(
    ends: float | None, last: float
) -> None:
    sessions = Sessions(LIMITS)
    session, _ = sessions.open("one", "s", ANNA, 0, ends=ends)
    for now in range(0, int(last) + 1, 50):
        session = sessions.use(session, now)
    assert sessions.find("s", last) is not None
    assert sessions.find("s", last + 1) is None
    assert sessions.over(last + 1) == [(session, Ended.EXPIRED)]
    assert sessions.over(last + 1) == []


def test_limits_that_became_shorter_count_for_sessions_that_are_there() -> None:
    sessions = Sessions(LIMITS)
    sessions.open("one", "s", ANNA, 0)
    sessions.limits = SessionLimits(idle=10, lifetime=1000)
    assert sessions.find("s", 50) is None
    sessions.limits = SessionLimits(idle=100, lifetime=20)
    assert sessions.find("s", 50) is None


def test_of_too_many_sessions_of_one_those_used_least_recently_end() -> None:
    sessions = Sessions(LIMITS)
    first, _ = sessions.open("one", "1", ANNA, 0)
    second, _ = sessions.open("two", "2", ANNA, 1)
    sessions.open("other", "o", BERTA, 2)
    sessions.use(first, 3)
    _, gone = sessions.open("three", "3", ANNA, 4)
    assert gone == [second]
    assert [each.id for each in sessions.all()] == ["one", "other", "three"]


def test_there_are_never_more_sessions_than_a_node_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "MOST_SESSIONS", 3)
    sessions = Sessions(LIMITS)
    for number in range(5):
        sessions.open(str(number), str(number), Grant(f"somebody {number}", is_owner=True), number)
    assert [each.id for each in sessions.all()] == ["2", "3", "4"]


def test_a_session_that_was_ended_is_not_there_any_more() -> None:
    sessions = Sessions(LIMITS)
    session, _ = sessions.open("one", "s", ANNA, 0)
    assert sessions.end("none") is None
    assert sessions.end("one") == session
    assert sessions.find("s", 1) is None
    assert not sessions.has(sessions.use(session, 1))  # a request that was on its way


def test_a_code_is_good_once() -> None:
    logins = Logins()
    code = logins.issue(ANNA, 0)
    assert logins.redeem(code, "10.0.0.1", 1) == ANNA
    with pytest.raises(NotAuthenticatedError):
        logins.redeem(code, "10.0.0.1", 1)


@pytest.mark.parametrize(("now", "good"), [(CODE_S - 1, True), (CODE_S, False)])
def test_a_code_is_good_for_ten_minutes(now: float, good: bool) -> None:
    logins = Logins()
    code = logins.issue(ANNA, 0)
    if good:
        assert logins.redeem(code, "", now) == ANNA
    else:
        with pytest.raises(NotAuthenticatedError):
            logins.redeem(code, "", now)


def test_codes_that_nobody_uses_do_not_heap_up() -> None:
    logins = Logins()
    codes = [logins.issue(ANNA, 0) for _ in range(MOST_CODES + 1)]
    with pytest.raises(NotAuthenticatedError):
        logins.redeem(codes[0], "", 1)
    assert logins.redeem(codes[1], "", 1) == ANNA


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_who_guesses_codes_waits_and_others_do_not(first: str, second: str, shared: bool) -> None:
    logins = Logins()
    code = logins.issue(ANNA, 0)
    for number in range(WRONG_AT_ONCE):
        with pytest.raises(NotAuthenticatedError):
            logins.redeem(f"guess {number}", first, 0)
    with pytest.raises(TooManyLoginsError):
        logins.redeem("guess", first, 0)
    if not shared:
        assert logins.redeem(code, second, 0) == ANNA
        return
    with pytest.raises(TooManyLoginsError):  # it can't be told from a guess
        logins.redeem(code, second, 0)
    assert logins.redeem(code, second, 1 / WRONG_A_SECOND) == ANNA


def test_a_ticket_is_good_once_and_soon() -> None:
    caller = Caller(CallerKind.SESSION, "anna", credential="one")
    tickets = Tickets()
    ticket, late, taken_back = (tickets.issue(caller, 0) for _ in range(3))
    assert tickets.redeem("none", 1) is None
    assert tickets.redeem(ticket, TICKET_S - 1) == caller
    assert tickets.redeem(ticket, TICKET_S - 1) is None
    assert tickets.redeem(late, TICKET_S) is None
    tickets.forget("one")
    assert tickets.redeem(taken_back, 1) is None


def test_one_session_can_not_push_out_the_tickets_of_others() -> None:
    tickets = Tickets()
    mine = tickets.issue(Caller(CallerKind.SESSION, "anna", credential="mine"), 0)
    for _ in range(1000):
        tickets.issue(Caller(CallerKind.SESSION, "berta", credential="loud"), 0)
    assert tickets.redeem(mine, 1) is not None


OWN_PAGE = [
    ("http://node:8080", "node:8080", "http"),
    ("http://node", "node:80", "http"),
    ("https://node", "node", "https"),
    ("https://NODE:443", "node", "https"),
    ("http://[::1]:8080", "[::1]:8080", "http"),
]
OTHER_PAGE = [
    ("", "node:8080", "http"),
    ("null", "node:8080", "http"),
    ("http://evil", "node:8080", "http"),
    ("http://node", "node:8080", "http"),
    ("http://node:8081", "node:8080", "http"),
    ("https://node:8080", "node:8080", "http"),
    ("http://node:8080", "node:8080", "https"),
    ("http://node:8080.evil", "node:8080", "http"),
    ("http://node:8080@evil", "node:8080", "http"),
    ("http://node:8080/x", "node:8080", "http"),
    ("file://", "node:8080", "http"),
    ("http://node:x", "node:8080", "http"),
    ("http://", "", "http"),
]


@pytest.mark.parametrize(("origin", "host", "scheme"), OWN_PAGE)
def test_a_page_of_the_node_s_own(origin: str, host: str, scheme: str) -> None:
    require_own_page({"origin": origin, "host": host}, scheme)


@pytest.mark.parametrize(("origin", "host", "scheme"), OTHER_PAGE)
def test_a_page_of_another_site(origin: str, host: str, scheme: str) -> None:
    assert not is_own(origin, host, scheme)
    with pytest.raises(OtherSiteError):
        require_own_page({"origin": origin, "host": host}, scheme)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_what_the_browser_says_of_a_request_s_origin_counts(site: str) -> None:
    headers = {"origin": "http://node", "host": "node"}
    require_own_page({**headers, "sec-fetch-site": "same-origin"}, "http")
    with pytest.raises(OtherSiteError):
        require_own_page({**headers, "sec-fetch-site": site}, "http")


def test_an_address_that_the_owner_named_is_the_node_s_own() -> None:
    headers = {"origin": "https://build.example.com", "host": "127.0.0.1:8080"}
    require_own_page(headers, "http", {"https://build.example.com"})
    with pytest.raises(OtherSiteError):
        require_own_page(headers, "http", {"https://example.com"})


def test_a_change_takes_the_token_of_the_very_session() -> None:
    secret, other = new_secret(), new_secret()
    require_token({"x-buildnet-csrf": forgery_token(secret)}, secret)
    for wrong in ({}, {"x-buildnet-csrf": forgery_token(other)}, {"x-buildnet-csrf": secret}):
        with pytest.raises(OtherSiteError):
            require_token(wrong, secret)


def test_who_is_silent_for_long_is_gone_unless_connected() -> None:
    connected: set[str] = set()
    activity = Activity(lambda: connected)
    session = Caller(CallerKind.SESSION, "anna", credential="one", address="10.0.0.1")
    here = activity.note(session, 0)
    activity.note(Caller(CallerKind.OWNER, "local"), 1)
    activity.note(session, 2)
    assert (here.id, here.way, here.requests, here.first, here.last) == ("one", Way.WEB, 2, 0, 2)
    assert [each.way for each in activity.now(3)] == [Way.WEB, Way.CLI]
    connected.add("one")
    assert [each.id for each in activity.now(GONE_S + 2)] == ["one"]
    connected.clear()
    assert activity.now(GONE_S + 2) == []


def test_whose_credential_counts_no_more_is_not_here() -> None:
    problem: list[BuildNetError] = []
    agent = Caller(
        CallerKind.KEY, "agent:ci", credential="k", problem=lambda: problem[0] if problem else None
    )
    activity = Activity()
    activity.note(agent, 0)
    assert [each.caller for each in activity.now(1)] == [agent]
    problem.append(BuildNetError("revoked"))
    assert activity.now(1) == []


def test_one_key_at_two_addresses_is_two() -> None:
    activity = Activity()
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        activity.note(Caller(CallerKind.KEY, "agent:ci", credential="k", address=address), 0)
    assert sorted(each.requests for each in activity.now(1)) == [1, 2]
