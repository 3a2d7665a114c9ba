"""``buildnet rights``: who of the members may do what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from buildnet.cli.client import Client
from buildnet.cli.invitations import MemberRights
from buildnet.cli.members import NodeArgument, change
from buildnet.cli.output import Listing, escaped, show
from buildnet.cli.run import settings

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="See and set what the members' owners may do.", no_args_is_help=True)


@app.command("set")
def set_rights(
    node: NodeArgument,
    rights: Annotated[MemberRights, typer.Argument(help="What its owner may do from now on.")],
) -> None:
    """Set what a member's owner may do."""
    change("rights", {"node": node, "rights": rights}, f"has the rights of: {rights}")


@app.command("list")
def list_rights() -> None:
    """List what each member's owner may do."""
    members = Client.of(settings()).get("/api/node/members")["members"]
    shown = ("id", "name", "rights", "this_node")
    data = {"members": [{name: each[name] for name in shown} for each in members]}

    def table(console: Console) -> None:
        rows = Listing("node", "id", "rights")
        for each in data["members"]:
            mine = " (this node)" if each["this_node"] else ""
            rows.add_row(escaped(each["name"]) + mine, each["id"], each["rights"])
        rows.print(console)

    show(settings(), data, table, ids=[each["id"] for each in data["members"]])
