"""Coming in, as people do: by a link, by a key, or not at all."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.page.conftest import Visiting

from buildnet.cli.user import user_name
from testbed.nodes import Node
from testbed.visits import Visit

NOBODY_YET = "401"
"""What the console says of the page asking who somebody is who is not logged in."""


def test_a_link_logs_in_and_its_code_stays_nowhere(owner: Visit, node: Node) -> None:
    expect(owner.page).to_have_url(f"{node.address}/")
    expect(owner.page.get_by_role("banner")).to_contain_text("on node1")
    expect(owner.page.get_by_role("banner")).to_contain_text("owner")
    assert not owner.page.evaluate("document.cookie")
    assert not owner.page.evaluate("JSON.stringify([localStorage, sessionStorage])").count("v4.")


def test_the_page_calls_people_as_the_command_line_does(
    stranger: Visit, builder: Visit, node: Node
) -> None:
    stranger.page.goto(str(node("login", "--json").data["url"]))
    stranger.page.get_by_role("button", name="Log in").click()
    stranger.wait_until_live()
    expect(stranger.page.locator(".session-name")).to_have_text(f"{user_name()} (owner)")
    expect(builder.page.locator(".session-name")).to_have_text("builder agent (builder)")
    stranger.page.goto("/ui/access")
    own = stranger.page.get_by_role("row", name=re.compile("you"))
    expect(own).to_contain_text(user_name())
    agent = stranger.page.get_by_role("row", name=re.compile("builder agent")).first
    expect(agent.get_by_title("agent:builder")).to_be_visible()


def test_a_link_is_good_once(stranger: Visit, node: Node) -> None:
    link = str(node.post("/api/logins", {})["url"])
    page = stranger.page
    page.goto(link)
    expect(page).to_have_url(f"{node.address}/login")  # nobody behind them reads the code
    page.get_by_role("button", name="Log in").click()
    stranger.wait_until_live()
    page.get_by_role("button", name="Log out").click()
    page.goto(link)
    stranger.forgive(NOBODY_YET)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("NOT_AUTHENTICATED")


@pytest.mark.thorough
def test_a_wrong_code_is_told_to_be_one_and_can_be_corrected(stranger: Visit, node: Node) -> None:
    stranger.forgive(NOBODY_YET)
    page = stranger.page
    page.goto("/login")
    code = page.get_by_label("The code of a link, or a key")
    code.fill("nothing-that-anybody-made")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("What helps: ")
    expect(page.get_by_role("alert")).to_contain_text("buildnet login")
    code.fill(str(node.post("/api/logins", {})["url"]).partition("#")[2])
    page.get_by_role("button", name="Log in").click()
    stranger.wait_until_live()


def test_a_key_logs_in_with_its_rights(builder: Visit) -> None:
    expect(builder.page.get_by_role("banner")).to_contain_text("(builder)")


ACTS = {
    "/": "^Invite a node$",
    "/ui/queue": "^Pause the queue$",
    "/ui/cache": "^Clear…$",
    "/ui/access": "^End…",
    "/ui/builder": "^Save$",
}
"""Something that takes rights."""


@pytest.mark.thorough
def test_who_may_only_look_is_offered_nothing_else(owner: Visit, observer: Visit) -> None:
    for path, act in ACTS.items():
        for visit in (owner, observer):
            visit.page.goto(path)
            visit.wait_until_live()
            expect(visit.page.get_by_role("heading", level=1)).to_be_visible()
        name = re.compile(act)
        expect(owner.page.get_by_role("button", name=name).first).to_be_visible()
        observer.page.wait_for_load_state("networkidle")
        expect(observer.page.get_by_role("button", name=name)).to_have_count(0)
    views = observer.page.get_by_role("navigation", name="Views")
    expect(views.get_by_role("link", name="Builds")).to_be_visible()
    expect(views.get_by_role("link", name="Settings")).to_have_count(0)


@pytest.mark.thorough
def test_a_view_that_one_may_not_see_says_whom_to_ask(observer: Visit) -> None:
    observer.page.goto("/ui/settings")
    expect(observer.page.get_by_role("main")).to_contain_text("may not see this")
    expect(observer.page.get_by_role("main")).to_contain_text("owner of this node's host")


@pytest.mark.thorough
def test_who_logs_out_is_a_stranger_in_each_tab(owner: Visit) -> None:
    owner.forgive(NOBODY_YET)
    other = owner.open_tab()
    other.goto("/")
    expect(other.get_by_test_id("live")).to_have_text("live")
    owner.page.get_by_role("button", name="Log out").click()
    expect(owner.page).to_have_url(re.compile("/login"))
    expect(other.get_by_test_id("live")).to_have_text("ended")
    other.reload()
    expect(other).to_have_url(re.compile("/login"))


@pytest.mark.thorough
def test_a_path_of_a_view_leads_there_after_the_login(
    visiting: Visiting, node: Node, keys: dict[str, str]
) -> None:
    visit = visiting()
    visit.forgive(NOBODY_YET)
    visit.page.goto("/ui/nowhere?status=failed&name=a%20b")
    expect(visit.page).to_have_url(re.compile("/login"))
    visit.page.get_by_label("The code of a link, or a key").fill(keys["builder"])
    visit.page.get_by_role("button", name="Log in").click()
    visit.wait_until_live()
    expect(visit.page).to_have_url(f"{node.address}/ui/nowhere?status=failed&name=a%20b")


@pytest.mark.thorough
def test_nobody_is_led_off_the_page_by_where_they_are_to_go(
    visiting: Visiting, node: Node, keys: dict[str, str]
) -> None:
    for target in (
        "https://attacker.example/",
        "//attacker.example",
        "/ui/../../api/docs",
        "http://[",
    ):
        visit = visiting()
        visit.page.goto(f"/login?to={target}")
        visit.page.get_by_label("The code of a link, or a key").fill(keys["observer"])
        visit.page.get_by_role("button", name="Log in").click()
        visit.wait_until_live()
        expect(visit.page).to_have_url(f"{node.address}/")
