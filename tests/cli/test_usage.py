"""What is wrong with a command line is told in BuildNet's words."""

from __future__ import annotations

import pytest

from buildnet.cli.commands import invoke
from buildnet.mesh.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (
            "node invite --uses 0",
            "wrong value '0' for --uses: expected 1 or more",
            "see: buildnet node invite --help",
        ),
        (
            "node invite --uses many",
            "wrong value 'many' for --uses: expected a whole number",
            "see: buildnet node invite --help",
        ),
        (
            "node invite --role king",
            "wrong value 'king' for --role: expected one of worker, observer",
            "see: buildnet node invite --help",
        ),
        (
            "node invite --rights amdin",
            "wrong value 'amdin' for --rights: expected one of admin, builder, observer",
            "did you mean 'admin'?",
        ),
        (
            "node set-priority x y",
            "wrong value 'y' for PRIORITY: expected a whole number",
            "see: buildnet node set-priority --help",
        ),
        (
            "node set-priority x 1001",
            "wrong value '1001' for PRIORITY: expected 1000 or less",
            "see: buildnet node set-priority --help",
        ),
        ("node approve", "REQUEST is missing", "see: buildnet node approve --help"),
        ("cache fetch abc", "--from is missing", "see: buildnet cache fetch --help"),
        ("node lst", "buildnet node has no command 'lst'", "did you mean 'list'?"),
        ("node list --al", "buildnet node list has no option --al", "did you mean '--all'?"),
        ("node list x", "too many arguments: x", "see: buildnet node list --help"),
        ("node invite --uses", "--uses needs a value", "see: buildnet --help"),
        ("node list --all=yes", "--all takes no value", "see: buildnet --help"),
    ],
)
def test_a_wrong_command_line_is_explained(arguments: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        invoke(arguments.split())
    assert (caught.value.message, caught.value.hint) == (message, hint)
