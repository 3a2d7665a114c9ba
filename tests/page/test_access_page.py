"""People look after access, settings and the cache."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from buildnet.cli.testing import write_files
from testbed.building import Building
from testbed.nodes import Node
from testbed.visits import Visit


@pytest.fixture
def built(node: Node, tmp_path: Path) -> list[str]:
    """The actions of a build on the node: of ``shared``, and of ``app``."""
    write_files(
        tmp_path,
        {
            "buildnet.yaml": "workspace: shop\npackages:\n"
            "  - {name: shared, path: shared, build_cmd: cp in.txt out.txt,"
            " outputs: [shared/out.txt]}\n"
            "  - {name: app, path: app, build_cmd: cp in.txt out.txt, outputs: [app/out.txt],"
            " dependencies: [shared]}\n",
            "shared/in.txt": "shared\n",
            "app/in.txt": "app\n",
        },
    )
    report = Building(node, tmp_path, local_only=True).report()
    return [str(one["action"]) for one in report["packages"]]


def test_a_key_is_made_used_and_revoked(
    owner: Visit, node: Node, visiting: Callable[[], Visit]
) -> None:
    page = owner.page
    page.goto("/ui/access?tab=keys")
    page.get_by_role("button", name="New key…").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("review-agent")
    page.get_by_role("radio", name="observer").check()
    page.get_by_role("button", name="Make the key").click()
    secret = page.get_by_role("dialog").get_by_text("v4.public.").inner_text()
    page.get_by_role("button", name="I have it").click()
    expect(page.get_by_role("row", name="review-agent")).to_contain_text("valid")

    agent = visiting()
    agent.log_in_with_key(secret)
    expect(agent.page.get_by_role("link", name="Settings")).to_have_count(0)

    page.get_by_role("row", name="review-agent").get_by_role("button", name="Revoke…").click()
    revoke = page.get_by_role("button", name="Revoke", exact=True)
    expect(revoke).to_be_disabled()
    page.get_by_label("Type review-agent to go on").fill("review-agent")
    revoke.click()
    expect(page.get_by_role("row", name="review-agent")).to_contain_text("revoked")
    assert node.get("/api/keys/review-agent")["status"] == "revoked"
    # Whoever is there with it is told, and can't go on.
    agent.forgive("401")
    expect(agent.page.get_by_test_id("live")).to_have_text("ended")


@pytest.mark.thorough
def test_who_is_there_is_seen_and_shown_out(
    owner: Visit, builder: Visit, require_accessible: Callable[[Visit], None]
) -> None:
    page = owner.page
    page.goto("/ui/access?way=web")
    there = page.get_by_role("row", name=re.compile("builder"))
    expect(there).to_contain_text("browser")
    owner.picture("access-sessions")
    require_accessible(owner)
    there.get_by_role("button", name="End…").click()
    dialog = page.get_by_role("dialog")
    name = dialog.locator("strong").inner_text()
    dialog.get_by_role("textbox").fill(name)
    dialog.get_by_role("button", name="End it").click()
    expect(there).to_have_count(0)
    builder.forgive("401")
    expect(builder.page.get_by_test_id("live")).to_have_text("ended")


@pytest.mark.thorough
def test_who_comes_and_goes_is_seen_without_asking_again(
    owner: Visit, node: Node, visiting: Callable[[], Visit]
) -> None:
    key = node.post("/api/keys", {"name": "passer-by", "rights": "observer"})["key"]
    page = owner.page
    page.goto("/ui/access?way=web")
    expect(page.get_by_role("row", name=re.compile("you"))).to_contain_text("connected")
    there = page.get_by_role("row", name=re.compile("passer-by"))
    expect(there).to_have_count(0)
    guest = visiting()
    guest.log_in_with_key(str(key))
    expect(there).to_contain_text("browser")
    guest.forgive("401")
    (session,) = [
        str(one["id"])
        for one in node.get("/api/sessions")["sessions"]
        if one["actor"] == "agent:passer-by" and one["way"] == "web"
    ]
    assert node("session", "kick", session, "--yes").code == 0
    expect(there).to_have_count(0)


@pytest.mark.thorough
def test_an_account_gets_a_link_other_rights_and_goes(
    owner: Visit, visiting: Callable[[], Visit], require_accessible: Callable[[Visit], None]
) -> None:
    page = owner.page
    page.goto("/ui/access?tab=people")
    page.get_by_role("button", name="New account…").click()
    page.get_by_role("dialog").get_by_label("Name").fill("anna")
    page.get_by_label("Who that is").fill("Anna, backend")
    page.get_by_role("button", name="Make the account").click()
    row = page.get_by_role("row", name="anna")
    expect(row).to_contain_text("builder")
    owner.picture("access-people")
    require_accessible(owner)

    row.get_by_role("button", name="Login link…").click()
    page.get_by_role("button", name="Make the link").click()
    link = page.get_by_role("dialog").get_by_text("/login#").inner_text()
    page.get_by_role("button", name="Close", exact=True).click()
    anna = visiting()
    anna.page.goto(link)
    anna.page.get_by_role("button", name="Log in").click()
    anna.wait_until_live()
    expect(anna.page.get_by_role("banner")).to_contain_text("anna")
    anna.close()

    row.get_by_role("button", name="Change rights…").click()
    page.get_by_role("radio", name="observer").check()
    page.get_by_role("button", name="Change", exact=True).click()
    expect(row).to_contain_text("observer")
    row.get_by_role("button", name="Remove…").click()
    page.get_by_label("Type anna to go on").fill("anna")
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(row).to_have_count(0)


@pytest.mark.thorough
def test_a_setting_is_changed_and_a_wrong_one_is_refused(
    owner: Visit, node: Node, require_accessible: Callable[[Visit], None]
) -> None:
    page = owner.page
    page.goto("/ui/settings?q=cache.max_gb")
    row = page.locator(".setting", has_text="cache.max_gb")
    owner.picture("settings")
    require_accessible(owner)
    row.get_by_role("button", name="Change cache.max_gb").click()
    field = page.get_by_label("New value of cache.max_gb")
    field.fill("much")
    page.get_by_role("button", name="Save").click()
    owner.forgive("400|422")
    expect(page.get_by_role("alert")).to_contain_text("cache.max_gb")
    field.fill("7")
    page.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("node.yaml")
    found = {one["key"]: one for one in node.get("/api/node/config")["settings"]}
    assert 7 in (found["cache.max_gb"]["value"], found["cache.max_gb"].get("next_start"))


@pytest.mark.thorough
def test_an_observer_gets_nothing_to_change(observer: Visit) -> None:
    page = observer.page
    page.goto("/ui/access?tab=keys")
    expect(page.get_by_role("link", name="Sessions")).to_be_visible()
    expect(page.get_by_role("link", name="Keys")).to_have_count(0)
    page.goto("/ui/cache")
    expect(page.get_by_role("heading", name="Room")).to_be_visible()
    expect(page.get_by_role("button", name="Clear…")).to_have_count(0)


def test_a_cached_result_is_looked_at_and_removed(
    owner: Visit,
    node: Node,
    built: list[str],
    require_accessible: Callable[[Visit], None],
) -> None:
    page = owner.page
    page.goto("/ui/cache")
    rows = page.get_by_role("table").get_by_role("row")
    expect(rows).to_have_count(1 + len(built))
    owner.picture("cache")
    require_accessible(owner)
    page.get_by_role("searchbox", name="Package or task").fill("shared")
    expect(page).to_have_url(re.compile("label=shared"))
    expect(rows).to_have_count(2)
    page.get_by_role("button", name=built[0][:12]).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Ran on")
    places = dialog.get_by_role("region", name="Where it lies").get_by_role("listitem")
    expect(places.filter(has_text="node1")).to_contain_text("has it")
    expect(places).to_have_count(3)
    owner.picture("cache-result")
    require_accessible(owner)
    dialog.get_by_role("button", name="Delete…").click()
    page.get_by_label(f"Type {built[0][:12]} to go on").fill(built[0][:12])
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("No result's label contains that")).to_be_visible()
    left = [one["action"] for one in node.get("/api/cache/actions")["actions"]]
    assert left == [built[1]]
