"""Builds without a terminal: asked for and left alone, and come back to. Imports nothing heavy."""

from __future__ import annotations

import sys

from buildnet.cli.build_report import print_report
from buildnet.cli.following import follow
from buildnet.cli.output import Style

TYPE_CHECKING = False  # importing typing would take longer than most builds of one package
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from buildnet.cli.client import Client
    from buildnet.cli.settings import Settings


def leave(events: Iterator[dict[str, Any]], settings: Settings) -> int:
    """Wait until a build is durable, or can't be, and leave it to itself; tell its id. One that is
    over by then is reported as usual. Return the exit code."""
    build_id = ""
    for event in events:
        match event["type"]:
            case "build_started":
                build_id = event["build_id"]
            case "waiting":
                print(f"waiting for {event['for']}", file=sys.stderr)
            case "durable" | "not_durable":
                _tell(build_id, event, settings)
                return 0
            case "build_finished":
                return print_report(event["report"], settings)
            case "told_no_more" | "error":
                from buildnet.cli.client.events import told_no_more

                raise told_no_more(event, build_id)
    from buildnet.cli.client import NodeUnreachableError

    raise NodeUnreachableError(
        "the node stopped before the build was durable", hint="start it and build again"
    )


def attach(build_id: str, settings: Settings, client: Client, *, review: bool = False) -> int:
    """Show a build that somebody asked for, on whichever node; return its exit code. To leave it
    does not end it. ``review``: afterwards tell what took long."""
    from buildnet.cli.client import path_part

    with client.follow(f"/api/build/{path_part(build_id)}/events") as events:
        return follow(events, settings, lambda: client, review=review, cancels=False)


def _tell(build_id: str, event: dict[str, Any], settings: Settings) -> None:
    is_durable = event["type"] == "durable"
    if settings.quiet:
        print(build_id)
        return
    if settings.format != "table":
        from buildnet.cli.output import show

        told = {
            "build_id": build_id,
            "durable": is_durable,
            "node": event.get("node"),
            "node_name": event.get("node_name"),
            "why": event.get("why"),
        }
        show(settings, told, lambda console: None)
        return
    if is_durable:
        print(f"build {build_id} is durable: {event['node_name']} goes on if this node is lost")
    else:
        print(f"build {build_id} goes on, on this node alone: {event['why']}")
    style = Style(settings, sys.stderr)
    print(f"{style('cyan', 'hint:')} see it: buildnet build --attach {build_id}", file=sys.stderr)
