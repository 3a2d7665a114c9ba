"""People log in and out: what a login gives, and what ends it.

Over the real gate and routes, with a browser's requests.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.node.people import PAGE, Around, Check, Node, running

from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth.logins import WRONG_AT_ONCE
from buildnet.node.auth.people import lesser
from buildnet.node.auth.sessions import Ended, SessionLimits


def test_a_link_logs_a_browser_in_and_logging_out_ends_that(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        browser = await node.browser(account="anna")
        who = (await browser.ask("GET", "/api/session")).body
        assert (who["actor"], who["rights"]) == ("account:anna", "builder")
        assert who["csrf"] == browser.token
        changed = await browser.ask("POST", "/change", browser.own())
        assert (changed.status, changed.body) == (200, "account:anna")
        left = await browser.ask("DELETE", "/api/session", browser.own())
        assert left.status == 200
        assert "Max-Age=0" in left.headers["set-cookie"]
        assert (await browser.ask("GET", "/api/session")).status == 401
        assert [each.type for each in around.told] == ["session.opened", "session.closed"]
        assert around.told[0].data["address"] == "10.0.0.9"
        secret = browser.cookie.partition("=")[2]
        assert secret not in repr(around.told) + repr(node.people.sessions.all())

    check(work)


def test_a_code_is_good_once_and_guesses_are_slowed_down(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        code = await node.link(account="anna")
        statuses = [
            (await node.ask("POST", "/api/login", PAGE, {"code": each})).status
            for each in (code, code, *["guess"] * WRONG_AT_ONCE)
        ]
        assert statuses == [201, *[401] * WRONG_AT_ONCE, 429]
        other = await node.link(account="anna")
        assert (await node.ask("POST", "/api/login", PAGE, {"code": other})).status == 429
        around.now += 600
        late = await node.ask("POST", "/api/login", PAGE, {"code": other})
        assert late.status == 401  # ten minutes are over

    check(work)


def test_a_user_of_the_host_is_not_the_account_of_the_same_name(tmp_path: Path) -> None:
    async def whole() -> None:
        around, limits = Around(), SessionLimits(idle=100, lifetime=1000, per_actor=1)
        async with running(tmp_path / "access.db", around, limits) as node:
            account, user = await node.browser(account="anna"), await node.browser(actor="anna")
            said = [
                (await each.ask("GET", "/api/session")).body["actor"] for each in (account, user)
            ]
            assert said == ["account:anna", "anna"]  # neither made room for the other
            assert {each.actor for each in around.told} == {"account:anna", "anna"}
            for forged in ("account:anna", "agent:ci"):
                body = {"actor": forged}
                made = await node.ask("POST", "/api/logins", body=body, owner=True)
                assert (made.status, made.body["code"]) == (400, "USAGE")

    asyncio.run(asyncio.wait_for(whole(), 30))


def test_a_page_bears_the_name_of_who_made_its_link(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        said = {"buildnet-user": "root"}
        for headers, actor in ((said, "root"), ({}, "local")):
            made = await node.ask("POST", "/api/logins", headers, {}, owner=True)
            code = made.body["url"].partition("#")[2]
            who = (await node.ask("POST", "/api/login", PAGE, {"code": code})).body
            assert (who["actor"], who["is_owner"]) == (actor, True)
        assert [each.actor for each in around.told] == ["root", "local"]
        browser = await node.browser(account="anna")
        changed = await browser.ask("POST", "/change", {**browser.own(), **said})
        assert changed.body == "account:anna"  # nobody else says a name

    check(work)


@pytest.mark.parametrize(
    ("what", "why"), [("account", Ended.ACCOUNT), ("idle", Ended.IDLE), ("end", Ended.KICKED)]
)
def test_what_goes_on_in_a_session_ends_with_it(check: Check, what: str, why: Ended) -> None:
    async def work(node: Node, around: Around) -> None:
        browser = await node.browser(account="anna")
        streaming = asyncio.ensure_future(browser.ask("GET", "/stream"))
        await node.streaming.wait()
        if what == "account":
            del around.accounts["anna"]
        elif what == "idle":
            around.now += 100
        else:
            (session,) = node.people.sessions.all()
            await node.people.end(session.id, Ended.KICKED)
        await node.people.look()
        answer = await streaming
        assert (answer.status, answer.body["code"]) == (401, "NOT_AUTHENTICATED")
        assert why.value in answer.body["detail"]
        assert (await browser.ask("GET", "/api/session")).status == 401

    check(work)


def test_an_account_s_rights_count_as_they_are_now_and_never_beyond_the_node_s(
    check: Check,
) -> None:
    async def work(node: Node, around: Around) -> None:
        browser = await node.browser(account="berta")

        async def rights() -> str | None:
            return str((await browser.ask("GET", "/api/session")).body["rights"])

        assert await rights() == "admin"
        around.own = Rights.BUILDER
        assert await rights() == "builder"
        around.accounts["berta"] = Rights.OBSERVER
        assert await rights() == "observer"
        assert (await browser.ask("POST", "/change", browser.own())).status == 403
        del around.accounts["berta"]
        assert (await browser.ask("GET", "/api/session")).status == 401

    check(work)


def test_the_owner_logs_in_with_all_or_with_less(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        everything = await node.browser(actor="root")
        who = (await everything.ask("GET", "/api/session")).body
        assert (who["actor"], who["is_owner"]) == ("root", True)
        assert "own-node" in who["actions"]
        less = await node.browser(actor="root", rights="observer")
        who = (await less.ask("GET", "/api/session")).body
        assert (who["rights"], who["is_owner"]) == ("observer", False)
        assert "trigger-build" not in who["actions"]

    check(work)


def test_links_give_no_more_than_who_makes_them_has(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        missing = await node.ask("POST", "/api/logins", body={"account": "carl"}, owner=True)
        assert missing.status == 404
        for key, status in (("ci", 403), ("clerk", 403), ("boss", 201)):
            said = {"authorization": f"Bearer {key}"}
            answer = await node.ask("POST", "/api/logins", said, {"account": "anna"})
            assert answer.status == status, key
        admin = await node.browser(account="berta")
        made = await admin.ask("POST", "/api/logins", admin.own(), body={"account": "anna"})
        assert made.status == 201
        for body in ({}, {"actor": "root"}):  # an admin is not the owner of the host
            answer = await admin.ask("POST", "/api/logins", admin.own(), body=body)
            assert answer.status == 403

    check(work)


def test_the_lesser_rights_count() -> None:
    assert lesser(Rights.ADMIN, Rights.BUILDER) is Rights.BUILDER
    assert lesser(Rights.OBSERVER, Rights.BUILDER) is Rights.OBSERVER
    assert lesser(Rights.ADMIN, None) is None
