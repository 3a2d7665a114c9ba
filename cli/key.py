"""``buildnet key``: keys with which agents use the pool over the network."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.credential import KeyFileError
from buildnet.cli.invitations import MemberRights
from buildnet.cli.members import confirm
from buildnet.cli.output import Listing, escaped, note, print_fields, show
from buildnet.cli.run import settings
from buildnet.cli.start import ensure_node
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Keys with which agents use the pool over the network.", no_args_is_help=True
)

Named = Annotated[
    str, typer.Argument(metavar="KEY", help="Its name, its id, or the beginning of the id.")
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the key there (mode 0600) instead of printing it."),
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_NEW = "new"
_PUBLIC_KEY_BYTES = 32
_SSH = re.compile(r"ssh-ed25519 ([A-Za-z0-9+/=]+)( .*)?")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Of the agent; it is known as agent:NAME.")],
    rights: Annotated[MemberRights, typer.Option(help="What it may do.")] = MemberRights.OBSERVER,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:NAME",
            help="Only for this: node:NAME, workspace:NAME or action:ACTION; may come repeatedly.",
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it counts, at most 366d: 12h, 30d.")
    ] = "30d",
    bind: Annotated[
        str | None,
        typer.Option(
            metavar="PUBKEY",
            help="Only with signatures of the agent's own key: Ed25519, hexadecimal, or a file "
            "with it (also of ssh or openssl); new makes one, into the file of --out.",
        ),
    ] = None,
    rate: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Requests a minute, on each node.")
    ] = 600,
    out: Out = None,
) -> None:
    """Make a key and print it, once; on the node of an admin."""
    from buildnet.pool.quantity import QuantityError, parse_duration_s

    try:
        valid_s = parse_duration_s(expires)
    except QuantityError as error:
        raise UsageError(f"--expires: {error}", hint="write a duration such as 30d") from error
    if bind == _NEW and out is None:
        raise UsageError("--bind new needs --out FILE", hint="the agent's own secret goes there")
    _require_new(out)
    bound, secret = _bound(bind)
    body = {
        "name": name,
        "rights": rights,
        "scope": scope or [],
        "valid_s": valid_s,
        "bound": bound,
        "rate": rate,
    }
    _show_made(ensure_node(settings()).post("/api/keys", body), out, secret)


@app.command("list")
def list_keys() -> None:
    """List the keys that the pool knows."""
    data = Client.of(settings()).get("/api/keys")

    def table(console: Console) -> None:
        if not data["keys"]:
            console.print("there is no key: buildnet key create NAME")
            return
        rows = Listing(
            *("key", "id", "rights", "scope", "until", "status", "made by"),
            spare=("made by", "scope"),
        )
        for each in data["keys"]:
            rows.add_row(
                escaped(each["name"]),
                each["id"],
                each["rights"],
                escaped(", ".join(each["scope"])) or "all",
                each["expires_at"],
                each["status"],
                escaped(each["made_by"]),
            )
        rows.print(console)

    show(settings(), data, table, ids=[each["id"] for each in data["keys"]])


@app.command("show")
def show_key(key: Named) -> None:
    """Show what a key is for and what became of it; never the key itself."""
    data = Client.of(settings()).get(f"/api/keys/{path_part(key)}")
    show(settings(), data, lambda console: _print(console, data), ids=[data["id"]])


@app.command()
def revoke(
    key: Named,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the ledger.")] = "",
    yes: _Yes = False,
) -> None:
    """Let a key count no more, for ever, and those that were made with it."""
    confirm(f"revoke the key {key} for ever?", yes)
    path = f"/api/keys/{path_part(key)}/revoke"
    data = Client.of(settings()).post(path, {"reason": reason})
    show(
        settings(),
        data,
        lambda console: console.print(f"the key {data['id']} is revoked"),
        ids=[data["id"]],
    )


@app.command()
def rotate(key: Named, out: Out = None, yes: _Yes = False) -> None:
    """Make a key anew under its id and print it; the one from before counts no more."""
    _require_new(out)
    confirm(f"make the key {key} anew? the one from before counts no more", yes)
    path = f"/api/keys/{path_part(key)}/rotate"
    _show_made(Client.of(settings()).post(path, {}), out, None)


def _show_made(data: dict[str, Any], out: Path | None, secret: bytes | None) -> None:
    """Print a key that was made, or write it to a file."""
    if out is not None:
        _write(out, data.pop("key"), secret)
        data["file"] = str(out)
        show(settings(), data, lambda console: _print(console, data), ids=[data["id"]])
        return
    show(
        settings(),
        data,
        lambda console: console.print(data["key"], soft_wrap=True),
        ids=[data["key"]],
    )
    note(
        settings(),
        f"this is the key of agent:{data['name']} ({data['id']}), with {data['rights']} "
        f"rights, until {data['expires_at']}; it is shown only now\n"
        f"take it back: buildnet key revoke {data['id']}",
    )


def _print(console: Console, data: dict[str, Any]) -> None:
    shown = {
        name: escaped(", ".join(value) if isinstance(value, list) else str(value))
        for name, value in data.items()
        if value not in (None, "", [])
    }
    print_fields(console, shown)


def _require_new(out: Path | None) -> None:
    """Refuse a file that can't be made, before a key is: one that is made anew voids the other.

    Raises:
        UsageError: it is there, or nothing can be written to its directory.
    """
    if out is None:
        return
    if out.exists():
        raise UsageError(f"{out} is there already", hint="name another file, or move it away")
    if not os.access(out.parent, os.W_OK):
        raise UsageError(
            f"{out} can't be written", hint="name a file in a directory that is there, and yours"
        )


def _write(path: Path, key: str, secret: bytes | None) -> None:
    text = key + "\n" if secret is None else f"{key}\nsecret: {secret.hex()}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise KeyFileError(
            f"the key was made, but can't be written to {path}",
            cause=error.strerror,
            hint="revoke it (buildnet key list), and make another",
        ) from error


def _bound(said: str | None) -> tuple[str | None, bytes | None]:
    """Return the public key (hexadecimal) that is said, and the secret of one that is made."""
    if said is None:
        return None, None
    if said == _NEW:
        from buildnet.mesh.identity import NodeKey

        made = NodeKey.generate()
        return made.public_key.hex(), made.seed
    text = said
    if not re.fullmatch("[0-9a-fA-F]{64}", said) and not _SSH.fullmatch(said):
        try:
            text = Path(said).read_text("ascii").strip()
        except (OSError, ValueError) as error:
            raise _no_public_key(said) from error
    return _public_key(text, said), None


def _public_key(text: str, said: str) -> str:
    """Return a public key as hexadecimal digits, of any of the forms that are in use."""
    if re.fullmatch("[0-9a-fA-F]{64}", text):
        return text.lower()
    encoded = _SSH.fullmatch(text) or _PEM.fullmatch(text + "\n")
    try:
        data = b64decode("".join(encoded[1].split()), validate=True) if encoded else b""
    except ValueError as error:
        raise _no_public_key(said) from error
    # Both forms end with the key itself: 4 + 11 + 4 bytes of names and lengths of ssh, 12 of DER.
    if len(data) not in (12 + _PUBLIC_KEY_BYTES, 19 + _PUBLIC_KEY_BYTES):
        raise _no_public_key(said)
    return data[-_PUBLIC_KEY_BYTES:].hex()


def _no_public_key(said: str) -> UsageError:
    return UsageError(
        f"--bind: {said!r:.80} is no public key",
        hint="64 hexadecimal digits, a file of ssh-keygen -t ed25519 (.pub) or of openssl, or new",
    )
