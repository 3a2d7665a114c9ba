"""Printing what commands were seen to read, and what to write into buildnet.yaml. Imports nothing
heavy."""

from __future__ import annotations

import sys

from buildnet.cli.output import Style, on_one_line, printable

TYPE_CHECKING = False  # importing typing would take longer than most builds of one package
if TYPE_CHECKING:
    from typing import Any

    from buildnet.cli.settings import Settings

_MOST = 8


def print_traced(report: dict[str, Any], settings: Settings) -> None:
    """Print what each traced command read beside what is declared."""
    style = Style(settings, sys.stdout)
    for entry in report["packages"]:
        found = entry.get("traced")
        if found is None:
            continue
        task = entry["task"]
        name = entry["name"] if task == "build" else f"{entry['name']}#{task}"
        if not any(found[key] for key in ("undeclared", "host", "variables", "unread", "unset")):
            print(f"{style('green', '✓')} {name}: reads nothing but what it declares")
            continue
        print(f"{style('bold', name)}")
        _paths("reads, and does not declare", found["undeclared"])
        _paths("reads of this host, which no sandbox shows", found["host"])
        _variables("asks for variables that are set here", found["variables"])
        _variables("asks for variables that are not set here", found["unset"])
        _paths("declares, and did not read this time", found["unread"])
        if found["unseen"]:
            print(f"    {found['unseen']} openings of files could not be seen")
        if found["proposal"]:
            print(f"    {style('cyan', 'add to it in buildnet.yaml:')}")
            if task != "build":
                print(f"        tasks: {{{task}: …}}")
            for key, values in found["proposal"].items():
                print(f"        {key}: [{', '.join(map(_quoted, values))}]")


def _paths(what: str, paths: list[str]) -> None:
    if paths:
        print(f"    {what}:")
        for path in paths[:_MOST]:
            print(f"        {on_one_line(path)}")
        if len(paths) > _MOST:
            print(f"        … {len(paths) - _MOST} more: --json has them")


def _variables(what: str, mentions: list[dict[str, Any]]) -> None:
    if mentions:
        print(f"    {what}:")
        for one in mentions[:_MOST]:
            line = f":{one['line']}" if one["line"] else ""
            print(f"        {one['name']} ({on_one_line(one['file'])}{line})")
        if len(mentions) > _MOST:
            print(f"        … {len(mentions) - _MOST} more: --json has them")


def _quoted(text: str) -> str:
    plain = all(letter.isalnum() or letter in "._-/" for letter in text) and text[:1].isalpha()
    if plain and text.lower() not in ("yes", "no", "on", "off", "true", "false", "null"):
        return text
    import json

    return json.dumps(printable(text), ensure_ascii=False)
