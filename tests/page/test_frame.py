"""What stands around every view: who is there, what is live, and how it looks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.page.conftest import Visiting

from buildnet.cli.testing import write_files
from testbed.building import Building
from testbed.nodes import Cluster, Node
from testbed.visits import DESKTOP, PHONE, Visit

BUILD_TABS = ("graph", "timeline", "tasks", "log", "review", "artifacts")


def test_three_nodes_are_seen(owner: Visit) -> None:
    for name in ("node1", "node2", "node3"):
        expect(owner.page.get_by_role("main").get_by_text(name).first).to_be_visible()


@pytest.mark.thorough
def test_a_theme_is_chosen_and_kept(owner: Visit) -> None:
    page = owner.page
    ground = "getComputedStyle(document.body).backgroundColor"
    page.get_by_role("button", name="Change to light").click()
    light = page.evaluate(ground)
    page.get_by_role("button", name="Change to dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert page.evaluate(ground) == dark


def test_who_comes_by_address_begins_at_the_menu_and_who_goes_on_at_the_content(
    owner: Visit,
) -> None:
    page = owner.page
    for path in ("/ui", "/ui/", "/ui/queue"):
        look_at(owner, path)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="To the content")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="BuildNet")).to_be_focused()
        view = "Queue" if path == "/ui/queue" else "Overview"
        expect(page).to_have_title(f"{view} · BuildNet")
    page.get_by_role("link", name="Nodes", exact=True).click()
    expect(page.get_by_role("main")).to_be_focused()
    look_at(owner, "/ui/nodes/node2")
    expect(page).to_have_title("node2 · Nodes · BuildNet")


@pytest.mark.thorough
def test_the_system_s_theme_is_followed_until_one_is_chosen(owner: Visit) -> None:
    grounds = []
    for scheme in ("dark", "light"):
        owner.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        grounds.append(owner.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]
    owner.page.get_by_role("button", name="Change to light").click()
    owner.page.emulate_media(color_scheme="dark")
    assert owner.page.evaluate("getComputedStyle(document.body).backgroundColor") == grounds[1]


@pytest.mark.thorough
def test_a_phone_opens_the_menu_and_closes_it_again(visiting: Visiting) -> None:
    visit = visiting(viewport=PHONE)
    visit.log_in()
    page = visit.page
    views = page.get_by_role("navigation", name="Views")
    expect(views).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    expect(views).to_be_visible()
    page.keyboard.press("Escape")
    expect(views).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    page.mouse.click(PHONE["width"] - 20, 600)
    expect(views).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    views.get_by_role("link", name="Overview").click()
    expect(views).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.thorough
def test_who_pauses_sees_no_change_until_they_go_on(owner: Visit) -> None:
    live = owner.page.get_by_test_id("live")
    owner.page.get_by_role("button", name="Pause live data").click()
    expect(live).to_contain_text("paused")
    owner.page.get_by_role("button", name="Go on with live data").click()
    expect(live).to_have_text("live")


def views_of(visit: Visit) -> list[str]:
    """Return the paths of the views that somebody is offered."""
    links = visit.page.get_by_role("navigation", name="Views").get_by_role("link").all()
    return sorted({link.get_attribute("href") or "" for link in links})


def look_at(visit: Visit, path: str) -> None:
    """Go to a view, and wait until it shows what there is."""
    visit.page.goto(path)
    visit.wait_until_live()
    expect(visit.page.get_by_role("heading", level=1)).to_be_visible()
    visit.page.wait_for_load_state("networkidle")


@pytest.mark.thorough
def test_each_view_fits_a_phone_and_keeps_nobody_out(
    owner: Visit, require_accessible: Callable[[Visit], None]
) -> None:
    """In the dark; the tests of the views look at them in the light, with something in them."""
    page = owner.page
    paths = views_of(owner)
    assert {"/", "/ui/nodes"} <= set(paths)
    for path in paths:
        page.emulate_media(color_scheme="dark")
        look_at(owner, path)
        require_accessible(owner)
        page.set_viewport_size(PHONE)
        too_wide = "document.documentElement.scrollWidth - innerWidth"
        assert page.evaluate(too_wide) == 0, path
        page.set_viewport_size(DESKTOP)
        owner.picture(path.removeprefix("/ui/").strip("/") or "overview")


@pytest.mark.thorough
def test_who_only_looks_is_told_what_is_not_for_them_and_asks_for_nothing_else(
    observer: Visit, node: Node, tmp_path: Path
) -> None:
    """By a link to each view; what was refused or is not there would be the browser's complaint."""
    page = observer.page
    look_at(observer, "/ui/builds/trends")
    expect(page.get_by_text("No build ran on this node yet")).to_be_visible()
    write_files(
        tmp_path,
        {"buildnet.yaml": "workspace: lab\npackages: [{name: app, path: ., build_cmd: 'true'}]\n"},
    )
    build = Building(node, tmp_path, local_only=True).report()["build_id"]
    entry = node.get("/api/ledger?limit=1")["entries"][0]["id"]
    for path in (
        *("/", "/ui/nodes", "/ui/nodes/node2", "/ui/topology", "/ui/topology?tab=matrix"),
        *("/ui/builds", "/ui/builds/compare", f"/ui/builds/compare?a={build}&b={build}"),
        *("/ui/builds/trends?workspace=lab", "/ui/builds/trends?workspace=unknown"),
        *(f"/ui/builds/{build}?tab={tab}" for tab in BUILD_TABS),
        *("/ui/builder", "/ui/builder?tab=kept", "/ui/queue", "/ui/cache", f"/ui/ledger/{entry}"),
        *(f"/ui/ledger?tab={tab}" for tab in ("entries", "state", "verification")),
        *(f"/ui/access?tab={tab}" for tab in ("sessions", "keys", "people")),
    ):
        look_at(observer, path)
        expect(page.get_by_role("main").get_by_role("alert")).to_have_count(0)
    for path in ("/ui/packages", "/ui/logs", "/ui/settings"):
        look_at(observer, path)
        expect(page.get_by_text("observer (agent) may not see this")).to_be_visible()


