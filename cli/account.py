"""``buildnet account``: who may log in by name, and what they may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.invitations import MemberRights
from buildnet.cli.members import confirm
from buildnet.cli.output import Listing, escaped, show, since_text
from buildnet.cli.run import settings

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="People who log in on nodes of the cluster, and what they may do.", no_args_is_help=True
)
_Name = Annotated[str, typer.Argument(help="The account's name.")]
_Rights = Annotated[MemberRights, typer.Option(help="What its owner may do.")]


@app.command("list")
def list_accounts() -> None:
    """List the accounts of people."""
    data = Client.of(settings()).get("/api/accounts")

    def table(console: Console) -> None:
        rows = Listing(
            *("account", "rights", "description", "changed", "by"),
            wraps=("description",),
            spare=("by", "changed", "description"),
        )
        for each in data["accounts"]:
            rows.add_row(
                escaped(each["id"]),
                each.get("rights", f"unreadable: {each['problem']}"),
                escaped(each.get("description", "")),
                since_text(each["changed_at"]) if each["changed_at"] else "",
                escaped(each["changed_by"] or ""),
            )
        rows.print(console)

    show(settings(), data, table, ids=[each["id"] for each in data["accounts"]])


@app.command("add")
def add_account(
    name: _Name,
    rights: _Rights = MemberRights.BUILDER,
    description: Annotated[str, typer.Option(help="Whose it is.")] = "",
) -> None:
    """Make an account, by which somebody logs in on any node: buildnet login --as NAME."""
    body = {"id": name, "rights": rights, "description": description}
    made = Client.of(settings()).post("/api/accounts", body)
    _show(made, f"the account {name} has the rights of: {rights}")


@app.command("set")
def set_account(
    name: _Name,
    rights: Annotated[MemberRights, typer.Argument(help="What its owner may do from now on.")],
) -> None:
    """Change what an account allows, also in sessions that are open."""
    path = f"/api/accounts/{path_part(name)}"
    made = Client.of(settings()).put(path, {"rights": rights})
    _show(made, f"the account {name} has the rights of: {rights}")


@app.command("remove")
def remove_account(
    name: _Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove an account; its sessions end on all nodes."""
    confirm(f"remove the account {name}?", yes)
    path = f"/api/accounts/{path_part(name)}"
    gone = Client.of(settings()).delete(path)
    _show(gone, f"the account {name} is removed")


def _show(data: dict[str, Any], said: str) -> None:
    show(settings(), data, lambda console: console.print(escaped(said)), ids=[data["id"]])
