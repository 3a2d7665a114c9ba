"""Lines of the dashboard: tables for any width, words, panels, the choice of a row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text
from tests.cli.dashboard.told_values import (
    UNIX,
    WHOLE_QUEUE,
    build,
    node,
    queued,
    resources,
    told,
)

from buildnet.cli.dashboard import overview, words
from buildnet.cli.dashboard.cursor import Cursor, allot
from buildnet.cli.dashboard.once import lines
from buildnet.cli.dashboard.panels import panel
from buildnet.cli.dashboard.screen import Amount, BuildRow, Cluster, Screen
from buildnet.cli.dashboard.table import Column, lay_out

COLUMNS = (
    Column("name"),
    Column("count", right=True, spare=1),
    Column("words", stretch=8),
    Column("more", spare=2),
)
CELLS = st.text(st.characters(categories=("L", "N", "S")), max_size=30)


@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS)), width=st.integers(1, 120))
def test_no_line_is_wider_than_the_terminal(
    rows: list[tuple[str, str, str, str]], width: int
) -> None:
    head, found = lay_out(COLUMNS, rows, width)
    assert len(found) == len(rows)
    assert all(line.cell_len <= width for line in [head, *found])


def test_columns_stand_below_their_names_and_give_way_where_it_is_narrow() -> None:
    rows = [("api", "7", "compiles everything", "x"), ("long-name", "12", "idle", "y")]
    head, (first, second) = lay_out(COLUMNS, rows, 60)
    assert head.plain == "name       count  words                more"
    assert first.plain == "api            7  compiles everything  x"
    assert second.plain == "long-name     12  idle                 y"
    head, (first, second) = lay_out(COLUMNS, rows, 26)
    assert head.plain == "name       count  words"
    assert first.plain == "api            7  compile…"
    head, (first, _) = lay_out(COLUMNS, rows, 19)
    assert head.plain.split() == ["name", "words"]


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.lists(st.integers(-9, 9)),
    st.integers(1, 4),
)
def test_the_chosen_row_is_in_sight(keys: list[str], moves: list[int], height: int) -> None:
    cursor = Cursor()
    for by in moves:
        cursor.move(by, keys, height)
        assert 0 <= cursor.index < max(1, len(keys))
        assert cursor.top <= cursor.index < cursor.top + height
        assert cursor.top == 0 or cursor.top + height <= len(keys)


def test_the_chosen_row_stays_the_same_where_others_come_and_go() -> None:
    cursor = Cursor()
    cursor.move(1, ["a", "b", "c"], 2)
    cursor.follow(["x", "y", "z", "a", "b"], 2)
    assert (cursor.index, cursor.top) == (4, 3)
    cursor.follow(["x", "y"], 2)  # it is gone: what is at its place
    assert (cursor.index, cursor.top) == (1, 0)
    cursor.follow([], 2)
    assert (cursor.index, cursor.top) == (0, 0)


@given(st.integers(0, 60), st.lists(st.integers(0, 40)), st.integers(0, 6))
def test_room_is_given_to_who_wants_it(available: int, wanted: list[int], least: int) -> None:
    given = allot(available, wanted, least)
    assert sum(given) == min(available, sum(wanted))
    assert all(0 <= got <= wants for got, wants in zip(given, wanted, strict=True))
    if available >= least * len(wanted):
        assert all(got >= min(wants, least) for got, wants in zip(given, wanted, strict=True))


def test_a_panel_that_wants_little_leaves_room_to_the_others() -> None:
    assert allot(15, [1, 4, 1, 20], 3) == [1, 4, 1, 9]
    assert allot(15, [20, 20, 20], 3) == [5, 5, 5]
    assert allot(2, [20, 20], 3) == [2, 0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (62, "1 min 2 s"),
        (3720, "1 h 2 min"),
        (1_220_820, "14 d 3 h"),
    ],
)
def test_spans_are_told_in_two_units(seconds: float | None, text: str) -> None:
    assert words.span(seconds) == text


def test_what_is_not_known_is_called_so() -> None:
    assert words.cores(Amount()) == words.memory(Amount()) == "unknown"
    assert words.count(None) == words.percent(None) == words.took(None) == "unknown"
    row = BuildRow("b1", "shop", "ann", "node1", "running")
    assert words.progress(row).plain == "not known yet"
    assert words.estimate(row) == "no estimate"
    shown = "\n".join(line.plain for line in lines(Screen(), 120))
    assert shown.count("unknown") == 14
    assert "Status: UNKNOWN" in shown
    assert "not known yet" in panel("nodes", Screen(), 80).nothing


def test_figures_in_words() -> None:
    assert words.cores(Amount(24, 32, 8)) == "24/32 cores (75%)"
    assert words.memory(Amount(48 << 30, 64 << 30, 8)) == "48.0/64.0 GiB (75%)"
    assert words.sizes(7065, 20 << 30) == "6.9 KiB of 20.0 GiB"
    assert words.count(1234, at_least=True) == "at least 1,234"
    row = BuildRow("b1", "shop", "ann", "n", "running", tasks=12, done=3, failed=1, left_s=8.4)
    assert words.progress(row).plain == "███░░░░░░░░░ 3/12, 1 failed"
    assert words.estimate(row) == "about 8 s left"


def test_the_head_says_who_coordinates_and_whether_a_majority_is_behind_it() -> None:
    cluster = Cluster("studio", "not healthy", coordinator="anna", term=4, quorum=False, node="x")
    shown = [line.plain for line in overview.head(Screen(cluster), 80)]
    assert shown[0].startswith(" BUILDNET CLUSTER: studio ")
    assert shown[0].endswith("Status: NOT HEALTHY ")
    assert shown[2] == " Coordinator: anna, term 4, provisional: no majority is behind it"
    nobody = replace(cluster, coordinator=None)
    assert overview.head(Screen(nobody), 80)[2].plain == " Coordinator: none is known"


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_of_the_screen_is_wider_than_the_terminal(width: int) -> None:
    names = "長い名前のノード"  # wide characters
    nodes = [node(each, name=f"{names}{each}") for each in range(1, 101)]
    screen = told(count=100, nodes=nodes).screen(1.0)
    found = list(lines(screen, width))
    assert all(line.cell_len <= width for line in found)
    assert sum(names[:4] in line.plain for line in found) >= (100 if width > 20 else 0)


LONG = "a-host-with-a-name-of-more-than-a-hundred-characters-" + "x" * 47


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_names_of_a_hundred_characters_leave_room_for_what_else_is_told(width: int) -> None:
    nodes = [
        node(1, name=f"{LONG}-one"),
        node(2, name=f"{LONG}-two", status="offline"),
    ]
    builds = [build("b1", workspace=f"{LONG}-shop", node=LONG, actor=LONG)]
    queue = [WHOLE_QUEUE, queued("b2", 2, workspace=f"{LONG}-shop", actor=LONG)]
    screen = told(nodes=nodes, builds=builds, queue=queue).screen(1.0)
    cluster = replace(
        screen.cluster,
        name=f"{LONG}-all",
        status="not healthy",
        node=f"{LONG}-one",
        coordinator=f"{LONG}-two",
        reachable=2,
    )
    shown = [line.plain for line in lines(replace(screen, cluster=cluster), width)]
    assert all(cell_len(line) <= width for line in shown)
    end = shown.index("")
    head = "\n".join(shown[:end])
    for told_of in (
        *("BUILDNET CLUSTER: a-", "-all", "Status: NOT HEALTHY", "Uptime: 1 h 0 min (node a-"),
        *("-one)", "Version: 0.2.0", "Nodes: 2 of 3 reachable", "-two,", "term 4", "with a quorum"),
    ):
        assert told_of in head
    text = "\n".join(shown)
    for told_of in ("1/4 cores (25%)", "in progress: 1", "6.0 s"):
        assert told_of in text
    (running,) = (line for line in shown if "3/12" in line)
    assert "x-shop" in running
    (waiting,) = (line for line in shown if "waiting" in line)
    assert "-shop" in waiting
    (one,) = (line for line in shown if "online" in line)
    (two,) = (line for line in shown if "offline" in line and "active" not in line)
    assert ("-one" in one, "-two" in two) == (True, True)
    assert "1/4" in one


@given(CELLS, st.integers(0, 40))
def test_a_shortened_name_keeps_both_its_ends(name: str, width: int) -> None:
    found = words.short(name, width)
    assert cell_len(found) <= width
    assert found == name if cell_len(name) <= width else "…" in found or not width
    assert words.short("build-server-12", 9) == "buil…r-12"


def test_workers_that_have_not_told_what_they_have_are_named() -> None:
    model = told(count=2, resources=[resources(1), resources(2, resources=None)])
    for width in (40, 80):
        shown = "\n".join(line.plain for line in lines(model.screen(0.0), width))
        assert " Without:   node2 (not told yet)" in shown
    assert "Without" not in "".join(line.plain for line in lines(told().screen(0.0), 80))


def test_names_of_others_do_not_speak_to_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\n"
    screen = told(builds=[build("b1", workspace=evil, actor=evil, running=[evil])]).screen(0.0)
    shown = "".join(line.plain for line in lines(screen, 200))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    row = panel("running", screen, 200).rows[0]
    assert "\n" not in row.line.plain


def test_rows_that_have_all_the_words_stay() -> None:
    nodes = panel("nodes", told(nodes=[node(1), node(2, status="offline")]).screen(0.0), 80)
    kept = nodes.filtered("OFFLINE node")
    assert [row.key for row in kept.rows] == [f"{2:016x}"]
    assert kept.title == "Nodes (2), 1 of 2 have 'OFFLINE node'"
    assert nodes.filtered("no such").nothing == "nothing here has 'no such'"
    assert nodes.filtered(" ") is nodes


def test_words_that_there_is_no_room_for_count_where_rows_are_looked_for() -> None:
    model = told(nodes=[node(1, name=f"{LONG}-middle-{LONG}"), node(2, version="0.1.9")])
    nodes = panel("nodes", model.screen(0.0), 40)
    assert "middle" not in nodes.rows[0].line.plain
    assert [row.key for row in nodes.filtered("-MIDDLE-").rows] == [f"{1:016x}"]
    assert [row.key for row in nodes.filtered("0.1.9").rows] == [f"{2:016x}"]


def test_of_a_node_that_is_offline_nothing_is_said_as_if_it_were_now() -> None:
    nodes = panel("nodes", told(nodes=[node(1), node(2, status="offline")]).screen(0.0), 120)
    there, gone = (row.line.plain.split() for row in nodes.rows)
    assert "1/4" in there
    assert gone.count("unknown") == 3


def test_a_drained_node_is_said_to_be_so() -> None:
    items = [node(1, draining=True), node(2, lends_nothing="outside of its hours")]
    shown = panel("nodes", told(nodes=items, resources=[resources(1)]).screen(0.0), 160)
    assert "online, drained" in shown.rows[0].line.plain
    assert "outside of its hours" in shown.rows[1].line.plain
    assert "unknown" in shown.rows[1].line.plain


def test_old_figures_are_said_to_be_old() -> None:
    screen = told().screen(60.0)
    assert screen.lost is not None
    assert panel("running", screen, 80).note == "as of 1 min 0 s ago"
    assert "CONNECTION LOST" in overview.head(screen, 80)[3].plain


def test_alerts_are_told_whole() -> None:
    alerts = ("the queue is paused by ann: nobody starts anything before the release is out", "b")
    rows = panel("alerts", Screen(alerts=alerts), 40).rows
    assert [row.line.plain for row in rows] == [
        "! the queue is paused by ann: nobody",
        "  starts anything before the release is",
        "  out",
        "! b",
    ]


def test_events_are_told_with_their_time() -> None:
    (first, *_) = panel("events", told().screen(0.0), 80).rows
    assert first.line.plain.startswith(words.clock(UNIX - 60))
    assert cell_len(first.line.plain) <= 80
    assert isinstance(first.line, Text)
