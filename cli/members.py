"""``buildnet node …`` for clusters: join, leave, admit, and what admins do to members."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import AnswerError, Client, path_part
from buildnet.cli.invitations import MemberRights, invite
from buildnet.cli.output import (
    Listing,
    escaped,
    note,
    printable,
    role_text,
    show,
    since_text,
    status_text,
)
from buildnet.cli.run import settings
from buildnet.cli.start import ensure_node
from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.node.home import Home, default_home

if TYPE_CHECKING:
    from rich.console import Console


NodeArgument = Annotated[
    str, typer.Argument(help="A member's name, id or the first 4 or more characters of its id.")
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def join(
    peer: Annotated[
        str | None,
        typer.Argument(
            help="Address of any member: HOST, HOST:PORT or a URL. Left out, or where nobody "
            "answers: those in the token; without one, nodes on the local network are listed."
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(help="What buildnet node invite printed; without it an admin must approve."),
    ] = None,
) -> None:
    """Join the cluster of another node; starts the local node if none runs."""
    if peer == "" or token == "":
        raise UsageError(
            "the address is empty" if peer == "" else "--token is empty",
            hint="run what buildnet node invite printed on a member",
        )
    ran = settings().node is not None or Home(default_home()).read_runtime() is not None
    client = ensure_node(settings())
    if peer is None and token is None:
        _show_candidates(client)
        return
    try:
        data = join_cluster(client, peer, token)
    except BuildNetError:
        if not ran:
            note(settings(), "the node that was started for it still runs: buildnet node stop")
        raise
    show(
        settings(),
        data,
        lambda console: console.print(escaped(joined_text(data))),
        ids=[data["cluster"]["id"]],
    )


def join_cluster(client: Client, address: str | None, token: str | None) -> dict[str, Any]:
    """Join, telling a person what is waited for; return the JSON of ``node join``.

    Raises:
        AnswerError: the node could not, or was not admitted.
    """
    with client.stream("/api/pool/join", {"address": address, "token": token}) as events:
        for event in events:
            kind = event.pop("type")
            if kind == "pending":
                note(
                    settings(),
                    f"waiting for an admin of the cluster; this node's id is {event['node_id']}, "
                    f"the code is {event['code']}\n"
                    "there: buildnet node requests shows the same id and the same code, buildnet "
                    "node approve REQUEST admits this node\n"
                    "Ctrl-C withdraws the request",
                )
            elif kind == "error":
                raise AnswerError({**event, "detail": event["message"]})
            else:
                return {name: event[name] for name in ("cluster", "node_id", "members", "already")}
    raise AnswerError(
        {
            "detail": "the node ended the attempt to join",
            "code": "JOIN_BROKEN_OFF",
            "exit_code": 3,
            "hint": "buildnet node status tells whether it still runs",
        }
    )


def joined_text(data: dict[str, Any]) -> str:
    """Return what to tell of a join."""
    cluster = printable(data["cluster"]["name"])
    if data["already"]:
        return f"this node is a member of {cluster} already ({data['members']} members)"
    return f"joined {cluster}: {data['members']} members"


def _show_candidates(client: Client) -> None:
    data = client.get("/api/node/candidates")

    def table(console: Console) -> None:
        if not data["candidates"]:
            console.print("no other node announces itself on this network")
        for url in data["candidates"]:
            console.print(f"buildnet node join {escaped(url)}", soft_wrap=True)

    show(settings(), data, table, ids=data["candidates"])


def leave(
    force: Annotated[
        bool, typer.Option("--force", help="Leave even if nobody there can be told.")
    ] = False,
    yes: _Yes = False,
) -> None:
    """Leave the cluster; the node is a cluster of one afterwards and keeps what it has stored."""
    confirm("leave the cluster? only an admin there can let this node in again", yes)
    data = Client.of(settings()).post("/api/pool/leave", {"force": force})
    cluster = data["cluster"]
    show(
        settings(),
        data,
        lambda console: console.print(
            f"left; this node is the cluster {escaped(cluster['name'])} now, a cluster of one"
        ),
        ids=[cluster["id"]],
    )


def requests() -> None:
    """List the nodes that ask to be admitted."""
    data = Client.of(settings()).get("/api/node/requests")

    def table(console: Console) -> None:
        if not data["requests"]:
            console.print("nobody asks to be admitted")
            return
        rows = Listing(
            "request",
            "node",
            "id",
            "role",
            "from",
            "asked",
            "code",
            spare=("role", "asked", "from"),
        )
        for each in data["requests"]:
            rows.add_row(
                escaped(each["id"][:12]),
                escaped(each["name"]),
                escaped(each["node_id"]),
                each["role"],
                escaped(each["from"]),
                since_text(each["asked_at"]),
                f"[bold]{escaped(each['code'])}[/bold]",
            )
        rows.print(console)
        console.print(
            "Compare id and code with those on the other host; only if both are the same: "
            "buildnet node approve REQUEST"
        )

    show(settings(), data, table, ids=[each["id"] for each in data["requests"]])


_Request = Annotated[str, typer.Argument(help="The request's id, or its beginning.")]


def approve(
    request: _Request,
    rights: Annotated[
        MemberRights, typer.Option(help="What the node's owner may do.")
    ] = MemberRights.BUILDER,
) -> None:
    """Admit a node that asks; compare its id and the code on both sides first."""
    _decide(request, "approve", {"rights": rights}, "admitted")


def reject(request: _Request) -> None:
    """Turn down a node that asks."""
    _decide(request, "reject", None, "turned down")


def _decide(request: str, verb: str, body: dict[str, Any] | None, done: str) -> None:
    data = Client.of(settings()).post(f"/api/node/requests/{path_part(request)}/{verb}", body)
    show(
        settings(),
        data,
        lambda console: console.print(f"{escaped(data['name'])} ({data['node_id']}) was {done}"),
        ids=[data["id"]],
    )


def list_command(
    everybody: Annotated[
        bool,
        typer.Option("--all", help="Also those who left, were removed, revoked or replaced."),
    ] = False,
) -> None:
    """List the members of the cluster with role, status, rights and priority."""
    data = Client.of(settings()).get("/api/node/members", all="true" if everybody else None)

    def table(console: Console) -> None:
        if data["problem"]:
            console.print(f"[red]problem:[/red] {escaped(data['problem'])}")
        rows = Listing(
            "node",
            "id",
            "role",
            "status",
            "rights",
            "priority",
            "address",
            right=("priority",),
            spare=("address", "priority", "rights"),
        )
        for each in data["members"]:
            rows.add_row(
                escaped(each["name"]) + (" (this node)" if each["this_node"] else ""),
                each["id"],
                role_text(each),
                status_text(each["status"]),
                each["rights"],
                str(each["priority"]),
                escaped(_where(each)),
            )
        rows.print(console)
        epoch = f", after {data['epoch']} recoveries" if data["epoch"] else ""
        console.print(
            f"cluster {escaped(data['cluster']['name'])} ({data['cluster']['id'][:12]}), "
            f"member list {data['version']}{epoch}"
        )

    show(settings(), data, table, ids=[each["id"] for each in data["members"]])


def _where(member: dict[str, Any]) -> str:
    if successor := member.get("successor"):
        return f"goes on as {successor}"
    return ", ".join(member["addresses"])


def promote(
    node: NodeArgument,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Also give it a priority above all others, so that none of them has the office "
            "again half a minute later.",
        ),
    ] = False,
) -> None:
    """Hand the office of coordinator to a member. Without --keep one that has a higher priority, or
    the same and was admitted earlier, has it again half a minute later."""
    change("promote", {"node": node, "keep": keep}, "holds the office of coordinator")


def set_priority(
    node: NodeArgument,
    priority: Annotated[
        int,
        typer.Argument(
            min=-1000, max=1000, help="-1000 to 1000: higher ones coordinate sooner; usual: 0."
        ),
    ],
) -> None:
    """Set how soon a member is to become coordinator."""
    change("priority", {"node": node, "priority": priority}, f"has priority {priority}")


def revoke(
    node: NodeArgument,
    reason: Annotated[str, typer.Option(help="Why; every member can read it.")] = "",
    yes: _Yes = False,
) -> None:
    """Never accept anything of a node's key again; its links are cut at once."""
    confirm(f"revoke the key of {node} for ever?", yes)
    change(
        "revoke",
        {"node": node, "reason": reason},
        "is revoked: its key is void for ever",
        not_final="is revoked here and wherever this node reaches; it becomes final when a "
        "majority is back",
    )


