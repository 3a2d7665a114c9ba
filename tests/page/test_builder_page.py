"""The builder on the page: a configuration shaped by dragging, kept, and built with."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect
from tests.page.conftest import Visiting

from buildnet.cli.testing import write_files
from testbed.building import Building
from testbed.dragging import drop, take
from testbed.nodes import Cluster, Node
from testbed.visits import PHONE, Visit

TOOL = "git"


@pytest.fixture(scope="module")
def bare() -> bool:
    return False  # tools are dragged


@pytest.fixture(scope="module")
def workspace(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of two packages that was built once, so that others may build it; one of them
    was changed since."""
    root = tmp_path_factory.mktemp("shop")
    text = "workspace: shop\npackages:\n" + "".join(
        f"  - {{name: {name}, path: {name}, build_cmd: sleep 0.2; cp in.txt out.txt,"
        f" outputs: [{name}/out.txt]}}\n"
        for name in ("a", "b")
    )
    write_files(root, {"buildnet.yaml": text, "a/in.txt": f"{root}\n", "b/in.txt": f"{root}\n"})
    Building(node, root).report()
    (root / "a/in.txt").write_text("changed\n")
    return root


@pytest.fixture
def page(owner: Visit) -> Page:
    owner.page.goto("/ui/builder")
    expect(owner.page.locator(".palette-node")).to_have_count(3)
    return owner.page


