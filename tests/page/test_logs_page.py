"""Logs in the page: a running build is followed, a log is searched, and a line is linked to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect
from tests.page.conftest import Visiting

from buildnet.cli.testing import write_files
from testbed.building import Building
from testbed.nodes import Cluster, Node
from testbed.visits import PHONE, Visit

LINES = 3_000
MANY_LINES = 100_005
WIDE: ViewportSize = {"width": 1400, "height": 900}
TALKS = "i=0; while :; do i=$((i+1)); echo step $i; sleep 0.02; done"
PRINTS = f"""i=0
while [ $i -lt {LINES} ]; do
  i=$((i+1))
  case $i in
    1500|2000) printf 'line %s has a \\033[1;31mneed\\033[32mle\\033[0m\\n' $i ;;
    *) echo "line $i" ;;
  esac
done
echo made > out.txt
"""
LONG_NAME = "n" * 200
QUIET = "echo one; echo two; printf thr; while :; do printf e; sleep 0.3; done"
FAILS = "echo first words; echo 'the reason: no more paper' >&2; exit 3"
EVIL = """printf 'nul \\000 turned \\342\\200\\256around\\n'
printf '<img src=x onerror=alert(1)>\\n'
printf 'was 10%%\\ris 100%%\\n'
head -c 1000000 /dev/zero | tr '\\0' x; echo
head -c 300000 /dev/zero | sed 's/\\x0/\\x1b[31m/g'; echo
echo the end > out.txt
echo the end
"""


@pytest.fixture(scope="module")
def bare() -> bool:
    return False


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages of which each has one command."""
    scripts = {
        **{"printer": PRINTS, "failing": FAILS, "evil": EVIL, "talker": TALKS},
        "quiet": QUIET,
        LONG_NAME: "echo made > out.txt; echo an end",
        "noisy": f"seq -f 'line %.0f of very many, in words that fill a row' {MANY_LINES}; exit 3",
    }
    packages = [
        f"  - name: {name}\n    path: {name}\n    build_cmd: sh ./run.sh\n"
        f"    outputs: [{name}/out.txt]\n"
        for name in scripts
    ]
    files = {f"{name}/run.sh": script for name, script in scripts.items()}
    files["buildnet.yaml"] = "workspace: printing\npackages:\n" + "".join(packages)
    directory = tmp_path_factory.mktemp("printing")
    write_files(directory, files)
    return directory


def built(node: Node, workspace: Path, package: str) -> str:
    """Build a package; return the build's id once it is over."""
    building = Building(node, workspace, packages=[package], local_only=True, force=True)
    building.until("build_finished", 1)
    return str(building.events[0]["build_id"])


@contextmanager
def talking(
    node: Node, workspace: Path, package: str = "talker", until: str = "task_started"
) -> Iterator[str]:
    """Build what does not end by itself; the context's value is the build's id."""
    building = Building(node, workspace, packages=[package], local_only=True, force=True)
    building.until(until, 1)
    build_id = str(building.events[0]["build_id"])
    try:
        yield build_id
    finally:
        node.post(f"/api/build/{build_id}/cancel")
        building.until("build_finished", 1)


def log_of(page: Page) -> Locator:
    return page.get_by_role("log")


def last_step(page: Page) -> int:
    """Return the number of the last line that is drawn."""
    return int(re.findall(r"step (\d+)", log_of(page).inner_text())[-1])


def open_log(visit: Visit, build_id: str, behind: str = "") -> Page:
    visit.page.goto(f"/ui/builds/{build_id}?tab=log{behind}")
    expect(log_of(visit.page)).to_be_visible()
    return visit.page


def test_a_running_build_is_followed_until_one_scrolls_up(
    owner: Visit, node: Node, workspace: Path
) -> None:
    with talking(node, workspace) as build_id:
        page = open_log(owner, build_id)
        log = log_of(page)
        expect(log).to_contain_text("talker#build │ step")
        page.wait_for_function(
            "() => { const log = document.querySelector('[role=log]');"
            " return log.scrollHeight > 2 * log.clientHeight }"
        )
        assert log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight") < 40
        log.focus()
        page.keyboard.press("Home")
        more = page.get_by_role("button", name="Follow the end")
        expect(more).to_be_visible()
        at = log.evaluate("log => log.scrollTop")
        height = log.evaluate("log => log.scrollHeight")
        page.wait_for_function(
            "height => document.querySelector('[role=log]').scrollHeight > height + 200", arg=height
        )
        assert log.evaluate("log => log.scrollTop") == at
        before = last_step(page)
        more.click()
        expect(more).to_have_count(0)
        page.wait_for_function(
            "() => { const log = document.querySelector('[role=log]');"
            " return log.scrollHeight - log.scrollTop - log.clientHeight < 40 }"
        )
        assert last_step(page) > before
        page.get_by_label("Output of", exact=True).select_option(label="talker#build (running)")
        expect(log).to_contain_text("step")
        expect(log).not_to_contain_text("talker#build │")


