"""``buildnet rights``: who may do what, of the members' owners and of the accounts of people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import AnswerError, Client, path_part
from buildnet.cli.invitations import MemberRights
from buildnet.cli.members import change, confirm
from buildnet.cli.output import Listing, escaped, note, show
from buildnet.cli.run import settings
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

_ACCOUNT = "account:"
_LEAST_OF_AN_ID = 4
_MOST_SHOWN = 10

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
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask, though keys that the member made end."),
    ] = False,
) -> None:
    """Set what a member's owner may do, or what an account allows."""
    client = Client.of(settings())
    account = _account(client, who)
    if account is None:
        if rights is not MemberRights.ADMIN:
            _ask_about_keys(client, who, yes)
        change("rights", {"node": who, "rights": rights}, f"has the rights of: {rights}")
        return
    path = f"/api/accounts/{path_part(account)}"
    made = client.put(path, {"rights": rights})
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


def _ask_about_keys(client: Client, who: str, yes: bool) -> None:
    """Tell which keys count no more once a member is no admin, and ask whether that is meant.

    Raises:
        UsageError: there is nobody to ask.
    """
    ended = keys_made_by(who, client.get("/api/node/members")["members"], _keys(client))
    if not ended:
        return
    shown = ", ".join(ended[:_MOST_SHOWN]) + (", …" if len(ended) > _MOST_SHOWN else "")
    warning = f"keys that {who} made count no more once it is no admin's: {shown}"
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            f"{warning}; this needs --yes without a terminal",
            hint="add --yes, or first make them anew on the node of another admin: "
            "buildnet key rotate",
        )
    note(settings(), f"warning: {warning}")
    confirm("take the rights of an admin away all the same?", yes)


def _keys(client: Client) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = client.get("/api/keys")["keys"]
    except AnswerError as error:
        if error.code != "NOT_ALLOWED":
            raise
        return []  # whether the rights may be set is told where they are
    return found


def keys_made_by(
    who: str, members: Sequence[dict[str, Any]], keys: Sequence[dict[str, Any]]
) -> list[str]:
    """Return the names of the keys that count and were made on the node of the admin that ``who``
    means; none where that is no member, or no admin."""
    found = {each["id"] for each in members if _is_meant(each, who) and each["rights"] == "admin"}
    return [each["name"] for each in keys if each["status"] == "valid" and each["issuer"] in found]


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
