"""Sessions that stand on a key: they may what it may, and end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.node.people import EVIL, PAGE, Around, Browser, Check, Node, running

from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.refusal import NotAuthenticatedError
from buildnet.node.auth.sessions import Grant


def test_a_session_of_a_link_that_was_made_with_a_key_ends_with_the_key(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        boss = {"authorization": "Bearer boss"}

        async def link(headers: Mapping[str, str]) -> str:
            made = await node.ask("POST", "/api/logins", headers, {"account": "berta"})
            assert made.status == 201, made.body
            return str(made.body["url"]).partition("#")[2]

        async def browser(code: str) -> Browser:
            made = await node.ask("POST", "/api/login", PAGE, {"code": code})
            return Browser(node, made.cookie, made.body["csrf"])

        one, kept = await browser(await link(boss)), await node.browser(account="berta")
        who = (await one.ask("GET", "/api/session")).body
        assert who["rights"] == "admin"
        # what such a session makes stands on the key, too
        second = await browser(await link({"cookie": one.cookie, **one.own()}))
        waiting = await link(boss)
        assert {each.grant.linked_by is None for each in node.people.sessions.all()} == {
            True,
            False,
        }
        streaming = asyncio.ensure_future(one.ask("GET", "/stream"))
        await node.streaming.wait()
        node.keys.problem = NotAuthenticatedError("the key was revoked")
        node.connections.look()  # as soon as the node knows, not at its next look at sessions
        assert (await streaming).body["detail"] == "the key was revoked"
        assert (await one.ask("GET", "/api/session")).status == 401
        assert (await node.ask("POST", "/api/login", PAGE, {"code": waiting})).status == 401
        await node.people.look()
        assert (await second.ask("GET", "/api/session")).status == 401
        assert (await kept.ask("GET", "/api/session")).status == 200
        assert len(node.people.sessions.all()) == 1

    check(work)


def test_a_session_of_a_key_s_link_may_no_more_than_the_key_and_is_not_kept(
    tmp_path: Path,
) -> None:
    async def whole() -> None:
        around, path = Around(), tmp_path / "access.db"
        async with running(path, around) as node:
            clerk = Caller(CallerKind.KEY, "agent:clerk", Rights.BUILDER, credential="k")
            grant = Grant("berta", account=True, linked_by=clerk)
            made = await node.ask("POST", "/api/login", PAGE, {"code": node.people.code_for(grant)})
            who = (await node.ask("GET", "/api/session", {"cookie": made.cookie})).body
            assert who["rights"] == "builder"  # the account's are those of an admin
        async with running(path, around) as again:
            answer = await again.ask("GET", "/api/session", {"cookie": made.cookie})
            assert answer.status == 401

    asyncio.run(asyncio.wait_for(whole(), 30))


def test_a_session_by_key_may_what_the_key_may_and_ends_with_it(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        key = {**PAGE, "authorization": "Bearer narrow"}
        made = await node.ask("POST", "/api/session", key)
        browser = Browser(node, made.cookie, made.body["csrf"])
        who = (await browser.ask("GET", "/api/session")).body
        assert (who["actor"], who["actions"]) == ("agent:narrow", ["open", "view-resources"])
        assert (await browser.ask("POST", "/change", browser.own())).status == 403
        again = await browser.ask("POST", "/api/session", browser.own())
        assert again.status == 400  # a session makes no sessions
        node.keys.problem = NotAuthenticatedError("revoked")
        assert (await browser.ask("GET", "/api/session")).status == 401
        await node.people.look()
        assert not node.people.sessions.all()
        boss = {**PAGE, "authorization": "Bearer boss"}
        node.keys.problem = None
        made = await node.ask("POST", "/api/session", boss)
        assert "manage-access" not in made.body["actions"]  # it would outlive the key
        assert "manage-nodes" in made.body["actions"]
        bound = {**PAGE, "authorization": "Bearer bound"}
        assert (await node.ask("POST", "/api/session", bound)).status == 400

    check(work)


def test_a_ticket_counts_no_longer_than_its_session_s_key(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        key = {**PAGE, "authorization": "Bearer boss"}
        made = await node.ask("POST", "/api/session", key)
        browser = Browser(node, made.cookie, made.body["csrf"])
        ticket = (await browser.ask("POST", "/api/ws-ticket", browser.own())).body["ticket"]
        node.keys.problem = NotAuthenticatedError("revoked")  # nobody has looked at sessions yet
        query = f"ticket={ticket}"
        answer = await node.ask("", "/ws", PAGE, scheme="ws", query=query)
        assert [each["type"] for each in answer.messages] == ["websocket.close"]

    check(work)


@pytest.mark.parametrize(
    ("name", "lacks"), [("shop", "is for single workspaces"), ("narrow", "is not for view-builds")]
)
def test_who_may_not_be_told_events_gets_no_ticket_and_the_reason(
    check: Check, name: str, lacks: str
) -> None:
    async def work(node: Node, around: Around) -> None:
        made = await node.ask("POST", "/api/session", {**PAGE, "authorization": f"Bearer {name}"})
        browser = Browser(node, made.cookie, made.body["csrf"])
        answer = await browser.ask("POST", "/api/ws-ticket", browser.own())
        assert answer.status == 403
        assert lacks in answer.body["detail"]

    check(work)


def test_sessions_by_key_ask_no_more_often_than_the_key_may(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        node.keys.rate = 12  # of which two may come at once
        key = {**PAGE, "authorization": "Bearer boss"}
        opened = [await node.ask("POST", "/api/session", key) for _ in range(3)]
        browsers = [Browser(node, made.cookie, made.body["csrf"]) for made in opened]
        seen = [(await browser.ask("GET", "/api/session")).status for browser in browsers]
        assert seen == [200, 200, 429]
        around.now += 5
        assert (await browsers[2].ask("GET", "/api/session")).status == 200

    check(work)


def test_a_program_is_no_page_but_sends_its_key_itself(check: Check) -> None:
    async def work(node: Node, around: Around) -> None:
        answer = await node.ask("POST", "/change", {"authorization": "Bearer ci", **EVIL})
        assert (answer.status, answer.body) == (200, "agent:ci")

    check(work)
