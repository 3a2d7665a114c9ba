"""``buildnet session``: who uses the nodes of the cluster, and what they do there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.draining import count_text
from buildnet.cli.members import confirm
from buildnet.cli.output import (
    Listing,
    duration_text,
    escaped,
    note,
    print_fields,
    show,
    since_text,
)
from buildnet.cli.run import settings

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Who uses the nodes, and what they do there.", no_args_is_help=True)
_Session = Annotated[str, typer.Argument(help="Its id, or the first 4 or more characters of it.")]


@app.command("list")
def list_sessions() -> None:
    """List who uses the nodes of the cluster: from where, since when, and what they do."""
    data = Client.of(settings()).get("/api/sessions")

    def table(console: Console) -> None:
        rows = Listing(
            *("session", "who", "rights", "by", "node", "from", "since", "last", "does"),
            wraps=("does",),
            spare=("since", "rights", "from", "last"),
        )
        for each in data["sessions"]:
            rows.add_row(
                each["id"],
                escaped(each["actor"]),
                escaped(_rights(each)),
                escaped(each["way"]),
                escaped(each.get("node", "")),
                escaped(each["address"] or "this host"),
                since_text(each["since"]),
                since_text(each["last"]),
                escaped(_does(each)),
            )
        rows.print(console)
        for each in data["silent"]:
            note(settings(), f"not asked: {each['node']}: {each['why']}")
        if data["left_out"]:
            note(settings(), f"{data['left_out']} are missing here: ask on their nodes")

    show(settings(), data, table, ids=[each["id"] for each in data["sessions"]])


@app.command("show")
def show_session(session: _Session) -> None:
    """Show one session: its connections, and how far its builds are."""
    data = Client.of(settings()).get(f"/api/sessions/{path_part(session)}")

    def table(console: Console) -> None:
        fields = {
            "session": data["id"],
            "who": data["actor"],
            "rights": _rights(data),
            "by": data["way"],
            "node": data.get("node", ""),
            "from": data["address"] or "this host",
            "program": data["agent"],
            "since": since_text(data["since"]),
            "last request": since_text(data["last"]),
            "requests": str(data["requests"]),
            "connections": "\n".join(
                f"{each['what']}, {since_text(each['since'])}" for each in data["connections"]
            ),
            "builds": "\n".join(map(far_text, data["builds"])) or "none",
        }
        print_fields(console, {name: escaped(text) for name, text in fields.items() if text})

    show(settings(), data, table, ids=[data["id"]])


@app.command("kick")
def kick_session(
    session: _Session,
    reason: Annotated[str, typer.Option(help="Why; the ledger tells it.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End a session, on whichever node; builds that were begun in it go on."""
    confirm(f"end the session {session}?", yes)
    path = f"/api/sessions/{path_part(session)}"
    data = Client.of(settings()).delete(path, reason=reason or None)

    def table(console: Console) -> None:
        for each in data["sessions"]:
            console.print(escaped(f"the session {each['id']} of {each['actor']} is ended"))
            if each["way"] == "api":
                note(settings(), "its key still counts: buildnet key revoke")
            if each["builds"]:
                builds, go = len(each["builds"]), "goes" if len(each["builds"]) == 1 else "go"
                note(settings(), f"{count_text(builds, 'build')} of it {go} on")

    show(settings(), data, table, ids=[each["id"] for each in data["sessions"]])


@app.command("hand-over")
def hand_over(
    session: Annotated[str, typer.Argument(help="A session's id, or the name of its actor.")],
    to: Annotated[
        str,
        typer.Option(metavar="NAME", help="Whose they are then: an account, or agent:NAME."),
    ],
) -> None:
    """Hand the builds of a session that run to somebody else, who may cancel them then."""
    path = f"/api/sessions/{path_part(session)}/hand-over"
    data = Client.of(settings()).post(path, {"to": to})
    ids = [each["build_id"] for each in data["builds"]]
    said = f"{', '.join(ids)}: {data['to']}'s from now on"
    show(settings(), data, lambda console: console.print(escaped(said)), ids=ids)
    if data.get("warning"):
        note(settings(), f"warning: {data['warning']}")


def _rights(each: dict[str, Any]) -> str:
    return "owner" if each["is_owner"] else each["rights"] or "its account's"


def _does(each: dict[str, Any]) -> str:
    does = [*map(far_text, each["builds"]), *(one["what"] for one in each["connections"])]
    return "\n".join(does) or "nothing now"


def far_text(build: dict[str, Any]) -> str:
    """Return how far a build is, in words."""
    far = count_text(build["running"], "command") + " running"
    if build["waits_for"]:
        far = f"waits for {build['waits_for']}"
    left = build["left_ms"]
    rest = "" if left is None else f", {duration_text(left)} of work left"
    return f"builds {build['workspace']} ({build['build_id']}): {far}{rest}"
