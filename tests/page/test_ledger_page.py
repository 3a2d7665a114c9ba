"""The ledger's page: a timeline that goes on live, entries, proofs, verification, notes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.page.conftest import Visiting

from testbed.nodes import Node
from testbed.visits import PHONE, Visit

ENTRIES = ".timeline-entry"


def note(node: Node, text: str, **about: str) -> str:
    """Put a note on record; return its id."""
    return str(node.post("/api/ledger/entries", {"text": text, "ack": "sealed", **about})["id"])


def entry(page: Page, text: str) -> Locator:
    """Return the entry that says this."""
    return page.locator(ENTRIES).filter(has_text=text)


def test_entries_are_narrowed_down_and_the_address_says_to_what(owner: Visit, node: Node) -> None:
    note(node, "the roof is mended", entity="node:node2")
    page = owner.page
    page.goto("/ui/ledger")
    expect(entry(page, "The node node1 joined")).to_be_visible()
    page.get_by_label("About").select_option("notes and settings")
    expect(entry(page, "the roof is mended")).to_be_visible()
    expect(entry(page, "The node node1 joined")).to_have_count(0)
    assert "type=system" in page.url
    page.get_by_label("Words in an entry").fill("no such words")
    expect(page.get_by_text("No entry fits")).to_be_visible()
    page.get_by_label("Words in an entry").fill("ROOF")
    expect(entry(page, "the roof is mended")).to_have_count(1)
    page.reload()
    expect(entry(page, "the roof is mended")).to_have_count(1)
    expect(page.get_by_label("About")).to_have_value("system.*")
    page.goto("/ui/ledger?actor=nobody-of-this-name")
    expect(page.get_by_text("No entry fits")).to_be_visible()


@pytest.mark.thorough
def test_the_origin_and_the_time_narrow_down_too(owner: Visit) -> None:
    page = owner.page
    page.goto("/ui/ledger")
    page.get_by_label("Recorded by").select_option("node2")
    expect(entry(page, "The node node2 joined")).to_be_visible()
    expect(entry(page, "The node node1 joined")).to_have_count(0)
    page.get_by_label("When").select_option("between …")
    page.get_by_label("Until").fill("2001-01-01T00:00")
    expect(page.get_by_text("No entry fits")).to_be_visible()
    page.get_by_label("When").select_option("the last day")
    expect(entry(page, "The node node2 joined")).to_be_visible()


@pytest.mark.thorough
def test_new_entries_are_there_by_themselves_and_sealed(owner: Visit, node: Node) -> None:
    page = owner.page
    note(node, "there from the beginning")
    page.goto("/ui/ledger?type=system.*")
    expect(entry(page, "there from the beginning")).to_be_visible()
    owner.wait_until_live()
    for words in ("seen without a reload", "and so is the next"):
        note(node, words)
        expect(entry(page, words)).to_contain_text("sealed")
        expect(entry(page, words)).not_to_contain_text("not sealed yet")


@pytest.mark.thorough
def test_while_it_is_paused_new_entries_wait_and_are_counted(owner: Visit, node: Node) -> None:
    page = owner.page
    page.goto("/ui/ledger")
    owner.wait_until_live()
    expect(page.locator(ENTRIES).first).to_be_visible()
    page.get_by_role("button", name="Pause live data").click()
    note(node, "who pauses does not see this")
    more = page.get_by_role("button", name=re.compile(r"\d+ new entr"))
    expect(more).to_be_visible()
    expect(entry(page, "who pauses does not see this")).to_have_count(0)
    more.click()
    expect(entry(page, "who pauses does not see this")).to_be_visible()
    note(node, "and who goes on sees all")
    page.get_by_role("button", name="Go on with live data").click()
    expect(entry(page, "and who goes on sees all")).to_be_visible()


@pytest.mark.thorough
def test_a_list_longer_than_a_page_goes_on(owner: Visit, node: Node) -> None:
    for number in range(55):
        node.post("/api/ledger/entries", {"text": f"one of many: {number}."})
    page = owner.page
    page.goto("/ui/ledger?text=one+of+many")
    expect(page.get_by_text("50 entries shown, more follow")).to_be_visible()
    page.get_by_role("button", name="Show more").click()
    expect(entry(page, "one of many: 0.")).to_be_visible()
    expect(page.locator(ENTRIES)).to_have_count(55)


@pytest.mark.thorough
def test_an_entry_tells_what_it_books_and_where_it_stands(owner: Visit, node: Node) -> None:
    page = owner.page
    page.goto("/ui/ledger?type=node.resources")
    entry(page, "resources").first.get_by_role("link").click()
    expect(page.get_by_text("debits and credits are the same")).to_be_visible()
    postings = page.get_by_role("table", name="Postings")
    expect(postings.get_by_role("columnheader", name="debit")).to_be_visible()
    expect(postings).to_contain_text("/cores/free")
    chain = page.get_by_role("region", name="In the chain of")
    before = chain.get_by_role("link").first
    expect(before).to_be_visible()
    here = page.url
    before.click()
    expect(page).not_to_have_url(here)
    expect(chain.get_by_role("link", name="resources")).to_be_visible()
    owner.picture("ledger-entry")
    page.get_by_role("link", name="Next", exact=True).click()
    expect(page).to_have_url(here)
    page.get_by_role("link", name="Previous", exact=True).click()
    expect(page).not_to_have_url(here)


@pytest.mark.thorough
def test_an_entry_that_is_looked_at_is_sealed_and_the_next_one_comes(
    owner: Visit, node: Node
) -> None:
    page = owner.page
    made = note(node, "the newest of all", ack="local")
    page.goto(f"/ui/ledger/{made}")
    expect(page.get_by_role("heading", name="the newest of all")).to_be_visible()
    expect(page.get_by_text("not sealed yet")).to_have_count(0)
    note(node, "and one more")
    page.get_by_role("link", name="Next", exact=True).click()
    expect(page.get_by_role("heading", name="the newest of all")).to_have_count(0)
    chain = page.get_by_role("region", name="In the chain of")
    expect(chain.get_by_role("link", name="the newest of all")).to_be_visible()


@pytest.mark.thorough
def test_a_proof_that_is_downloaded_holds(owner: Visit, node: Node, tmp_path: Path) -> None:
    made = note(node, "this can be proved")
    page = owner.page
    page.goto(f"/ui/ledger/{made}")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the proof").click()
    name = download.value.suggested_filename
    expect(page.get_by_text(f"buildnet ledger check-proof {name}")).to_be_visible()
    file = tmp_path / name
    download.value.save_as(file)
    checked = node("ledger", "check-proof", str(file), "--json").data
    assert checked["holds"]
    assert checked["entry"]["id"] == made


@pytest.mark.thorough
def test_the_ledger_is_verified_and_how_it_went_is_told(owner: Visit) -> None:
    page = owner.page
    page.goto("/ui/ledger?tab=verification")
    card = page.get_by_role("region", name="Verification")
    expect(card).to_contain_text("Not verified since this page was opened")
    page.get_by_role("button", name="Verify now").click()
    expect(card.get_by_text("verified", exact=True)).to_be_visible()
    expect(card).to_contain_text(re.compile(r"\d+ entries and \d+ seals? checked"))
    expect(page.get_by_role("region", name="Sealing")).to_contain_text("works")
    expect(page.get_by_role("table", name="Seals").get_by_role("row")).not_to_have_count(1)
    owner.picture("ledger-verification")


@pytest.mark.thorough
def test_who_may_only_look_neither_verifies_nor_writes(observer: Visit) -> None:
    page = observer.page
    page.goto("/ui/ledger?tab=verification")
    expect(page.get_by_text("To verify takes the rights of an admin")).to_be_visible()
    expect(page.get_by_role("button", name="Verify now")).to_have_count(0)
    expect(page.get_by_role("button", name="Write a note…")).to_have_count(0)


@pytest.mark.thorough
def test_a_note_is_written_and_waits_for_its_seal(owner: Visit) -> None:
    page = owner.page
    page.goto("/ui/ledger")
    page.get_by_role("button", name="Write a note…").click()
    page.get_by_label("What everybody should be able to read").fill("the cooling is serviced")
    page.get_by_label("About (optional)").fill("node:node1")
    page.get_by_label("Wait until a majority").check()
    page.get_by_role("button", name="Put on record").click()
    expect(page.get_by_text("Noted and sealed")).to_be_visible()
    expect(entry(page, "the cooling is serviced")).to_be_visible()


@pytest.mark.thorough
def test_the_state_of_something_at_a_seal_is_looked_up(owner: Visit, node: Node) -> None:
    note(node, "first words", entity="node:node3")
    height = node.get("/api/ledger/seals")["height"]
    note(node, "last words", entity="node:node3")
    page = owner.page
    page.goto("/ui/ledger?tab=state")
    page.get_by_label("What").fill("node:node3")
    page.get_by_role("button", name="Look it up").click()
    state = page.get_by_role("region", name="State", exact=True)
    expect(state).to_contain_text("last words")
    page.get_by_role("textbox", name="At").fill(str(height))
    page.get_by_role("button", name="Look it up").click()
    expect(state).to_contain_text("first words")
    expect(state).to_contain_text(f"as of seal {height}")


@pytest.mark.thorough
def test_what_fits_is_exported(owner: Visit, node: Node, tmp_path: Path) -> None:
    made = note(node, "to be exported")
    page = owner.page
    page.goto("/ui/ledger?text=to+be+exported")
    page.get_by_role("button", name="Export…").click()
    page.get_by_label("As", exact=True).select_option("JSON")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    file = tmp_path / "ledger.json"
    download.value.save_as(file)
    assert [each["id"] for each in json.loads(file.read_text())] == [made]


@pytest.mark.thorough
def test_what_is_not_there_is_told_with_the_command(owner: Visit) -> None:
    owner.forgive("404")
    owner.page.goto(f"/ui/ledger/{'0' * 64}")
    expect(owner.page.get_by_role("alert")).to_contain_text("buildnet ledger show")


@pytest.mark.thorough
def test_axe_finds_nothing_serious_and_a_phone_has_room(
    visiting: Visiting, node: Node, require_accessible: Callable[[Visit], None]
) -> None:
    visit = visiting(viewport=PHONE)
    visit.log_in()
    made = note(node, "looked at by axe")
    for path in (
        "/ui/ledger",
        "/ui/ledger?tab=verification",
        "/ui/ledger?tab=state&entity=node:node1",
        f"/ui/ledger/{made}",
    ):
        visit.page.goto(path)
        visit.wait_until_live()
        expect(visit.page.get_by_role("heading", level=1)).to_be_visible()
        expect(visit.page.locator(".skeleton")).to_have_count(0)
        require_accessible(visit)
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    visit.page.goto("/ui/ledger")
    expect(visit.page.locator(ENTRIES).first).to_be_visible()
    visit.picture("ledger")


@pytest.mark.thorough
def test_what_others_wrote_hides_nothing(owner: Visit, node: Node) -> None:
    written = note(node, "see shop\u202etxt.exe\u200b there")
    page = owner.page
    page.goto(f"/ui/ledger/{written}")
    expect(page.locator("body")).to_contain_text("see shop[U+202E]txt.exe[U+200B] there")
    assert "\u202e" not in page.locator("body").inner_text()
    owner.picture("ledger-hidden")
