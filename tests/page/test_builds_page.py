"""People watch builds, end them, ask for them again, and see what they are made of."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Page, expect

from buildnet.cli.testing import write_files
from testbed.nodes import Cluster, Node
from testbed.visits import Visit

SVG = "{http://www.w3.org/2000/svg}"


class Shop:
    """A workspace whose packages take as long as a test wants: ``base`` is built at once, ``left``
    and ``right`` need it, ``app`` needs both. No result of another one is its."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = root.name
        write_files(
            root,
            {
                **{
                    f"{path}/in.txt": f"{path} of {self.name}"
                    for path in ("libs/base", "libs/left", "libs/right", "app")
                },
                "buildnet.yaml": self.definition(),
            },
        )

    def definition(self, *, command: str = "cp in.txt out.txt", wait_s: float = 0.0) -> str:
        """Return the workspace's file; all but ``base`` run ``command`` after ``wait_s``."""

        def package(path: str, needs: str, said: str) -> str:
            name = path.rpartition("/")[2]
            return (
                f"  - {{name: {name}, path: {path}, dependencies: [{needs}], "
                f"outputs: [{path}/out.txt], build_cmd: '{said}'}}\n"
            )

        slow = f"echo working; sleep {wait_s}; {command}"
        return f"workspace: {self.name}\npackages:\n" + "".join(
            (
                package("libs/base", "", "cp in.txt out.txt"),
                package("libs/left", "base", slow),
                package("libs/right", "base", slow),
                package("app", "left, right", slow),
            )
        )

    def change(self, **said: Any) -> None:
        """Write another definition."""
        (self.root / "buildnet.yaml").write_text(self.definition(**said))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / f"shop-{secrets.token_hex(3)}")


def begin(node: Node, shop: Shop, **asked: Any) -> str:
    """Begin a build as the owner of the node, and return its id."""
    body = {"root": str(shop.root), "environment": {}, **asked}
    return str(node.post("/api/build", body)["build_id"])


def ended(node: Node, build: str) -> str:
    """Wait for a build's end, and return its id."""
    while node.get(f"/api/build/{build}")["status"] == "running":
        time.sleep(0.05)
    return build


def drawn(page: Page, package: str, state: str) -> Any:
    """Return the package in the drawing if it is in that state."""
    return page.locator(f".graph-node.{state}").filter(has_text=re.compile(f"^{package}$"))


def test_a_distributed_build_is_watched_live(
    visiting: Callable[..., Visit], cluster: Cluster, shop: Shop
) -> None:
    first, second, _ = cluster.members
    shop.change(wait_s=2.5)
    here, there = visiting(), visiting(second)
    for visit in (here, there):
        visit.log_in("/ui/builds")
    build = begin(first, shop)
    here.page.get_by_role("link", name=re.compile(shop.name)).first.click()
    # Another node's page shows it as well as its own.
    there.page.get_by_role("link", name=re.compile(shop.name)).first.click()
    for visit in (here, there):
        page = visit.page
        expect(page.get_by_role("heading", name=build)).to_be_visible()
        expect(drawn(page, "base", "built")).to_be_visible()
        expect(drawn(page, "left", "running")).to_be_visible()
        expect(drawn(page, "app", "waiting")).to_be_visible()
    here.picture("build-live")
    for visit in (here, there):
        expect(drawn(visit.page, "app", "built")).to_be_visible()
        expect(visit.page.get_by_text("succeeded").first).to_be_visible()
    here.page.get_by_role("link", name="Timeline").click()
    expect(here.page.get_by_role("img", name=re.compile("Timeline of 4 tasks"))).to_be_visible()
    here.page.get_by_text("As a table: 4 tasks").click()
    expect(here.page.get_by_role("row", name=re.compile("^app "))).to_contain_text("yes")
    ended(first, build)


@pytest.mark.thorough
def test_ones_own_build_is_cancelled_by_a_click(owner: Visit, node: Node, shop: Shop) -> None:
    shop.change(wait_s=60)
    build = begin(node, shop)
    page = owner.page
    page.goto(f"/ui/builds/{build}")
    expect(drawn(page, "left", "running")).to_be_visible()
    page.get_by_role("button", name="Cancel…").click()
    window = page.get_by_role("dialog")
    expect(window.get_by_role("heading")).to_contain_text(f"of {shop.name}")
    window.get_by_role("button", name="Cancel the build").click()
    expect(page.locator(".build-head").get_by_text("cancelled").first).to_be_visible()
    expect(drawn(page, "left", "cancelled")).to_be_visible()
    assert node.get(f"/api/build/{build}")["status"] == "cancelled"