def remove(node: NodeArgument, yes: _Yes = False) -> None:
    """End the membership of a node that is gone for good; it may be invited again.

    Its key stays good: one that was lost is to be revoked instead.
    """
    confirm(f"remove {node} from the cluster?", yes)
    change("remove", {"node": node}, "is removed")


def rotate_key(yes: _Yes = False) -> None:
    """Give this node a new key, which the old one signs over; it has a new id then."""
    confirm("give up this node's key for a new one? its id changes", yes)
    data = Client.of(settings()).post("/api/node/rotate-key")
    show(
        settings(),
        data,
        lambda console: console.print(
            f"this node is {data['node_id']} now; {data['former_node_id']} counts no more"
        ),
        ids=[data["node_id"]],
    )


def recover(
    new_voters: Annotated[
        str, typer.Option(metavar="NODE,NODE", help="The members that decide from now on.")
    ],
    yes: _Yes = False,
) -> None:
    """Reopen a cluster of which the majority of the voters is gone for good.

    Needs an admin's node, or cluster.key in the data directory. Where the old majority lives on
    somewhere it makes two clusters of one.
    """
    voters = [name.strip() for name in new_voters.split(",") if name.strip()]
    if not voters:
        raise UsageError("--new-voters names nobody", hint="--new-voters anna,berta")
    confirm(f"is the old majority gone for good, and shall {', '.join(voters)} decide?", yes)
    data = Client.of(settings()).post("/api/node/recover", {"voters": voters})
    show(
        settings(),
        data,
        lambda console: console.print(
            f"recovery {data['epoch']}: {escaped(_voters(data))} decide now"
        ),
        ids=data["voter_ids"],
    )


def _voters(data: dict[str, Any]) -> str:
    both = zip(data["voters"], data["voter_ids"], strict=True)
    return ", ".join(f"{name} ({node_id})" for name, node_id in both)


def change(verb: str, body: dict[str, Any], done: str, *, not_final: str = "") -> None:
    """Ask for something to be done to a member; say of whom it was done."""
    data = Client.of(settings()).post(f"/api/node/{verb}", body)
    who = f"{data['name']} ({data['node_id']})"
    show(
        settings(),
        data,
        lambda console: console.print(
            escaped(f"{who} {done if data.get('final', True) else not_final}")
        ),
        ids=[data["node_id"]],
    )


def confirm(question: str, yes: bool) -> None:
    """Ask whether something is to be done that can't be undone; it ends the command if not."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "this can't be undone and needs --yes without a terminal", hint="add --yes"
        )
    if not typer.confirm(question, err=True):
        raise typer.Abort


COMMANDS: tuple[Callable[..., None], ...] = (
    invite,
    join,
    leave,
    requests,
    approve,
    reject,
    list_command,
    promote,
    set_priority,
    revoke,
    remove,
    rotate_key,
    recover,
)
"""In the order of ``buildnet node --help``; ``_command`` at the end is no part of a name."""
