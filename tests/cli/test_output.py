"""Printing what others have chosen."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from buildnet.cli.output import Listing, console, escaped, fail, print_fields, printable, role_text
from buildnet.cli.settings import Settings
from buildnet.mesh.errors import BuildNetError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Büro-1 ☃", "Büro-1 ☃"),
        ("\x1b[31mred\x1b[0m", "�[31mred�[0m"),
        ("two\nlines\tand", "two\nlines\tand"),
        ("back\rwards\x08", "back�wards�"),
        ("\u202eright to left", "�right to left"),
        (7, "7"),
    ],
)
def test_nothing_in_a_text_acts_on_the_terminal(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_nothing_in_a_text_is_a_style() -> None:
    assert escaped("[bold]x[/bold]\x07") == r"\[bold]x\[/bold]�"


def test_an_error_that_another_node_has_put_into_words_is_shown_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail(Settings(), BuildNetError("no\x1b[2J", cause="since\x07", hint="try\x9b"))
    assert capsys.readouterr().err == "error[FAILED]: no�[2J\ncause: since�\nhint: try�\n"


ID = "8c04512ba70a01d2"
ADDRESS = "http://192.168.100.10:8080"


def members() -> Listing:
    listing = Listing(
        "node",
        "id",
        "what",
        "version",
        "address",
        right=("version",),
        wraps=("what",),
        spare=("address", "version"),
    )
    listing.add_row("workshop-anna", ID, "builds what others ask for", "0.2.0", ADDRESS)
    listing.add_row("b", "9acc1549d96d594d", "[green]watches[/green]", "0.12.10-rc1", "")
    return listing


def printed(width: int, listing: Listing) -> str:
    stream = io.StringIO()
    listing.print(Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize("width", [*range(20, 130)])
def test_no_word_of_a_listing_is_ever_broken(width: int) -> None:
    words = printed(width, members()).partition("…")[0].split()
    assert {"workshop-anna", ID, "9acc1549d96d594d", "watches"} <= set(words)
    assert ("0.12.10-rc1" in words) or "version" not in words
    assert (ADDRESS in words) or "address" not in words
    assert {"builds", "what", "others", "ask", "for"} <= set(words)


@pytest.mark.parametrize("width", [*range(60, 130)])
def test_no_line_of_a_table_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, printed(width, members()).splitlines())) <= width


def test_a_narrow_terminal_goes_without_what_matters_least() -> None:
    def header(width: int) -> list[str]:
        return printed(width, members()).split("\n")[1].split()

    assert header(120) == ["node", "id", "what", "version", "address"]
    assert header(80) == ["node", "id", "what", "version"]
    assert header(62) == ["node", "id", "what"]


def test_what_was_left_out_is_named() -> None:
    def last(width: int) -> str:
        return " ".join(printed(width, members()).partition("…")[2].split())

    assert last(120) == ""
    assert last(80) == "a wider terminal or --json shows: address"
    assert last(62) == "a wider terminal or --json shows: version, address"


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ({"role": "worker", "coordinator": False}, "worker"),
        ({"role": "worker", "coordinator": True}, "worker, coordinator"),
        ({"role": "worker", "coordinator": True, "voter": True}, "worker, voter, coordinator"),
        ({"role": "observer", "coordinator": False, "voter": False}, "observer"),
    ],
)
def test_whether_a_node_votes_stands_beside_its_role(node: dict[str, object], text: str) -> None:
    assert role_text(node) == text


def test_below_sixty_columns_each_row_is_a_block_with_all_that_is_known() -> None:
    assert (
        printed(44, members())
        == f"""
workshop-anna
  id       {ID}
  what     builds what others ask for
  version  0.2.0
  address  {ADDRESS}

b
  id       9acc1549d96d594d
  what     watches
  version  0.12.10-rc1

"""
    )


def test_what_is_narrow_enough_stays_a_table() -> None:
    listing = Listing("node", "rights")
    listing.add_row("anna", "admin")
    assert "node  rights" in printed(20, listing)


def test_a_value_too_long_to_stand_beside_its_name_stands_below() -> None:
    stream = io.StringIO()
    fields = {"address": ADDRESS, "state": "waits for an [bold]admin[/bold]"}
    print_fields(Console(file=stream, width=30), fields)
    assert stream.getvalue() == f"address\n  {ADDRESS}\nstate    waits for an admin\n"


def test_a_table_is_as_wide_as_columns_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert console(Settings()).width == 40
    monkeypatch.delenv("COLUMNS")
    assert console(Settings()).width >= 120


def test_nothing_in_a_value_is_a_picture() -> None:
    stream = io.StringIO()
    print_fields(Console(file=stream, width=40, emoji=False), {"name": escaped("[b]:x:")})
    assert stream.getvalue() == "name  [b]:x:\n"
