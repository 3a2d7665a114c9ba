"""Printing what others have chosen."""

from __future__ import annotations

import pytest

from buildnet.cli.output import escaped, fail, printable
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