@pytest.mark.parametrize("size", [{"width": 1280, "height": 800}, WIDE, PHONE])
def test_the_end_that_is_followed_is_in_the_window(
    visiting: Visiting, node: Node, workspace: Path, size: ViewportSize
) -> None:
    visit = visiting(viewport=size)
    visit.log_in()
    visit.page.set_default_timeout(15_000)
    with talking(node, workspace) as build_id:
        page = open_log(visit, build_id)
        expect(page.get_by_text("following the end")).to_be_in_viewport(ratio=1)
        expect(log_of(page).locator(".log-row").last).to_be_in_viewport()
        visit.picture(f"log-end-{size['width']}")


def test_who_comes_late_sees_what_was_printed_before_and_how_it_goes_on(
    visiting: Visiting, cluster: Cluster, workspace: Path
) -> None:
    node, other = cluster.members[:2]
    with talking(node, workspace, "quiet", until="task_output") as build_id:
        for at in (node, other):
            visit = visiting(at)
            visit.log_in()
            lines = log_of(open_log(visit, build_id, "&task=quiet%23build")).locator(".log-code")
            expect(lines).to_have_text(["one", "two", re.compile("^thre*$")])
            more = len(lines.last.inner_text()) + 3
            expect(lines).to_have_text(["one", "two", re.compile(f"^thre{{{more - 3},}}$")])


@pytest.mark.thorough
def test_a_line_of_a_running_build_has_the_number_that_it_keeps(
    owner: Visit, node: Node, workspace: Path
) -> None:
    with talking(node, workspace) as build_id:
        page = open_log(owner, build_id)
        log = log_of(page)
        expect(log).to_contain_text("talker#build │ step")
        log.focus()
        page.keyboard.press("Home")
        row = log.locator(".log-row").first
        expect(row).to_contain_text("step")
        words = str(row.locator(".log-code").text_content()).partition("│ ")[2]
        row.get_by_role("link").click()
        page.wait_for_url(re.compile(r"task=talker%23build#L\d+$"))
        line = int(page.url.rpartition("#L")[2])
        assert words == f"step {line}"
        chosen = log.locator(".log-row.chosen")
        expect(chosen.locator(".log-code")).to_have_text(words)
        expect(chosen.get_by_role("link")).to_have_text(str(line))
        owner.picture("log-live-line")


@pytest.mark.thorough
def test_what_is_looked_for_is_found_one_after_the_other(
    owner: Visit, node: Node, workspace: Path
) -> None:
    page = open_log(owner, built(node, workspace, "printer"))
    log = log_of(page)
    expect(page.get_by_text(f"{LINES:,} lines")).to_be_visible()
    log.focus()
    page.keyboard.press("Control+f")
    box = page.get_by_label("Search the log")
    expect(box).to_be_focused()
    page.keyboard.type("NEEDLE")
    expect(page.get_by_text("2 found")).to_be_visible()
    for key, words, line in (
        ("Enter", "1 of 2", 1500),
        ("Enter", "2 of 2", 2000),
        ("Shift+Enter", "1 of 2", 1500),
    ):
        page.keyboard.press(key)
        expect(page.get_by_text(words)).to_be_visible()
        expect(log.get_by_text(f"line {line} has a needle")).to_be_in_viewport()
        expect(log.locator("mark.current").first).to_be_in_viewport()
    box.fill("not in there")
    expect(page.get_by_text("not found")).to_be_visible()


