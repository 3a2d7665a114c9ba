"""``buildnet login``: a link with which a browser logs in on the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from buildnet.cli.client import Client
from buildnet.cli.invitations import MemberRights
from buildnet.cli.output import escaped, note, show
from buildnet.cli.run import settings

if TYPE_CHECKING:
    from rich.console import Console


def login(
    account: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="For this account; else for you, who own it."),
    ] = None,
    rights: Annotated[
        MemberRights | None, typer.Option(help="Allow no more than these rights.")
    ] = None,
) -> None:
    """Print a link with which a browser logs in on the node, good once and for ten minutes."""
    body = {"account": account, "rights": rights}
    data = Client.of(settings()).post("/api/logins", body)

    def table(console: Console) -> None:
        console.print(escaped(data["url"]), soft_wrap=True)
        network = data["network_url"]
        if network is not None and network != data["url"]:
            console.print("from another host, the same link once:")
            console.print(escaped(network), soft_wrap=True)
        note(settings(), "good once, for ten minutes; whoever has it logs in")
        if data["warning"] is not None:
            note(settings(), f"warning: {data['warning']}")

    show(settings(), data, table, ids=[data["url"]])