@pytest.mark.thorough
def test_what_failed_stands_on_top_and_is_built_again_alone(
    owner: Visit, node: Node, shop: Shop
) -> None:
    shop.change(command="echo no such colour >&2; false")
    failed = ended(node, begin(node, shop, keep_going=True))
    page = owner.page
    page.goto(f"/ui/builds/{failed}")
    told = page.get_by_role("region", name="What failed")
    expect(told.get_by_role("alert").first).to_contain_text("no such colour")
    expect(told.get_by_text(f"buildnet history {failed} --log left")).to_be_visible()
    owner.picture("build-failed")
    shop.change()
    page.get_by_role("button", name="Only the 3 not done").click()
    page.wait_for_url(lambda address: failed not in address)
    expect(page.locator(".build-head").get_by_text("succeeded")).to_be_visible()
    assert node.get("/api/builds?limit=1")["builds"][0]["request"]["packages"] != []


@pytest.mark.thorough
def test_a_package_tells_why_it_was_built_and_is_built_alone(
    owner: Visit, node: Node, shop: Shop
) -> None:
    ended(node, begin(node, shop))
    (shop.root / "libs/left/in.txt").write_text("other")
    build = ended(node, begin(node, shop))
    page = owner.page
    page.goto(f"/ui/builds/{build}")
    drawn(page, "left", "built").click()
    panel = page.get_by_role("complementary", name="Package left")
    expect(panel).to_contain_text("file libs/left/in.txt changed")
    expect(panel).to_contain_text("libs/left")
    expect(page).to_have_url(re.compile("package=left"))
    panel.get_by_role("button", name="Only what is related").click()
    expect(page.locator(".graph-node")).to_have_count(3)
    panel.get_by_role("button", name="Build just this one").click()
    page.wait_for_url(lambda address: build not in address)
    expect(page.locator(".build-head")).to_contain_text(re.compile(r"Asked for\s*left"))


