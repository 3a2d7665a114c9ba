"""What is wrong with a command line is told in BuildNet's words."""

from __future__ import annotations

import re

import pytest
import typer
from typer.models import TyperInfo

from buildnet.cli import members
from buildnet.cli.commands import app, invoke
from buildnet.cli.reference import commands
from buildnet.mesh.errors import UsageError


def _groups() -> list[str]:
    """Return those that do nothing without a verb."""
    return [group.name for group in app.registered_groups if group.name and _needs_verb(group)]


def _needs_verb(group: TyperInfo) -> bool:
    made = group.typer_instance
    called = made.registered_callback if made is not None else None
    return called is None or called.invoke_without_command is not True


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (
            "node invite --uses 0",
            "wrong value '0' for --uses: expected 1 or more",
            "see: buildnet node invite --help",
        ),
        (
            "key rotate ci --out /nowhere/ci.key",
            "/nowhere/ci.key can't be written",
            "name a file in a directory that is there, and yours",
        ),
        *(
            (
                f"key {verb} ci",
                "this can't be undone and needs --yes without a terminal",
                "add --yes",
            )
            for verb in ("revoke", "rotate")
        ),
        (
            "build --attach b1 --detach core",
            "--attach shows a build that was asked for: --detach, PACKAGES can't change it",
            "leave one of them away; buildnet queue changes a build that runs",
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
        (
            "node set-priority x -1001",
            "wrong value '-1001' for PRIORITY: expected -1000 or more",
            "see: buildnet node set-priority --help",
        ),
        ("node approve", "REQUEST is missing", "see: buildnet node approve --help"),
        ("cache fetch abc", "--from is missing", "see: buildnet cache fetch --help"),
        ("node lst", "buildnet node has no command 'lst'", "did you mean 'list'?"),
        ("node list --al", "buildnet node list has no option --al", "did you mean '--all'?"),
        ("node list x", "too many arguments: x", "see: buildnet node list --help"),
        ("node invite --uses", "--uses needs a value", "see: buildnet --help"),
        (
            "build --review --dry-run",
            "--review tells how a build went, and with --dry-run there is none that went",
            "leave one of them away; a build that is over: buildnet history BUILD-ID --review",
        ),
        (
            "build --review --detach",
            "--review tells how a build went, and with --detach there is none that went",
            "leave one of them away; a build that is over: buildnet history BUILD-ID --review",
        ),
        (
            "build --attach b1 --estimate --profile fast --task test",
            "--attach shows a build that was asked for: --task, --estimate, --profile can't change "
            "it",
            "leave one of them away; buildnet queue changes a build that runs",
        ),
        ("node list --all=yes", "--all takes no value", "see: buildnet --help"),
    ],
)
def test_a_wrong_command_line_is_explained(arguments: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        invoke(arguments.split())
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize("arguments", [("x", "-5"), ("x", "--", "-5"), ("--", "x", "-5")])
def test_a_negative_priority_is_no_option(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(members, "change", lambda verb, body, done: asked.append((verb, body)))
    assert invoke(["node", "set-priority", *arguments]) == 0
    assert asked == [("priority", {"node": "x", "priority": -5})]


@pytest.mark.parametrize("group", ["", *_groups()])
def test_a_group_without_a_verb_is_a_mistake_that_shows_the_verbs(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(group.split()) == 2
    assert "Commands:" in capsys.readouterr().out


_FINAL = re.compile(r" (delete|remove|revoke|rotate|rotate-key|clear|leave|prune|restore|kick)$")


def test_what_cannot_be_undone_is_asked_about_first() -> None:
    final = [
        (name, command)
        for name, command in commands(typer.main.get_command(app))
        if _FINAL.search(name)
    ]
    assert len(final) > 10
    without = [
        name for name, command in final if not any("--yes" in each.opts for each in command.params)
    ]
    assert not without
