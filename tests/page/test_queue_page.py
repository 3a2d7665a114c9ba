"""The queue on the page: put in order by mouse, by keyboard and by buttons, and looked after."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from buildnet.cli.testing import write_files
from testbed.dragging import drop, take
from testbed.nodes import Cluster, Node
from testbed.visits import Visit

NAMES = ("shop", "site", "docs", "tools")


@pytest.fixture
def waiting(cluster: Cluster, node: Node, tmp_path: Path) -> Iterator[list[str]]:
    """Four builds that wait, asked for in this order: the queue as a whole is paused."""
    node.post("/api/queue/pause", {"reason": "a test"})
    builds = []
    for name in NAMES:
        text = f"workspace: {name}\npackages:\n  - {{name: a, path: a, build_cmd: cat in.txt}}\n"
        write_files(tmp_path / name, {"buildnet.yaml": text, "a/in.txt": f"{tmp_path} {name}\n"})
        body = {"root": str(tmp_path / name), "environment": {}, "actor": "ann"}
        builds.append(str(node.post("/api/build", body)["build_id"]))
    yield builds
    for build in builds:
        node("queue", "cancel", build)
    node.post("/api/queue/resume", {})


def rows(page: Page) -> Locator:
    return page.locator(".queue-row")


def names(page: Page) -> Locator:
    return page.locator(".queue-name")


def handle(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=re.compile(f"^Move the build of {name}, number"))


def pick(page: Page, name: str, place: int) -> None:
    """Pick a build up by keyboard; it says where it stands once it can be moved."""
    handle(page, name).focus()
    page.keyboard.press("Space")
    expect(page.get_by_text(f"The build of {name} would be number {place}.")).to_be_attached()


def listed(node: Node) -> list[str]:
    """Return the workspaces in the order of ``buildnet queue list``."""
    return [str(each["workspace"]) for each in node("queue", "list", "--json").data["builds"]]


def listed_ids(node: Node) -> list[str]:
    """Return the builds in the order of the queue."""
    return [str(each["build_id"]) for each in node.get("/api/queue")["builds"]]


def is_order(page: Page, node: Node, *order: str) -> bool:
    """Tell whether the page, soon, and the command line show the builds in this order; that of the
    page, if it does not, is told by an error."""
    expect(names(page)).to_have_text(order)
    expect(page.locator(".queue-place")).to_have_text([str(n) for n in range(1, len(order) + 1)])
    return listed(node) == list(order)


@pytest.fixture
def page(owner: Visit, waiting: list[str]) -> Page:
    owner.page.goto("/ui/queue")
    expect(names(owner.page)).to_have_text(NAMES)
    return owner.page


def test_a_build_is_dragged_ahead_by_mouse(page: Page, node: Node, owner: Visit) -> None:
    take(page, handle(page, "tools"), rows(page).nth(1))
    expect(page.get_by_text("The build of tools would be number 2.")).to_be_attached()
    drop(page)
    assert is_order(page, node, "shop", "tools", "site", "docs")
    expect(rows(page).nth(1).get_by_text("moved")).to_be_visible()
    owner.picture("queue")


def test_a_build_is_moved_by_keyboard_and_told(page: Page, node: Node) -> None:
    pick(page, "shop", 1)
    for place in (2, 3):
        page.keyboard.press("ArrowDown")
        expect(page.get_by_text(f"The build of shop would be number {place}.")).to_be_attached()
    page.keyboard.press("Space")
    expect(page.get_by_text("The build of shop is dropped as number 3.")).to_be_attached()
    assert is_order(page, node, "site", "docs", "shop", "tools")


@pytest.mark.thorough
def test_escape_leaves_a_build_where_it_was(page: Page, node: Node) -> None:
    pick(page, "shop", 1)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_text("The build of shop would be number 2.")).to_be_attached()
    page.keyboard.press("Escape")
    expect(page.get_by_text("The build of shop stays where it was.")).to_be_attached()
    assert is_order(page, node, *NAMES)


@pytest.mark.thorough
def test_buttons_do_what_dragging_does(page: Page, node: Node) -> None:
    page.get_by_role("button", name="Move the build of docs to the front").click()
    assert is_order(page, node, "docs", "shop", "site", "tools")
    page.get_by_role("button", name="Move the build of docs down").click()
    assert is_order(page, node, "shop", "docs", "site", "tools")
    page.get_by_role("button", name="Move the build of tools up").click()
    assert is_order(page, node, "shop", "docs", "tools", "site")
    page.get_by_role("button", name="Put the build of shop behind another").click()
    choice = page.get_by_role("dialog").get_by_role("combobox", name="Behind which build")
    option = choice.locator("option").filter(has_text="tools")
    choice.select_option(str(option.get_attribute("value")))
    page.get_by_role("dialog").get_by_role("button", name="Move").click()
    assert is_order(page, node, "docs", "tools", "shop", "site")


@pytest.mark.thorough
def test_what_is_refused_moves_back_and_says_why(
    owner: Visit, node: Node, waiting: list[str]
) -> None:
    page = owner.page
    owner.forgive("409")
    problem = {"code": "QUEUE_UNKNOWN", "detail": "nobody coordinates now", "status": 409}
    page.route(
        "**/api/queue/*/move",
        lambda route: route.fulfill(
            status=409, content_type="application/problem+json", body=json.dumps(problem)
        ),
    )
    page.goto("/ui/queue")
    expect(names(page)).to_have_text(NAMES)
    take(page, handle(page, "docs"), rows(page).nth(0))
    expect(page.get_by_text("The build of docs would be number 1.")).to_be_attached()
    drop(page)
    alert = rows(page).filter(has_text="docs").get_by_role("alert")
    expect(alert).to_contain_text("nobody coordinates now")
    expect(alert).to_contain_text(f"buildnet queue move {waiting[2]} 1")
    assert is_order(page, node, *NAMES)
    alert.get_by_role("button", name="Understood").click()
    expect(alert).to_be_hidden()


@pytest.mark.thorough
def test_two_people_move_at_once_and_both_see_what_came_of_it(
    page: Page, owner: Visit, node: Node
) -> None:
    """While one has a build in the air another moves one: nothing is lost, and no row stands where
    its number does not."""
    other = owner.open_tab()
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    other.goto("/ui/queue")
    expect(names(other)).to_have_text(NAMES)
    pick(page, "tools", 4)
    page.keyboard.press("ArrowUp")
    expect(page.get_by_text("The build of tools would be number 3.")).to_be_attached()
    other.get_by_role("button", name="Move the build of docs to the front").click()
    assert is_order(other, node, "docs", "shop", "site", "tools")
    page.keyboard.press("Escape")
    for each in (page, other):
        assert is_order(each, node, "docs", "shop", "site", "tools")
    assert not [url for url in sent if "/api/queue" in url]
    pick(page, "tools", 4)
    for place in (3, 2, 1):
        page.keyboard.press("ArrowUp")
        expect(page.get_by_text(f"The build of tools would be number {place}.")).to_be_attached()
    with page.expect_response("**/move"), other.expect_response("**/move"):
        other.get_by_role("button", name="Move the build of site to the front").click()
        page.keyboard.press("Space")
    came = listed(node)
    assert sorted(came[:2]) == ["site", "tools"]
    for each in (page, other):
        assert is_order(each, node, *came)


@pytest.mark.thorough
def test_builds_of_others_are_not_offered_to_be_changed(builder: Visit, waiting: list[str]) -> None:
    builder.page.goto("/ui/queue")
    expect(names(builder.page)).to_have_text(NAMES)
    for name in NAMES:
        expect(handle(builder.page, name)).to_be_disabled()


@pytest.mark.thorough
def test_priority_pause_and_resume(page: Page, node: Node) -> None:
    page.get_by_role("combobox", name="Priority of the build of docs").select_option("critical")
    expect(names(page)).to_have_text(["docs", "shop", "site", "tools"])
    page.get_by_role("button", name="Pause the build of site").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("the tests are broken")
    dialog.get_by_role("button", name="Pause").click()
    expect(rows(page).filter(has_text="site")).to_contain_text("the tests are broken")
    told = {each["workspace"]: each for each in node.get("/api/queue")["builds"]}
    assert told["docs"]["priority"] == "critical"
    assert told["site"]["paused"]
    page.get_by_role("button", name="Resume the build of site").click()
    expect(page.get_by_role("button", name="Pause the build of site")).to_be_visible()


@pytest.mark.thorough
def test_the_queue_as_a_whole_is_resumed_and_paused(page: Page, node: Node) -> None:
    expect(page.get_by_text("The queue is paused")).to_contain_text("a test")
    for name in NAMES:  # they would run and be gone
        page.get_by_role("button", name=f"Cancel the build of {name}").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Cancel the build")).to_be_disabled()
        dialog.get_by_role("textbox").fill(name)
        dialog.get_by_role("button", name="Cancel the build").click()
        expect(names(page).filter(has_text=name)).to_have_count(0)
    expect(page.get_by_text("Nothing runs or waits")).to_be_visible()
    page.get_by_role("button", name="Resume the queue").click()
    expect(page.get_by_text("The queue is paused")).to_be_hidden()
    page.get_by_role("button", name="Pause the queue").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.get_by_text("The queue is paused")).to_be_visible()
    assert node.get("/api/queue")["paused"]


@pytest.mark.thorough
def test_cancelling_asks_first(page: Page, node: Node) -> None:
    page.get_by_role("button", name="Cancel the build of docs").click()
    page.get_by_role("dialog").get_by_role("button", name="Back").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert "docs" in listed(node)


@pytest.mark.thorough
def test_filters_stand_in_the_address(page: Page) -> None:
    page.get_by_role("combobox", name="Priority", exact=True).select_option("high")
    expect(page.get_by_text("No build matches the filters")).to_be_visible()
    page.get_by_role("combobox", name="Priority", exact=True).select_option("")
    page.get_by_label("Workspace, person, node or id").fill("do")
    expect(names(page)).to_have_text(["docs"])
    expect(page.get_by_text("1 of 4 builds")).to_be_visible()
    page.reload()
    expect(names(page)).to_have_text(["docs"])


@pytest.mark.thorough
def test_an_observer_changes_nothing(observer: Visit, waiting: list[str]) -> None:
    page = observer.page
    page.goto("/ui/queue")
    expect(names(page)).to_have_text(NAMES)
    expect(handle(page, "shop")).to_be_disabled()
    expect(page.get_by_role("button", name=re.compile("^Cancel"))).to_have_count(0)
    expect(page.get_by_role("button", name="Pause the queue")).to_have_count(0)


@pytest.mark.thorough
def test_axe_finds_nothing_serious(
    page: Page, owner: Visit, require_accessible: Callable[[Visit], None]
) -> None:
    require_accessible(owner)


@pytest.mark.thorough
def test_a_builder_moves_their_own_builds_and_those_of_others_stay(
    builder: Visit, keys: dict[str, str], node: Node, waiting: list[str], tmp_path: Path
) -> None:
    page = builder.page
    own = []
    for name in ("docs", "site"):
        body = {"root": str(tmp_path / name), "environment": {}, "force": True}
        headers = {"Authorization": f"Bearer {keys['builder']}"}
        asked = page.request.post("/api/build", data=body, headers=headers)
        assert asked.ok, asked.text()
        own.append(str(asked.json()["build_id"]))
    try:
        page.goto("/ui/queue")
        mine = rows(page).filter(has_text="builder agent on")
        expect(mine.locator(".queue-name")).to_have_text(["docs", "site"])
        expect(
            page.get_by_text("You can change the builds that builder (agent) asked for")
        ).to_be_visible()
        first, second = mine.nth(0), mine.nth(1)
        expect(first.get_by_role("button", name="Move the build of docs up")).to_be_disabled()
        second.get_by_role("button", name="Move the build of site up").click()
        expect(mine.locator(".queue-name")).to_have_text(["site", "docs"])
        told = listed_ids(node)
        assert told == [*waiting, *own[::-1]]
        for row in (first, second):
            place = told.index(str(row.get_attribute("data-build"))) + 1
            expect(row.locator(".queue-place")).to_have_text(str(place))
        builder.picture("queue-builder")
    finally:
        for build in own:
            node("queue", "cancel", build)