@pytest.mark.thorough
def test_a_graph_is_grouped_searched_listed_and_exported(
    owner: Visit,
    node: Node,
    shop: Shop,
    tmp_path: Path,
    require_accessible: Callable[[Visit], None],
) -> None:
    build = ended(node, begin(node, shop))
    page = owner.page
    page.goto(f"/ui/builds/{build}")
    expect(page.locator(".graph-node")).to_have_count(4)
    require_accessible(owner)
    page.get_by_label("Find a package").fill("ri")
    expect(page.locator(".graph-node.found")).to_have_text(["right"])
    page.get_by_label("Find a package").fill("")
    with page.expect_download() as svg:
        page.get_by_role("button", name="SVG").click()
    svg.value.save_as(tmp_path / "graph.svg")
    read = ElementTree.parse(tmp_path / "graph.svg").getroot()
    assert {each.text for each in read.iter(f"{SVG}text")} == {"base", "left", "right", "app"}
    assert not [each for each in read.iter() if "foreignObject" in each.tag]
    with page.expect_download() as png:
        page.get_by_role("button", name="PNG").click()
    png.value.save_as(tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    page.get_by_label("Directories").select_option("yes")
    expect(page.locator(".graph-node")).to_have_text(["at the root (1)", "libs/ (3)"])
    page.locator(".graph-node").filter(has_text="libs/").click()
    expect(page.locator(".graph-node")).to_have_count(4)
    owner.picture("graph-open-directory")
    page.locator(".graph-node").filter(has_text="left").get_by_label("Close libs/").click()
    expect(page.locator(".graph-node")).to_have_text(["at the root (1)", "libs/ (3)"])
    expect(page.get_by_role("complementary")).to_have_count(0)  # nothing was selected by it
    page.locator(".graph-node").filter(has_text="libs/").click()
    page.get_by_role("list", name="Open directories").get_by_role("button").press("Enter")
    expect(page.locator(".graph-node")).to_have_count(2)
    page.get_by_label("Directories").select_option("")
    page.get_by_role("button", name="As a list").click()
    row = page.get_by_role("row", name=re.compile("^left"))
    expect(row).to_contain_text("base")
    row.get_by_role("button", name="left").press("Enter")
    expect(page.get_by_role("complementary", name="Package left")).to_be_visible()
    require_accessible(owner)


@pytest.mark.thorough
def test_two_builds_are_compared(
    owner: Visit, node: Node, shop: Shop, require_accessible: Callable[[Visit], None]
) -> None:
    before = ended(node, begin(node, shop))
    (shop.root / "libs/right/in.txt").write_text("other")
    after = ended(node, begin(node, shop))
    page = owner.page
    page.goto(f"/ui/builds/{after}")
    page.get_by_role("link", name="Compare…").click()
    page.get_by_role("button", name="The one before it").click()
    expect(page).to_have_url(re.compile(f"a={before}"))
    expect(page.get_by_role("row", name=re.compile("^right "))).to_contain_text(
        "file libs/right/in.txt changed"
    )
    require_accessible(owner)
    owner.picture("builds-compared")


@pytest.mark.thorough
def test_builds_are_found_by_filters_that_stand_in_the_address(
    owner: Visit, node: Node, shop: Shop, require_accessible: Callable[[Visit], None]
) -> None:
    good = ended(node, begin(node, shop, packages=["left"]))
    shop.change(command="false")
    bad = ended(node, begin(node, shop))
    page = owner.page
    page.goto("/ui/builds")
    expect(page.get_by_role("link", name=good)).to_be_visible()
    require_accessible(owner)
    page.get_by_label("Status").select_option("failed")
    expect(page.get_by_role("link", name=bad)).to_be_visible()
    expect(page.get_by_role("link", name=good)).to_have_count(0)
    expect(page).to_have_url(re.compile("status=failed"))
    page.get_by_label("Status").select_option("")
    page.get_by_label("Search id, package, person").fill(good)
    expect(page.get_by_role("link", name=bad)).to_have_count(0)
    page.reload()
    expect(page.get_by_role("link", name=good)).to_be_visible()
    expect(page.get_by_role("link", name=bad)).to_have_count(0)
    owner.picture("builds")


@pytest.mark.thorough
def test_builds_of_all_nodes_are_listed_and_opened(
    owner: Visit, cluster: Cluster, shop: Shop, require_accessible: Callable[[Visit], None]
) -> None:
    first, second, _ = cluster.members
    page = owner.page
    page.goto(f"/ui/builds?workspace={shop.name}")
    expect(page.get_by_text("No build fits these filters")).to_be_visible()
    build = second.command.build(shop.root)["build_id"]
    # The list hears of it: nobody asks for it again.
    row = page.get_by_role("region", name="Earlier builds").get_by_role("row", name=build)
    expect(row).to_contain_text(second.name)
    require_accessible(owner)
    page.get_by_label("Node", exact=True).select_option(label=first.name)
    expect(row).to_have_count(0)
    page.get_by_label("Node", exact=True).select_option(label=second.name)
    expect(page).to_have_url(re.compile(f"node={second.identity}"))
    row.get_by_role("link", name=build).click()
    expect(page.get_by_text("succeeded").first).to_be_visible()
    expect(page.get_by_text(shop.name).first).to_be_visible()


@pytest.mark.thorough
def test_a_build_is_estimated_and_begun_in_the_page(
    builder: Visit, node: Node, shop: Shop, require_accessible: Callable[[Visit], None]
) -> None:
    ended(node, begin(node, shop))  # its owner opens the workspace to others by that
    page = builder.page
    page.goto("/ui/builds")
    page.get_by_role("button", name="Build…").click()
    window = page.get_by_role("dialog")
    window.get_by_label("Workspace").select_option(label=shop.name)
    window.get_by_label("left").check()
    window.get_by_label("force").check()
    window.get_by_role("button", name="Estimate").click()
    expect(window.get_by_role("status").first).to_contain_text("confidence")
    expect(window.get_by_text("buildnet build left --force -C")).to_be_visible()
    require_accessible(builder)
    builder.picture("build-dialog")
    window.get_by_role("button", name="Build", exact=True).click()
    page.wait_for_url(re.compile("/ui/builds/[0-9a-f]{12}"))
    expect(page.locator(".build-head").get_by_text("succeeded")).to_be_visible()
    expect(page.locator(".build-head")).to_contain_text("left")


@pytest.mark.thorough
def test_what_a_build_made_is_listed_with_its_papers(
    owner: Visit, node: Node, shop: Shop, tmp_path: Path
) -> None:
    build = ended(node, begin(node, shop))
    page = owner.page
    page.goto(f"/ui/builds/{build}?tab=artifacts")
    page.get_by_text(re.compile("^left")).click()
    expect(page.get_by_role("row", name=re.compile("out.txt")).first).to_contain_text("bytes")
    page.goto(f"/ui/builds/{build}?tab=review")
    expect(page.get_by_role("heading", name=re.compile("The critical path"))).to_be_visible()
    owner.picture("build-review")


@pytest.mark.thorough
def test_a_package_is_seen_with_what_it_needs_and_its_history(
    owner: Visit, node: Node, shop: Shop, require_accessible: Callable[[Visit], None]
) -> None:
    ended(node, begin(node, shop))
    page = owner.page
    page.goto("/ui/packages")
    page.get_by_label("Workspace").select_option(label=shop.name)
    drawn(page, "left", "idle").click()
    panel = page.get_by_role("complementary", name="Package left")
    expect(panel).to_contain_text("Needed by 1")
    expect(panel).to_contain_text("all its files that git does not ignore")
    expect(panel).to_contain_text("1 run")
    require_accessible(owner)
    owner.picture("packages")
    panel.get_by_role("button", name="app").click()
    expect(page.get_by_role("complementary", name="Package app")).to_contain_text("Needs 2")
