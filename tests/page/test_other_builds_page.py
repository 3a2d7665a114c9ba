"""People look at builds of one node on the page of another, until that one is lost."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from buildnet.cli.testing import write_files
from testbed.nodes import Cluster, Node, NodeError
from testbed.visits import Visit

PATIENCE_S = 60.0
SHOP = """\
workspace: shop
packages:
  - {name: base, path: base, build_cmd: "echo of base; cp in.txt out.txt", outputs: [base/out.txt]}
  - name: app
    path: app
    build_cmd: "echo of app; cp in.txt out.txt"
    outputs: [app/out.txt]
    dependencies: [base]
"""


def until(what: Callable[[], Any]) -> Any:
    """Wait until something is true; return it."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)
    return found


def problem_at(node: Node, build: str) -> str:
    """Return why a node does not tell of a build; empty: it does."""
    try:
        node.get(f"/api/build/{build}")
    except NodeError as error:
        return str(error)
    return ""


def open_tab(page: Page, name: str) -> None:
    page.get_by_label("Parts of the build").get_by_role("link", name=name, exact=True).click()


@pytest.mark.thorough
def test_a_build_that_is_lost_with_its_node_says_so(
    visiting: Callable[..., Visit], cluster: Cluster, tmp_path: Path
) -> None:
    driver, other, _ = reversed(cluster.members)
    waiting = SHOP.replace("echo of app;", "echo of app; sleep 600;")
    files = {"buildnet.yaml": waiting, "base/in.txt": "c", "app/in.txt": "d"}
    root = write_files(tmp_path / "waiting", files)
    body = {"root": str(root), "environment": {}, "local_only": True}
    build = driver.post("/api/build", body)["build_id"]
    until(lambda: not problem_at(other, build))
    visit = visiting(other)
    visit.forgive("503|404")
    visit.log_in(f"/ui/builds/{build}")
    page = visit.page
    expect(page.locator(".graph-node.built").filter(has_text="base")).to_be_visible()
    expect(page.locator(".graph-node.running").filter(has_text="app")).to_be_visible()
    expect(page.get_by_label("How it stands")).to_contain_text(driver.name)
    driver.kill()
    expect(page.get_by_role("alert")).to_contain_text(f"is on record on {driver.name}")
    visit.picture("build-that-is-lost")
    driver.start()
    # Once the node is back it says what became of its build.
    expect(page.get_by_text("cancelled").first).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="is on record on")).to_have_count(0)
    cluster.settle()


def test_a_build_of_another_node_is_looked_at_until_that_one_is_lost(
    visiting: Callable[..., Visit],
    cluster: Cluster,
    tmp_path: Path,
    require_accessible: Callable[[Visit], None],
) -> None:
    driver, other, third = reversed(cluster.members)  # the first one is who coordinates
    files = {"buildnet.yaml": SHOP, "base/in.txt": "a", "app/in.txt": "b"}
    build = driver.command.build(write_files(tmp_path / "shop", files))["build_id"]
    until(lambda: not problem_at(other, build))

    visit = visiting(other)
    visit.log_in(f"/ui/builds/{build}")
    page = visit.page
    expect(page.get_by_role("heading", name=build)).to_be_visible()
    expect(page.get_by_label("How it stands")).to_contain_text(driver.name)
    node = page.locator(".graph-node").filter(has_text=re.compile("^app$"))
    expect(node).to_be_visible()
    visit.picture("build-of-another-node")
    open_tab(page, "Timeline")
    expect(page.get_by_role("img", name=re.compile("Timeline of 2 tasks"))).to_be_visible()
    open_tab(page, "Review")
    expect(page.get_by_role("heading", name=re.compile("The critical path"))).to_be_visible()
    open_tab(page, "Artifacts")
    page.get_by_label("Artifacts").get_by_text(re.compile("^app")).click()
    expect(page.get_by_role("row", name=re.compile("out.txt")).first).to_contain_text("1 byte")
    with page.expect_download() as download:
        page.get_by_role("link", name="out.txt").first.click()
    assert Path(download.value.path()).read_text() == "b"
    page.goto(f"/ui/builds/{build}?tab=log&task=app%23build")
    expect(page.get_by_text("of app").first).to_be_visible()

    driver.kill()
    until(lambda: "BUILD_ELSEWHERE" in problem_at(third, build))
    # Where it was looked at it is still told, with the age of that.
    page.goto(f"/ui/builds/{build}?tab=tasks")
    expect(page.get_by_label("How it stands")).to_contain_text("which told this")
    expect(page.get_by_role("row", name=re.compile("^app"))).to_be_visible()
    # Elsewhere it is said who has it, and what the ledger knows of it.
    lost = visiting(third)
    lost.forgive(r"503|404.*/events")
    lost.log_in(f"/ui/builds/{build}")
    alert = lost.page.get_by_role("alert")
    expect(alert).to_contain_text(f"is on record on {driver.name}")
    expect(alert).to_contain_text("last heard of")
    known = lost.page.get_by_label("What the ledger knows")
    expect(known.get_by_role("row", name=re.compile("^app"))).to_contain_text("succeeded")
    expect(known).to_contain_text(f"buildnet ledger list --build {build}")
    lost.picture("build-of-a-lost-node")
    require_accessible(lost)
