"""How sealing goes, for people."""

from __future__ import annotations

from typing import Any

from buildnet.cli.client import Client
from buildnet.cli.output import escaped, note, since_text, waiting
from buildnet.cli.run import settings

_WAIT_S = 30
"""How long a node waits for a seal before it answers."""


def sealing_text(sealing: dict[str, Any]) -> str:
    """Return it as one field, rich's markup."""
    if not sealing["works"]:
        return f"[red]{escaped(sealing['text'])}[/red]"
    needed, voters = sealing["voters_needed"], sealing["voters"]
    here = sum(one["state"] == "here" for one in voters)
    text = f"works: {here} of {len(voters)} voters take part, {needed} are needed"
    absent = [f"{one['name']} ({one['why'] or 'away'})" for one in voters if one["state"] != "here"]
    return text + (f"; not {escaped(', '.join(absent))}" if absent else "")


def last_seal_text(height: int, sealed_at: str | None) -> str:
    """Return which seal was the last one, and when."""
    return f"height {height}, {since_text(sealed_at)}" if sealed_at else "none yet"


def wait_for_seal(client: Client) -> None:
    """Tell a person what is waited for, and at once if it can take long."""
    sealing = client.get("/api/ledger/sealing")
    if sealing["works"]:
        waiting(settings(), "waiting until a majority of the voters has it …")
        return
    note(settings(), sealing["text"])
    waiting(settings(), f"waiting for a majority, {_WAIT_S} s at most …")
