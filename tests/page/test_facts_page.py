"""What the page tells of builds is so: which of them wait, what is only an estimate, what a build
went by, and who ended it."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import pytest
from playwright.sync_api import expect

from buildnet.cli.testing import write_files
from testbed.nodes import Node
from testbed.visits import Visit


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file for which commands wait."""
    return tmp_path / "gate"


@pytest.fixture
def root(tmp_path: Path, gate: Path) -> Path:
    """A workspace whose two packages wait for it."""
    name = f"gated-{secrets.token_hex(3)}"
    wait = f"while [ ! -e {gate} ]; do sleep 0.05; done"
    package = "  - {name: %s, path: %s, dependencies: [%s], isolation: staged, build_cmd: '%s'}\n"
    packages = "".join(
        package % (name, name, needs, f"{wait}; cat in.txt")
        for name, needs in (("core", ""), ("web", "core"))
    )
    return write_files(
        tmp_path / name,
        {
            "core/in.txt": str(tmp_path),
            "web/in.txt": str(tmp_path),
            "buildnet.yaml": f"workspace: {name}\npackages:\n{packages}",
        },
    )


def begin(node: Node, root: Path, **asked: object) -> str:
    return str(node.post("/api/build", {"root": str(root), "environment": {}, **asked})["build_id"])


@pytest.mark.thorough
def test_a_build_that_waited_runs_and_who_ends_it_is_told(
    owner: Visit, node: Node, root: Path
) -> None:
    page = owner.page
    page.goto("/ui/builds")
    first, second = begin(node, root), begin(node, root, force=True)
    waits = page.get_by_text("waits for another build of this workspace")
    expect(waits).to_be_visible()
    owner.picture("build-waits")
    node.post(f"/api/build/{first}/cancel")
    expect(waits).to_have_count(0)
    card = page.locator(".running-build")
    expect(card).to_have_count(1)
    expect(card.get_by_text("running", exact=True)).to_be_visible()
    page.reload()
    expect(card.get_by_text("running", exact=True)).to_be_visible()
    page.goto("/")
    expect(card.get_by_text("running", exact=True)).to_be_visible()
    owner.picture("build-waited-and-runs")
    node.post(f"/api/queue/{second}/cancel", {"actor": "berta"})
    expect(page.get_by_text(f"berta cancelled the build of {root.name}")).to_be_visible()
    owner.picture("build-cancelled-by")


@pytest.mark.thorough
def test_an_estimate_waits_for_no_build_and_is_none(owner: Visit, node: Node, root: Path) -> None:
    page = owner.page
    build = begin(node, root)
    page.goto("/ui/builder")
    page.get_by_label("Workspace", exact=True).select_option(str(root))
    expect(page.get_by_text("2 tasks to do")).to_be_visible()
    owner.picture("builder-estimate-beside-a-build")
    badge = page.get_by_role("link", name="Builds 1", exact=True)
    expect(badge).to_be_visible()
    badge.click()
    expect(page.locator(".running-build")).to_have_count(1)
    node.post(f"/api/build/{build}/cancel")
    expect(page.locator(".running-build")).to_have_count(0)


@pytest.mark.thorough
def test_a_build_tells_what_it_went_by(owner: Visit, node: Node, root: Path, gate: Path) -> None:
    gate.touch()
    node.post("/api/configs", {"id": "two-cores", "resources": {"cpu": {"cores": 2}}})
    build = begin(node, root, config_id="two-cores")
    page = owner.page
    page.goto(f"/ui/builds/{build}")
    again = page.get_by_role("button", name="Run again")
    expect(again).to_be_visible()
    page.get_by_text("On the command line").click()
    expect(page.get_by_text("--config two-cores")).to_be_visible()
    owner.picture("build-went-by")
    again.click()
    expect(page).not_to_have_url(re.compile(build))
    expect(again).to_be_visible()
    page.get_by_role("link", name="two-cores").click()
    expect(page).to_have_url(re.compile(r"/ui/builder\?config=two-cores"))
    expect(page.get_by_label("Cores in all")).to_have_value("2")