def test_the_login_keeps_nobody_out(
    stranger: Visit, require_accessible: Callable[[Visit], None]
) -> None:
    stranger.page.goto("/login")
    require_accessible(stranger)
    expect(stranger.page.get_by_label("The code of a link, or a key")).to_be_editable()
    expect(stranger.page.get_by_role("button", name="Log in")).to_be_visible()
    stranger.picture("login")


def test_a_script_that_is_not_the_page_s_own_does_not_run(owner: Visit) -> None:
    owner.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.ran = true'}))"
    )
    assert owner.page.evaluate("window.ran") is None
    assert "Content Security Policy" in "".join(owner.complaints)
    owner.forgive("Content Security Policy")


def test_what_the_browser_complains_of_fails_a_test(owner: Visit) -> None:
    owner.page.evaluate("setTimeout(() => { throw new Error('broken') })")
    owner.page.evaluate("console.error('odd')")
    for wrong in ("broken", "odd"):
        with pytest.raises(AssertionError, match=wrong):
            owner.require_content()
        owner.forgive(wrong)


def test_a_node_that_is_gone_is_told_and_found_again(visiting: Visiting, cluster: Cluster) -> None:
    node = cluster.members[2]
    visit = visiting(node)
    visit.forgive("net::ERR_|WebSocket connection|Unable to preload")
    visit.log_in()
    node.kill()
    live = visit.page.get_by_test_id("live")
    expect(live).to_have_text("connection lost, trying again")
    expect(visit.page.get_by_role("banner").get_by_text("as of")).to_be_visible()
    elsewhere = visit.page.get_by_role("link", name=cluster.members[0].address)
    expect(elsewhere).to_have_attribute("href", cluster.members[0].address)
    visit.picture("node-gone")
    visit.page.get_by_role("link", name="Queue", exact=True).click()
    expect(visit.page.get_by_role("alert")).to_contain_text("the node does not answer")
    node.start()
    expect(live).to_have_text("live")
    expect(visit.page.get_by_role("heading", name="Queue", level=1)).to_be_visible()


def test_who_has_no_network_is_told_and_sees_the_rest_once_it_is_back(owner: Visit) -> None:
    owner.forgive("net::ERR_|WebSocket connection|Unable to preload|dynamically imported")
    page = owner.page
    live, banner = page.get_by_test_id("live"), page.get_by_role("banner")
    of_nodes = page.get_by_role("main").get_by_text("node2").first
    expect(of_nodes).to_be_visible()
    page.context.set_offline(True)
    expect(live).to_have_text("connection lost, trying again")
    expect(banner.get_by_text("as of")).to_be_visible()
    expect(of_nodes).to_be_visible()
    page.get_by_role("link", name="Queue", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("the node does not answer")
    page.context.set_offline(False)
    expect(live).to_have_text("live")
    expect(page.get_by_role("heading", name="Queue", level=1)).to_be_visible()


@pytest.mark.thorough
def test_a_window_gives_the_focus_back_to_what_opened_it(owner: Visit) -> None:
    opener = owner.page.get_by_role("button", name="Invite a node")
    for leave in ("Escape", "Enter"):
        opener.focus()
        owner.page.keyboard.press("Enter")
        window = owner.page.get_by_role("dialog")
        expect(window).to_be_visible()
        if leave == "Enter":
            window.get_by_role("button", name=re.compile("^(Back|Close)$")).focus()
        owner.page.keyboard.press(leave)
        expect(window).to_be_hidden()
        expect(opener).to_be_focused()


@pytest.mark.thorough
def test_a_long_word_does_not_widen_the_page(owner: Visit, node: Node, tmp_path: Path) -> None:
    name = "a" * 120
    text = f"workspace: {name}\npackages:\n  - {{name: {name}, path: a, build_cmd: exit 3}}\n"
    write_files(tmp_path, {"buildnet.yaml": text, "a/in.txt": f"{tmp_path}\n"})
    node.post("/api/queue/pause", {"reason": "R" * 900})
    body = {"root": str(tmp_path), "environment": {}, "actor": "ann"}
    build = node.post("/api/build", body)["build_id"]
    too_wide = "document.documentElement.scrollWidth - innerWidth"
    for viewport in (DESKTOP, PHONE):
        owner.page.set_viewport_size(viewport)
        for path in ("/ui/queue", "/"):
            look_at(owner, path)
            expect(owner.page.get_by_text(name).first).to_be_visible()
            assert owner.page.evaluate(too_wide) == 0, path
    expect(owner.page.get_by_role("heading", name="No build runs yet")).to_be_visible()
    node.post("/api/queue/resume", {})
    look_at(owner, f"/ui/builds/{build}?tab=graph")
    expect(owner.page.get_by_role("alert").get_by_text(name).first).to_be_visible()
    assert owner.page.evaluate(too_wide) == 0
