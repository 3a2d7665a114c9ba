"""People look at the pool, its nodes and the links between them, and look after them.

The last test kills a node: others of the cluster come before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.page.conftest import Visiting

from buildnet.cli.testing import write_files
from testbed.building import Building, many_commands
from testbed.nodes import Cluster, Node
from testbed.ports import free_ports
from testbed.visits import Visit

NAMES = ("node1", "node2", "node3")


def card(page: Page, name: str) -> Locator:
    """The card of a node."""
    return page.get_by_role("listitem").filter(
        has=page.get_by_role("heading", name=name, exact=True)
    )


def server(node: Node, name: str) -> dict[str, Any]:
    """A server as the command line lists it."""
    listed = json.loads(node("server", "list", "--json").out)["servers"]
    return next(one for one in listed if one["name"] == name)


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Node]:
    """A node of its own that runs."""
    node = Node(tmp_path / "node4", "node4", listen=f"127.0.0.1:{free_ports(1)[0]}", bare=True)
    node.start()
    try:
        yield node
    finally:
        node.kill()


def test_the_overview_says_how_the_cluster_is(
    owner: Visit, node: Node, require_accessible: Callable[[Visit], None]
) -> None:
    page = owner.page
    health = page.get_by_role("region", name="Health of the cluster")
    expect(health).to_contain_text("3 nodes, all there")
    expect(health).to_contain_text("3 of 3 voters reachable")
    told = node.get("/api/node")["coordinator"]
    expect(page.get_by_test_id("coordinator")).to_have_text(f"{told['name']}, term {told['term']}")
    cores = node.get("/api/pool")["aggregate"]["total_cpu_cores"]
    resources = page.get_by_role("region", name="Resources of the pool")
    expect(resources).to_contain_text(f"of {cores} in use")
    expect(page.get_by_role("region", name="Recent events")).to_contain_text("node3 joined")
    owner.picture("overview")
    require_accessible(owner)


@pytest.mark.thorough
def test_what_happens_is_told_on_the_overview(owner: Visit, node: Node) -> None:
    node.post("/api/ledger/entries", {"text": "the lab moves on Friday"})
    events = owner.page.get_by_role("region", name="Recent events")
    expect(events).to_contain_text("the lab moves on Friday")


@pytest.mark.thorough
def test_a_build_is_seen_running_on_the_overview(owner: Visit, node: Node, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    write_files(
        tmp_path,
        {
            "buildnet.yaml": "workspace: shop\npackages:\n  - {name: app, path: .,"
            f" build_cmd: 'until [ -e {gate} ]; do sleep 0.05; done', isolation: workspace}}\n"
        },
    )
    build = Building(node, tmp_path, local_only=True)
    with ThreadPoolExecutor(1) as thread:
        report = thread.submit(build.report)
        builds = owner.page.get_by_role("region", name="Builds")
        expect(builds).to_contain_text("1 build running")
        expect(builds.get_by_role("link", name="shop")).to_contain_text("0 of 1 task done")
        gate.touch()
        assert report.result()["status"] == "succeeded"
    expect(builds).to_contain_text("Nothing is built")


@pytest.mark.thorough
def test_the_ledger_is_verified_and_a_node_invited_by_clicks(owner: Visit) -> None:
    page = owner.page
    page.get_by_role("button", name="Verify the ledger").click()
    page.get_by_role("button", name="Verify", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Everything is as it was written")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Invite a node").click()
    page.get_by_role("textbox", name="Tags").fill("gpu lab")
    page.get_by_role("button", name="Invite", exact=True).click()
    command = page.get_by_role("dialog").get_by_text("buildnet node start")
    expect(command).to_contain_text("--token bn1-")
    expect(command).to_contain_text('node_tags=["gpu", "lab"]')


@pytest.mark.thorough
def test_three_nodes_are_seen_with_their_figures(
    owner: Visit, node: Node, require_accessible: Callable[[Visit], None]
) -> None:
    page = owner.page
    page.goto("/ui/nodes")
    for one in node.get("/api/pool")["nodes"]:
        shown = card(page, one["name"])
        cores = one["resources"]["cpu"]["cores"]
        expect(shown).to_contain_text(f"of {cores} cores in use by builds")
        expect(shown.get_by_role("meter")).to_have_count(3)
        expect(shown).to_contain_text("worker")
        trip = "this node" if one["this_node"] else re.compile(r"Round trip(about )?[\d.]+ ms")
        expect(shown).to_contain_text(trip)
        expect(shown).to_contain_text(re.compile(r"Measured(just now|\d+ s ago)"))
    owner.picture("nodes")
    require_accessible(owner)


@pytest.mark.thorough
def test_nodes_are_filtered_and_sorted_in_the_address(owner: Visit) -> None:
    page = owner.page
    page.goto("/ui/nodes")
    page.get_by_label("Name, tag, CPU…").fill("node2")
    expect(page.get_by_text("1 of 3 nodes")).to_be_visible()
    expect(page).to_have_url(re.compile(r"text=node2"))
    page.goto("/ui/nodes?as=table&sort=-name")
    rows = page.get_by_role("row")
    expect(rows.nth(1)).to_contain_text("node3")
    page.get_by_role("button", name="name").click()
    expect(rows.nth(1)).to_contain_text("node1")


@pytest.mark.thorough
def test_drain_and_resume_by_clicks(owner: Visit, node: Node) -> None:
    page = owner.page
    page.goto("/ui/nodes/node2")
    page.get_by_role("button", name="Drain").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("drained")
    assert server(node, "node2")["draining"]
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Drain")).to_be_visible()
    assert not server(node, "node2")["draining"]


@pytest.mark.thorough
def test_a_node_s_page_tells_all_of_it(
    owner: Visit, node: Node, require_accessible: Callable[[Visit], None]
) -> None:
    page = owner.page
    page.goto("/ui/nodes/node1")
    hardware = node.get("/api/node/members")["members"][0]["id"]
    expect(page.get_by_role("region", name="Hardware")).to_contain_text(hardware)
    expect(page.get_by_role("region", name="Storage").get_by_role("meter").first).to_be_attached()
    expect(page.get_by_role("region", name="Network")).to_contain_text("node2")
    expect(page.get_by_role("region", name="What it works on")).to_contain_text("lends nothing")
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text("sealed")
    history.get_by_label("Show").select_option(label="starts and stops")
    expect(history).to_contain_text("The node node1 joined")
    owner.picture("node")
    require_accessible(owner)


@pytest.mark.thorough
def test_tags_and_limits_are_changed_where_the_owner_is(owner: Visit, node: Node) -> None:
    page = owner.page
    page.goto("/ui/nodes/node1")
    page.get_by_role("button", name="Limits and tags").click()
    change = page.get_by_role("button", name="Change", exact=True)
    expect(change).to_be_disabled()
    page.get_by_role("textbox", name="Tags").fill("lab fast")
    page.get_by_label("Commands at once at most").fill("1")
    change.click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    told = server(node, "node1")
    assert (told["tags"], told["slots"]) == (["lab", "fast"], 1)
    page.get_by_role("button", name="Limits and tags").click()
    page.get_by_label("Forget all that was said before").check()
    page.get_by_role("button", name="Reset").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert server(node, "node1")["tags"] == []


@pytest.mark.thorough
def test_what_another_owner_keeps_to_themselves_is_told_with_its_remedy(owner: Visit) -> None:
    owner.forgive("403")
    page = owner.page
    page.goto("/ui/nodes/node2")
    page.get_by_role("button", name="Limits and tags").click()
    page.get_by_role("textbox", name="Tags").fill("mine")
    page.get_by_role("button", name="Change", exact=True).click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("SERVER_REFUSED")
    expect(alert).to_contain_text("scheduling.accept_changes")


@pytest.mark.thorough
def test_who_only_looks_is_offered_nothing_to_do(observer: Visit) -> None:
    page = observer.page
    page.goto("/ui/nodes/node2")
    expect(page.get_by_role("region", name="Hardware")).to_be_visible()
    for name in ("Drain", "Limits and tags", "Remove", "Revoke"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.goto("/ui/nodes")
    expect(card(page, "node1")).to_be_visible()
    expect(page.get_by_role("button", name="Invite a node")).to_have_count(0)


@pytest.mark.thorough
def test_links_are_seen_in_a_graph_and_opened_by_keyboard(
    owner: Visit, require_accessible: Callable[[Visit], None]
) -> None:
    page = owner.page
    page.goto("/ui/topology")
    graph = page.get_by_role("region", name="Graph of nodes and links")
    for name in NAMES:
        expect(graph.get_by_role("link", name=name)).to_be_visible()
    expect(graph.get_by_text(re.compile(r"^~?[\d.]+ ms"))).to_have_count(3)
    owner.picture("topology")
    require_accessible(owner)
    graph.get_by_role("link", name="node2").click()
    expect(page.get_by_role("region", name="Links of node2")).to_contain_text("2 links")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/ui/nodes/\w{16}$"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("node2")


@pytest.mark.thorough
def test_links_are_seen_in_a_matrix(
    owner: Visit, require_accessible: Callable[[Visit], None]
) -> None:
    page = owner.page
    page.goto("/ui/topology?tab=matrix")
    rows = page.get_by_role("row").filter(has=page.get_by_role("rowheader"))
    expect(rows).to_have_count(3)
    expect(rows.first.get_by_role("cell")).to_have_count(3)
    expect(rows.first).to_contain_text(re.compile(r"[\d.]+ ms"))
    cell = rows.first.get_by_role("cell").nth(1)
    expect(cell).to_have_attribute("title", re.compile(r"^node1 and node2: [\d.]+ ms.*"))
    owner.picture("matrix")
    require_accessible(owner)


@pytest.mark.thorough
def test_who_asks_is_approved_and_revoked_by_name(owner: Visit, node: Node, newcomer: Node) -> None:
    page = owner.page
    page.goto("/ui/nodes")
    with ThreadPoolExecutor(1) as thread:
        joined = thread.submit(newcomer.post, "/api/pool/join", {"address": node.address})
        request = page.get_by_role("region", name="node4 asks to be admitted")
        expect(request).to_contain_text(newcomer.identity)
        expect(request).to_contain_text(node.get("/api/node/requests")["requests"][0]["code"])
        request.get_by_role("button", name="Approve").click()
        joined.result()
    expect(request).to_have_count(0)
    expect(card(page, "node4")).to_be_visible()

    page.goto("/ui/nodes/node4")
    page.get_by_role("button", name="Revoke").click()
    dialog = page.get_by_role("dialog")
    revoke = dialog.get_by_role("button", name="Revoke")
    dialog.get_by_label("Type node4 to go on").fill("node3")
    expect(revoke).to_be_disabled()
    dialog.get_by_label("Why").fill("it was a test")
    dialog.get_by_label("Type node4 to go on").fill("node4")
    revoke.click()
    expect(page.get_by_text("There is no node node4 in the pool")).to_be_visible()
    everybody = json.loads(node("node", "list", "--all", "--json").out)["members"]
    assert [one["status"] for one in everybody if one["name"] == "node4"] == ["revoked"]


@pytest.mark.thorough
def test_what_a_node_lends_is_told_on_its_page(owner: Visit, node: Node, tmp_path: Path) -> None:
    page = owner.page
    page.goto("/ui/nodes/node2")
    works = page.get_by_role("region", name="What it works on")
    expect(works).to_contain_text("It lends nothing to anybody now")
    build = Building(node, many_commands(tmp_path, "lent", "sleep 300"))
    build.until_started(1)
    try:
        lease = works.get_by_role("listitem").filter(has=page.get_by_role("link", name="many"))
        expect(lease).to_contain_text(re.compile(r"many of test on node1 *\d+ commands? at once"))
        owner.picture("node-lends")
    finally:
        (running,) = node.get("/api/builds?status=running")["builds"]
        node.post(f"/api/build/{running['build_id']}/cancel")
    assert build.report()["status"] == "cancelled"
    expect(works).to_contain_text("It lends nothing to anybody now")
    history = page.get_by_role("region", name="History")
    history.get_by_label("Show").select_option(label="what it lent")
    expect(history).to_contain_text("node2 allocated resources to the build of many")


def test_a_new_coordinator_is_shown_once_the_former_one_is_gone(
    visiting: Visiting, cluster: Cluster
) -> None:
    former = cluster.coordinator(cluster.settle())
    watched = next(node for node in cluster.members if node is not former)
    visit = visiting(watched)
    visit.log_in()
    shown = visit.page.get_by_test_id("coordinator")
    expect(shown).to_contain_text(former.name)
    former.kill()
    others = [node.name for node in cluster.members if node is not former]
    expect(shown).to_have_text(re.compile(rf"^({'|'.join(others)}), term \d+$"))
    told = watched.get("/api/node")["coordinator"]
    expect(shown).to_have_text(f"{told['name']}, term {told['term']}")
    expect(visit.page.get_by_role("region", name="Alerts")).to_contain_text(former.name)
    events = visit.page.get_by_role("region", name="Recent events")
    for _ in range(2):
        expect(events).to_contain_text(f"{told['name']} coordinates now")
        expect(events).to_contain_text(f"{former.name} is offline")
        visit.page.reload()
    visit.page.goto("/ui/nodes")
    visit.page.get_by_role("link", name=former.name, exact=True).click()
    expect(visit.page.get_by_text("It is offline: it can be drained")).to_be_visible()
    expect(visit.page.get_by_role("button", name="Drain")).to_have_count(0)
    visit.picture("node-offline")