def zone(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def offer(page: Page, what: str, of: str) -> Locator:
    return page.get_by_role("button", name=re.compile(f"^Drag {what} .*{of}$"))


def drag(page: Page, what: str, of: str, into: str) -> None:
    """Drag something of the palette into a zone that takes it."""
    take(page, offer(page, what, of), zone(page, into))
    expect(zone(page, into)).to_have_class(re.compile("takes over"))
    drop(page)


def kept(node: Node, kind: str) -> dict[str, dict[str, Any]]:
    """Return what is kept and not built in, by its id."""
    return {each["id"]: each for each in node.get(f"/api/{kind}")[kind] if not each["system"]}


def cores_of(node: Node, number: int) -> int:
    found = next(one for one in node.get("/api/pool")["nodes"] if one["name"] == f"node{number}")
    return int(found["resources"]["cpu"]["cores"])


def test_a_configuration_is_dragged_together_kept_and_run(
    page: Page, owner: Visit, node: Node, workspace: Path
) -> None:
    drag(page, r"\d+ cores", "node1", "CPU")
    drag(page, r"\d+ cores", "node2", "CPU")
    drag(page, TOOL, r"\d nodes", "Tools and runtimes")
    pieces = zone(page, "CPU").get_by_role("listitem")
    expect(pieces).to_have_count(2)

    pieces.nth(1).get_by_role("spinbutton").fill("1")
    page.get_by_label(f"Version of {TOOL}").fill(">=1")
    page.get_by_role("combobox", name="Workspace").select_option(label="shop")
    expect(page.get_by_role("region", name="Estimate")).to_contain_text("1 task to do")
    expect(page.get_by_role("region", name="Estimate")).to_contain_text("Confidence")
    page.get_by_role("combobox", name="Profile").select_option("speed")
    expect(page.get_by_role("region", name="Latency").get_by_role("cell")).to_have_count(4)
    expect(page.get_by_text("unsaved changes")).to_be_visible()
    owner.picture("builder")

    page.get_by_role("button", name="Save as template").click()
    page.get_by_role("dialog").get_by_role("textbox", name="Id").fill("pair")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Kept as the template pair")).to_be_visible()
    named = [
        {"node_id": "node1", "cores": cores_of(node, 1)},
        {"node_id": "node2", "cores": 1},
    ]
    resources = {
        "cpu": {"node_allocations": named},
        "tools": [{"name": TOOL, "version": ">=1"}],
    }
    assert kept(node, "templates")["pair"]["config"]["resources"] == resources

    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("dialog").get_by_label("save it first").check()
    page.get_by_role("dialog").get_by_role("textbox", name="Id").fill("two-nodes")
    page.get_by_role("dialog").get_by_role("button", name="Save and run").click()
    page.wait_for_url("**/ui/builds/*")
    build = page.url.rpartition("/")[2]
    expect(page.get_by_role("main")).to_contain_text("succeeded")
    assert kept(node, "configs")["two-nodes"]["resources"] == resources
    recorded = node.get("/api/builds?limit=1")["builds"][0]
    assert recorded["build_id"] == build
    choice = recorded["request"]["choice"]
    assert (choice["configuration"], choice["profile"]) == ("two-nodes", "speed")


@pytest.mark.thorough
def test_what_nobody_kept_is_run_as_it_is(
    page: Page, owner: Visit, node: Node, workspace: Path
) -> None:
    drag(page, r"\d+ cores", "node1", "CPU")
    zone(page, "CPU").get_by_role("listitem").get_by_role("spinbutton").fill("1")
    page.get_by_role("button", name="Run", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Workspace").select_option(label="shop")
    owner.picture("builder-run")
    dialog.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/ui/builds/*")
    build = page.url.rpartition("/")[2]
    expect(page.get_by_role("main")).to_contain_text("succeeded")
    choice = node.get(f"/api/build/{build}")["request"]["choice"]
    named = {"cpu": {"node_allocations": [{"node_id": "node1", "cores": 1}]}}
    assert (choice["configuration"], choice["unkept"]["resources"]) == (None, named)
    assert "" not in kept(node, "configs")


@pytest.mark.thorough
def test_what_was_done_is_undone_and_done_again(page: Page) -> None:
    drag(page, r"\d+ cores", "node1", "CPU")
    drag(page, r".* memory", "node2", "Memory")
    cpu, memory = (zone(page, name).get_by_role("listitem") for name in ("CPU", "Memory"))
    expect(memory).to_have_count(1)
    page.keyboard.press("Control+z")
    expect(memory).to_have_count(0)
    page.keyboard.press("Control+z")
    expect(cpu).to_have_count(0)
    expect(page.get_by_text("unsaved changes")).to_be_hidden()
    page.keyboard.press("Control+Shift+z")
    expect(cpu).to_have_count(1)
    page.get_by_role("button", name="Redo").click()
    expect(memory).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(memory).to_have_count(0)
    expect(page.get_by_text("unsaved changes")).to_be_visible()


@pytest.mark.thorough
def test_a_zone_says_why_it_does_not_take_something(page: Page) -> None:
    take(page, offer(page, r"\d+ cores", "node1"), zone(page, "Memory"))
    expect(zone(page, "Memory")).to_contain_text("No: cores: that goes to CPU")
    expect(zone(page, "CPU")).to_contain_text(
        re.compile(r"Yes: \d+ of \d+ cores of node1 are free")
    )
    drop(page)
    expect(zone(page, "Memory")).to_contain_text("Not taken: cores: that goes to CPU")
    expect(page.locator(".piece")).to_have_count(0)


def test_pieces_are_put_by_keyboard(page: Page) -> None:
    offer(page, r"\d+ cores", "node2").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text(re.compile("cores of node2 is picked up"))).to_be_attached()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_text(re.compile("is over CPU. Yes:"))).to_be_attached()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_text(re.compile("is over Memory. No:"))).to_be_attached()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_text(re.compile("is over CPU. Yes:"))).to_be_attached()
    page.keyboard.press("Space")
    expect(zone(page, "CPU").get_by_role("listitem")).to_have_count(1)
    page.get_by_role("button", name=re.compile("^Add .* memory of node2 to Memory$")).press("Enter")
    expect(zone(page, "Memory").get_by_role("listitem")).to_have_count(1)


@pytest.mark.thorough
def test_what_the_pool_has_not_is_told_at_the_piece(page: Page) -> None:
    page.get_by_role("button", name=re.compile(f"^Add {TOOL} of ")).click()
    page.get_by_label(f"Version of {TOOL}").fill(">=99")
    piece = zone(page, "Tools and runtimes").get_by_role("listitem")
    expect(piece).to_contain_text(f"the tool {TOOL} >=99 is nowhere")
    page.get_by_label(f"Version of {TOOL}").fill("newest of all")
    expect(piece).to_contain_text("a version requirement")
    page.get_by_label(f"Version of {TOOL}").fill("")
    expect(piece).not_to_have_class(re.compile("bad"))


@pytest.mark.thorough
def test_a_node_that_goes_offline_marks_its_pieces(page: Page, cluster: Cluster) -> None:
    page.get_by_role("button", name=re.compile("^Add .* cores of node3 to CPU$")).click()
    piece = zone(page, "CPU").get_by_role("listitem")
    expect(piece).to_contain_text("free now")
    third = cluster.members[2]
    third.kill()
    expect(piece).to_contain_text(re.compile("node3 is (suspect|offline)"), timeout=60_000)
    expect(piece).to_have_class(re.compile("bad"))
    third.start()
    expect(piece).to_contain_text("free now", timeout=60_000)


@pytest.mark.thorough
def test_the_export_is_that_of_the_command_line(page: Page, node: Node) -> None:
    document = {
        "id": "whole",
        "name": "Whole: all of it",
        "resources": {
            "cpu": {"cores": 3, "node_allocations": [{"node_id": "node1", "cores": 1}]},
            "memory": {"node_allocations": [{"node_id": "node2", "gb": 1.5}]},
            "storage": {"volumes": [{"node_id": "node2", "purpose": "output", "size_gb": 2}]},
            "tools": [{"name": TOOL, "version": ">=1"}],
        },
        "execution": {"strategy": "fastest"},
    }
    node.post("/api/configs", document)
    page.goto("/ui/builder?tab=kept")
    page.get_by_role("button", name="whole", exact=True).click()
    expect(page.locator(".piece")).to_have_count(4)
    expect(page.get_by_text("unsaved changes")).to_be_hidden()
    page.get_by_role("button", name="Export").click()
    text = page.get_by_label("The configuration as text")
    expect(text).to_have_value(re.compile("id: whole"))
    assert text.input_value() == node("config", "export", "whole").out
    page.get_by_role("combobox", name="Format").select_option("json")
    expect(text).to_have_value(re.compile("^{"))
    page.get_by_role("button", name="Close", exact=True).click()

    page.get_by_role("button", name="Import").click()
    page.get_by_label("Or its text").fill("id: taken\nresources: {cpu: {coers: 2}}\n")
    page.get_by_role("button", name="Take it up").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("resources.cpu.coers")
    page.get_by_label("Or its text").fill("id: taken\nresources: {cpu: {cores: 2}}\n")
    page.get_by_role("button", name="Take it up").click()
    expect(page.get_by_label("Cores in all")).to_have_value("2")


@pytest.mark.thorough
def test_a_link_opens_what_is_kept_and_who_saves_too_late_is_asked(
    owner: Visit, page: Page, node: Node
) -> None:
    node.post("/api/configs", {"id": "shared", "resources": {"cpu": {"cores": 1}}})
    page.goto("/ui/builder?tab=kept")
    page.get_by_role("button", name="shared", exact=True).click()
    page.wait_for_url("**/ui/builder?config=shared")
    page.reload()
    cores, version = page.get_by_label("Cores in all"), page.get_by_text(re.compile("^version "))
    expect(version).to_have_text("version 1")
    expect(cores).to_have_value("1")
    owner.forgive("409")
    for theirs, button in (("2", "Load theirs"), ("3", "Keep mine under another id")):
        node("config", "edit", "shared", "--set", f"resources.cpu.cores={theirs}")
        cores.fill("7")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name=button).click()
        if theirs == "2":
            expect(cores).to_have_value(theirs)
            expect(version).to_have_text("version 2")
    page.get_by_label("Id").fill("mine")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.wait_for_url("**/ui/builder?config=mine")
    expect(cores).to_have_value("7")
    assert {"shared", "mine"} <= set(kept(node, "configs"))


@pytest.mark.thorough
def test_what_is_kept_is_renamed_and_deleted(page: Page, node: Node, owner: Visit) -> None:
    node.post("/api/configs", {"id": "old", "resources": {"cpu": {"cores": 1}}})
    page.goto("/ui/builder?tab=kept&kind=configuration")
    row = page.get_by_role("row", name=re.compile("old"))
    expect(row).to_be_visible()
    owner.picture("builder-kept")
    row.get_by_role("button", name="Rename old").click()
    page.get_by_role("dialog").get_by_label("Title").fill("Of last year")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(row).to_contain_text("Of last year")
    row.get_by_role("button", name="Delete old").click()
    delete = page.get_by_role("dialog").get_by_role("button", name="Delete")
    expect(delete).to_be_disabled()
    page.get_by_label("Type old to go on").fill("old")
    delete.click()
    expect(row).to_have_count(0)
    assert "old" not in kept(node, "configs")


@pytest.mark.thorough
def test_a_template_is_filled_in(page: Page) -> None:
    page.get_by_role("button", name="From a template").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Template").select_option("local-only")
    dialog.get_by_label("cores").fill("1")
    dialog.get_by_role("button", name="Use it").click()
    expect(dialog).to_be_hidden()
    expect(page.locator(".piece")).to_have_count(1)
    expect(page.get_by_text("unsaved changes")).to_be_visible()
    page.get_by_role("button", name="New").click()
    expect(page.locator(".piece")).to_have_count(0)


@pytest.mark.thorough
def test_who_leaves_with_unsaved_changes_is_asked_and_other_views_keep_them(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Add .* cores of node1 to CPU$")).click()
    expect(page.get_by_text("unsaved changes")).to_be_visible()
    views = page.get_by_role("navigation", name="Views")
    views.get_by_role("link", name="Overview").click()
    expect(page.locator(".piece")).to_have_count(0)
    views.get_by_role("link", name="Builder").click()
    expect(page.locator(".piece")).to_have_count(1)
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.reload()
    assert asked == ["beforeunload"]


@pytest.mark.thorough
def test_a_phone_shapes_too(visiting: Visiting) -> None:
    visit = visiting(viewport=PHONE)
    visit.log_in("/ui/builder")
    page = visit.page
    page.get_by_role("button", name=re.compile("^Add .* cores of node1 to CPU$")).click()
    expect(zone(page, "CPU").get_by_role("listitem")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.thorough
def test_who_may_only_look_keeps_and_runs_nothing(observer: Visit) -> None:
    page = observer.page
    page.goto("/ui/builder")
    page.get_by_role("button", name=re.compile("^Add .* cores of node1 to CPU$")).click()
    for name in ("Save", "Save as template", "Run"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    expect(page.get_by_role("button", name="Export")).to_be_visible()


@pytest.mark.thorough
def test_axe_finds_nothing_serious(
    page: Page, owner: Visit, require_accessible: Callable[[Visit], None]
) -> None:
    page.get_by_role("button", name=re.compile("^Add .* cores of node1 to CPU$")).click()
    page.get_by_role("button", name=re.compile(f"^Add {TOOL} of ")).click()
    expect(page.locator(".piece")).to_have_count(2)
    require_accessible(owner)
