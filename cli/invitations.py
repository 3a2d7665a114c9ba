"""``buildnet node invite``: make invitations, list and withdraw them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.output import Listing, escaped, note, show
from buildnet.cli.run import settings
from buildnet.cli.start import ensure_node
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console


class MemberRole(StrEnum):
    """What a member does."""

    WORKER = "worker"
    OBSERVER = "observer"


class MemberRights(StrEnum):
    """What the owner of a member may do."""

    ADMIN = "admin"
    BUILDER = "builder"
    OBSERVER = "observer"


def invite(
    uses: Annotated[
        int, typer.Option(min=1, max=1000, help="How many nodes may join with it, 1 to 1000.")
    ] = 1,
    expires: Annotated[
        str,
        typer.Option(
            metavar="DURATION",
            help="How long it works, 1 second to 30 days: 30m, 24h, 7d.",
        ),
    ] = "1h",
    role: Annotated[MemberRole, typer.Option(help="What the node does.")] = MemberRole.WORKER,
    rights: Annotated[
        MemberRights, typer.Option(help="What the node's owner may do.")
    ] = MemberRights.BUILDER,
    list_open: Annotated[
        bool, typer.Option("--list", help="List the invitations that are open instead.")
    ] = False,
    withdraw: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Let nobody else in by this invitation instead."),
    ] = None,
) -> None:
    """Print a command with which another host joins this cluster."""
    if list_open and withdraw is not None:
        raise UsageError("--list and --withdraw are two things", hint="give one of them")
    if list_open:
        _list_invitations()
        return
    if withdraw is not None:
        _withdraw_invitation(withdraw)
        return
    from buildnet.pool.quantity import QuantityError, parse_duration_s

    try:
        valid_s = parse_duration_s(expires)
    except QuantityError as error:
        raise UsageError(f"--expires: {error}", hint="write a duration such as 30m") from error
    data = ensure_node(settings()).post(
        "/api/node/invite", {"uses": uses, "valid_s": valid_s, "role": role, "rights": rights}
    )

    def table(console: Console) -> None:
        console.print(escaped(data["command"]), soft_wrap=True)

    show(settings(), data, table, ids=[data["token"]])
    often = "once" if data["uses"] == 1 else f"{data['uses']} times"
    note(
        settings(),
        f"run this on the other host: it joins as {data['role']} with {data['rights']} rights; "
        f"good {often}, until {data['expires_at']}\n"
        f"withdraw it: buildnet node invite --withdraw {data['id']}",
    )
    if data["warning"]:
        note(settings(), f"warning: {data['warning']}")
    from buildnet.node.listen import is_on_network

    if not is_on_network([f"http://{data['command'].split()[3]}"]):
        note(
            settings(),
            "only nodes on this host can reach this one: stop it, and start it with "
            "--listen 0.0.0.0:80 for others",
        )


def _list_invitations() -> None:
    data = Client.of(settings()).get("/api/node/invitations")

    def table(console: Console) -> None:
        if not data["invitations"]:
            console.print("no invitation is open")
            return
        rows = Listing(
            "invitation",
            "made by",
            "uses left",
            "until",
            "role",
            "rights",
            right=("uses left",),
            spare=("made by", "role", "rights"),
        )
        for each in data["invitations"]:
            rows.add_row(
                each["id"],
                escaped(each["made_by"]),
                str(each["uses_left"]),
                each["expires_at"],
                each["role"],
                each["rights"],
            )
        rows.print(console)

    show(settings(), data, table, ids=[each["id"] for each in data["invitations"]])


def _withdraw_invitation(invitation: str) -> None:
    data = Client.of(settings()).delete(f"/api/node/invitations/{path_part(invitation)}")
    show(
        settings(),
        data,
        lambda console: console.print(f"the invitation {data['id']} is withdrawn"),
        ids=[data["id"]],
    )