@pytest.mark.thorough
def test_lines_are_linked_to_and_copied(owner: Visit, node: Node, workspace: Path) -> None:
    page = open_log(owner, built(node, workspace, "printer"), "#L1500")
    log = log_of(page)
    expect(log.get_by_text("line 1500 has a needle")).to_be_in_viewport()
    expect(log.locator(".chosen")).to_have_count(1)
    log.get_by_role("link", name="Line 1501").click()
    log.get_by_role("link", name="Line 1503").click(modifiers=["Shift"])
    assert page.url.endswith("#L1501-L1503")
    page.get_by_role("button", name="Copy lines 1501 to 1503").click()
    expect(page.get_by_text("Copied lines 1501 to 1503")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "line 1501\nline 1502\nline 1503\n"
    other = owner.open_tab()
    other.goto(page.url)
    expect(log_of(other).locator(".chosen")).to_have_count(3)
    expect(log_of(other).get_by_text("line 1502")).to_be_in_viewport()


@pytest.mark.thorough
def test_a_link_leads_to_a_line_far_down_in_a_log_of_another_node(
    owner: Visit, cluster: Cluster, workspace: Path
) -> None:
    """It comes in pieces; and the box stands below what is said of the failure."""
    build = built(cluster.members[1], workspace, "noisy")
    page = owner.page
    for viewport, lines in ((WIDE, "L50000"), (PHONE, "L50000-L50003")):
        page.set_viewport_size(viewport)
        page.goto(f"/ui/builds/{build}?tab=log&task=noisy%23build#{lines}")
        expect(page.get_by_text("100,005 lines")).to_be_visible()
        expect(page.get_by_text("line 50000 of")).to_be_in_viewport()
    page.reload()
    expect(page.get_by_text("line 50000 of")).to_be_in_viewport()
    expect(page.get_by_text("100,005 lines")).to_be_visible()
    expect(page.get_by_text("line 50000 of")).to_be_in_viewport()
    page.evaluate("scrollTo(0, 0)")
    page.get_by_label("Search the log").fill("line 70707")
    expect(page.get_by_text("1 found")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_text("line 70707 of")).to_be_in_viewport()


@pytest.mark.thorough
def test_a_log_is_gone_through_by_keyboard(owner: Visit, node: Node, workspace: Path) -> None:
    page = open_log(owner, built(node, workspace, "printer"))
    log = log_of(page)
    log.focus()
    page.keyboard.press("G")
    expect(log.get_by_text(f"line {LINES}")).to_be_in_viewport()
    page.keyboard.press("g")
    expect(log.get_by_text("line 1", exact=True)).to_be_in_viewport()
    page.keyboard.press("PageDown")
    expect(log.get_by_text("line 1", exact=True)).not_to_be_in_viewport()
    page.keyboard.press("l")
    page.keyboard.type("2222")
    page.keyboard.press("Enter")
    expect(log.get_by_text("line 2222")).to_be_in_viewport()


@pytest.mark.thorough
def test_a_log_is_downloaded_as_it_was_kept(
    owner: Visit, node: Node, workspace: Path, tmp_path: Path
) -> None:
    page = open_log(owner, built(node, workspace, "printer"))
    expect(page.get_by_text(f"{LINES:,} lines")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    file = tmp_path / "log"
    download.value.save_as(file)
    text = file.read_text()
    assert text.count("\n") == LINES
    assert "\x1b[1;31mneed" in text


@pytest.mark.thorough
def test_what_failed_is_opened_at_its_end(owner: Visit, node: Node, workspace: Path) -> None:
    page = open_log(owner, built(node, workspace, "failing"))
    expect(page.get_by_role("alert")).to_contain_text("the reason: no more paper")
    expect(page.get_by_label("Output of", exact=True)).to_have_value("failing#build")
    expect(log_of(page).get_by_text("the reason: no more paper")).to_be_in_viewport()
    owner.picture("build-log-failed")


def test_a_long_name_of_a_package_keeps_the_log_within_the_window(
    owner: Visit, node: Node, workspace: Path
) -> None:
    page = open_log(owner, built(node, workspace, LONG_NAME))
    expect(log_of(page)).to_contain_text("an end")
    owner.picture("log-long-name")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_output_is_shown_and_does_nothing(
    owner: Visit, node: Node, workspace: Path
) -> None:
    page = open_log(owner, built(node, workspace, "evil"))
    log = log_of(page)
    expect(log.get_by_text("NUL")).to_be_visible()
    expect(log.get_by_text("U+202E")).to_be_visible()
    expect(log).to_contain_text("<img src=x onerror=alert(1)>")
    assert log.locator("img").count() == 0
    expect(log).to_contain_text("is 100%")
    log.focus()
    page.keyboard.press("G")
    expect(log.get_by_text("the end")).to_be_in_viewport()
    page.keyboard.press("g")
    expect(log.get_by_text("U+202E")).to_be_in_viewport()
    owner.picture("build-log")


@pytest.mark.thorough
def test_axe_finds_nothing_serious_and_a_phone_has_room(
    visiting: Visiting,
    node: Node,
    workspace: Path,
    require_accessible: Callable[[Visit], None],
) -> None:
    visit = visiting(viewport=PHONE)
    visit.log_in()
    page = open_log(visit, built(node, workspace, "printer"))
    expect(log_of(page)).to_contain_text("line 1")
    require_accessible(visit)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Plain text").click()
    plain = page.get_by_role("textbox", name="plain text")
    expect(plain).to_have_value(re.compile("^line 1\nline 2\n"))
    require_accessible(visit)
    page.get_by_role("button", name="Later lines").click()
    expect(plain).to_have_value(re.compile(f"line {LINES}\n$"))


@pytest.mark.thorough
def test_what_the_node_logs_is_followed_by_its_owner_alone(
    owner: Visit, observer: Visit, node: Node
) -> None:
    page = owner.page
    page.get_by_role("link", name="Logs").click()
    log = log_of(page)
    expect(log).to_contain_text(re.compile(r"info +buildnet.*: node node1 .* answers on"))
    before = node.home.config.read_text() if node.home.config.exists() else None
    try:
        node.home.config.write_text("nothing: known\n")
        expect(log).to_contain_text("can't be used")
    finally:
        if before is None:
            node.home.config.unlink()
        else:
            node.home.config.write_text(before)
    page.get_by_label("Level").select_option("error and above")
    expect(log).not_to_contain_text("answers on")
    page.get_by_label("Level").select_option("warning and above")
    expect(log).to_contain_text("can't be used")
    expect(log).not_to_contain_text("answers on")
    owner.picture("node-log")
    expect(observer.page.get_by_role("link", name="Logs")).to_have_count(0)
