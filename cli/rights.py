"""``buildnet rights``: who may do what, of the members' owners and of the accounts of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.invitations import MemberRights
from buildnet.cli.members import change
from buildnet.cli.output import Listing, escaped, show
from buildnet.cli.run import settings
from buildnet.cli.user import user_name
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

_ACCOUNT = "account:"
_LEAST_OF_AN_ID = 4

app = typer.Typer(
    help="See and set what members' owners and the accounts of people may do.", no_args_is_help=True
)


@app.command("set")
def set_rights(
    who: Annotated[
        str,
        typer.Argument(
            help="A member's name, id or the first 4 or more characters of its id; or an account, "
            "which account:NAME is in any case."
        ),
    ],
    rights: Annotated[MemberRights, typer.Argument(help="What they may do from now on.")],
) -> None:
    """Set what a member's owner may do, or what an account allows."""
    client = Client.of(settings())
    account = _account(client, who)
    if account is None:
        change("rights", {"node": who, "rights": rights}, f"has the rights of: {rights}")
        return
    path = f"/api/accounts/{path_part(account)}"
    made = client.put(path, {"rights": rights}, actor=user_name())
    said = f"the account {account} has the rights of: {rights}"
    show(settings(), made, lambda console: console.print(escaped(said)), ids=[made["id"]])


@app.command("list")
def list_rights() -> None:
    """List what each member's owner may do, and what each account allows."""
    client = Client.of(settings())
    shown = ("id", "name", "rights", "this_node")
    members = client.get("/api/node/members")["members"]
    data = {
        "members": [{name: each[name] for name in shown} for each in members],
        "accounts": [
            {"id": each["id"], "rights": each.get("rights")}
            for each in client.get("/api/accounts")["accounts"]
        ],
    }

    def table(console: Console) -> None:
        rows = Listing("who", "kind", "id", "rights", spare=("id",))
        for each in data["members"]:
            mine = " (this node)" if each["this_node"] else ""
            rows.add_row(escaped(each["name"]) + mine, "node", each["id"], each["rights"])
        for each in data["accounts"]:
            rows.add_row(escaped(each["id"]), "account", "", each["rights"] or "unreadable")
        rows.print(console)

    show(
        settings(), data, table, ids=[each["id"] for each in (*data["members"], *data["accounts"])]
    )


def _account(client: Client, who: str) -> str | None:
    """Return the account that is meant; None: a member is.

    Raises:
        UsageError: it may be either.
    """
    if who.startswith(_ACCOUNT):
        return who.removeprefix(_ACCOUNT)
    if who not in {each["id"] for each in client.get("/api/accounts")["accounts"]}:
        return None
    found = [each for each in client.get("/api/node/members")["members"] if _is_meant(each, who)]
    if found:
        raise UsageError(
            f"{who} is an account, and a member",
            hint=f"say {_ACCOUNT}{who}, or the member's id: {found[0]['id']}",
        )
    return who


def _is_meant(member: dict[str, Any], who: str) -> bool:
    begins = len(who) >= _LEAST_OF_AN_ID and str(member["id"]).startswith(who)
    return begins or bool(member["name"] == who)
