"""``buildnet ledger verify``, ``prove``, ``check-proof``: is the ledger what was written?"""

from __future__ import annotations

import base64
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import AnswerError, Client, NodeUnreachableError, path_part
from buildnet.cli.output import escaped, print_fields, printable, show, waiting
from buildnet.cli.run import settings
from buildnet.mesh.errors import BuildNetError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 20
_CLUSTER_DIGITS = 64


class Acknowledge(StrEnum):
    """What to wait for."""

    LOCAL = "local"
    SEALED = "sealed"


class FileError(BuildNetError):
    """A file that a command reads or writes can't be."""

    code = "FILE"
    exit_code = 2


_NEXT = (
    "next: peers are asked for what is damaged, by itself, so check again in a moment; "
    "buildnet ledger verify --deep --repair mends indexes and derived tables"
)
_REMEDY = (
    "next: check again in a moment, for what peers send comes later; what stays, no peer that is "
    "linked has: buildnet ledger sync tells who is, and else a backup may have it"
)


def verify(
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also build the derived tables again, and compare them."),
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put right what this node can, and check again.")
    ] = False,
) -> None:
    """Check all that the node holds: each entry, chain, signature and seal. Ends with 1 if anything
    is not what was written."""
    found = verified(Client.of(settings()), deep=deep, repair=repair)

    def table(console: Console) -> None:
        print_report(console, found)
        if not found["verified"]:
            console.print(_REMEDY if repair else _NEXT, soft_wrap=True)

    show(settings(), found, table)
    if not found["verified"]:
        raise typer.Exit(1)


def verified(client: Client, *, deep: bool = False, repair: bool = False) -> dict[str, Any]:
    """Have a node check its ledger, show how far it is, and return its report."""
    report: dict[str, Any] | None = None
    with client.stream("/api/ledger/verify", {"deep": deep, "repair": repair}) as events:
        for event in events:
            if event["type"] == "error":
                raise AnswerError({**event, "detail": event["message"]})
            if event["type"] == "report":
                report = {name: value for name, value in event.items() if name != "type"}
            else:
                _progress(event)
    _progress(None)
    if report is None:
        raise NodeUnreachableError(
            "the node ended before the check was over", hint="start it, and check again"
        )
    return report


def _progress(event: dict[str, Any] | None) -> None:
    if event is None:
        text = None
    elif event["type"] == "repairing":
        text = "repairing …"
    else:
        text = f"{event['entries']} of {event['total']} entries, {event['seals']} seals …"
    waiting(settings(), text)


def print_report(console: Console, report: dict[str, Any]) -> None:
    """Print what a check found."""
    checked = f"{report['entries_checked']} entries, {report['seals_checked']} seals"
    if report.get("pruned"):
        checked += f"; of {report['pruned']} entries only the hash is here"
    if report["verified"]:
        console.print(f"[green]verified[/green]: {checked}")
        return
    errors = report["errors"]
    console.print(f"[red]not verified[/red]: {checked}, {len(errors)} errors")
    for one in errors[:_SHOWN]:
        console.print(f"  {escaped(one['where'])}: {escaped(one['what'])}", soft_wrap=True)
    if len(errors) > _SHOWN:
        console.print(f"  and {len(errors) - _SHOWN} more: --json lists them")


def prove(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="Its id or the beginning of it.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write; default: ledger-ID.proof.")
    ] = None,
) -> None:
    """Write the proof that an entry is sealed: a file that anybody can check without a node."""
    data = Client.of(settings()).get(f"/api/ledger/entries/{path_part(entry_id)}/proof")
    path = out or Path(f"ledger-{data['id'][:12]}.proof")
    content = base64.b64decode(data.pop("proof"))
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise FileError(
            f"{path} can't be written",
            cause=error.strerror or str(error),
            hint="name another file with --out",
        ) from error
    answer = {**data, "file": str(path), "bytes": len(content)}

    def table(console: Console) -> None:
        print_fields(
            console,
            {
                "proof": escaped(path),
                "of": f"entry {data['id'][:16]}, sealed at height {data['sealed']}",
                "cluster": data["cluster_id"],
                "check": f"buildnet ledger check-proof {escaped(path)} --cluster "
                f"{data['cluster_id']}",
            },
        )

    show(settings(), answer, table, ids=[str(path)])


def check_proof(
    file: Annotated[Path, typer.Argument(help="What buildnet ledger prove wrote.")],
    cluster: Annotated[
        str | None,
        typer.Option(help="The cluster's id, known from elsewhere; without it: told, not checked."),
    ] = None,
) -> None:
    """Check a proof without a node and without a network. Ends with 1 if it does not hold."""
    from buildnet.ledger.proof import MAX_PROOF_BYTES, Proof, check

    wanted = cluster_of(cluster)
    verdict = check(Proof.from_bytes(read_file(file, MAX_PROOF_BYTES)), wanted)
    entry, seal = verdict.entry, verdict.seal
    answer = {
        "holds": verdict.holds,
        "problem": verdict.problem,
        "cluster_id": verdict.cluster_id.hex() or None,
        "words": list(verdict.words),
        "cautions": list(verdict.cautions),
        "height": None if seal is None else seal.height,
        "entry": None
        if entry is None
        else {
            "id": entry.id,
            "type": entry.body.type,
            "origin": entry.body.origin.hex(),
            "sequence": entry.body.sequence,
            "entity": entry.body.entity,
            "data": entry.data,
        },
    }

    def table(console: Console) -> None:
        if verdict.problem is not None:
            console.print(f"[red]the proof does not hold[/red]: {escaped(verdict.problem)}")
            return
        console.print("[green]the proof holds[/green]")
        for line in verdict.words:
            console.print(f"- {escaped(line)}", soft_wrap=True)
        if entry is not None:
            from buildnet.ledger.entry_types import describe

            console.print(f"It says: {escaped(describe(entry))}", soft_wrap=True)
        for line in verdict.cautions:
            console.print(f"[yellow]mind[/yellow]: {escaped(line)}", soft_wrap=True)

    show(settings(), answer, table, ids=[entry.id] if entry and verdict.holds else [])
    if not verdict.holds:
        raise typer.Exit(1)


def read_file(path: Path, most_bytes: int) -> bytes:
    """Return what is in a file.

    Raises:
        FileError: it can't be read, or has more bytes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise FileError(
            f"{printable(path)} can't be read",
            cause=error.strerror or str(error),
            hint="name a file that is there and that you may read",
        ) from error
    if len(content) > most_bytes:
        raise FileError(f"{printable(path)} is too large", hint="is it the right file?")
    return content


def cluster_of(text: str | None) -> bytes | None:
    """Return a cluster's id; None: none was given.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return None
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(text) != _CLUSTER_DIGITS or len(found) * 2 != _CLUSTER_DIGITS:
        raise UsageError(
            f"{text!r:.80} is no cluster's id",
            hint="64 hexadecimal digits; a member shows it: buildnet node status --json",
        )
    return found
