"""``buildnet ledger status``, ``backup``, ``restore``, ``prune``, ``make-key``: its file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import AnswerError, Client, NodeUnreachableError
from buildnet.cli.ledger_checks import FileError
from buildnet.cli.ledger_sealing import last_seal_text, sealing_text
from buildnet.cli.output import (
    age_text,
    bytes_text,
    duration_text,
    escaped,
    note,
    print_fields,
    show,
    since_text,
    waiting,
)
from buildnet.cli.run import settings
from buildnet.mesh.errors import BuildNetError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class NodeRunsError(BuildNetError):
    """A node runs on the data directory, and this is only done while none does."""

    code = "NODE_RUNS"
    exit_code = 1


def status() -> None:
    """Show the ledger's file: its size, what was pruned, what the last reading of everything found,
    the last damage that was found, and whether this node votes."""
    data = Client.of(settings()).get("/api/ledger/store")
    show(settings(), data, lambda console: _print_status(console, data), ids=[data["file"]])


def _print_status(console: Console, data: dict[str, Any]) -> None:
    pruned, retention = data["pruned"], data["retention_s"]
    kept = "for ever" if retention is None else duration_text(retention * 1000)
    fields = {
        "file": escaped(data["file"]),
        "size": bytes_text(data["bytes"]),
        "encrypted": "yes" if data["encrypted"] else "no",
        "kept": kept,
        "pruned": "nothing"
        if pruned is None
        else f"up to height {pruned['height']}, sealed {since_text(pruned['until'])}",
        "read": _scrub_text(data["scrub"]),
        "damage": _damage_text(data["damage"]),
        "voter": _voting_text(data["voting"]),
        "sealing": sealing_text(data["sealing"]),
        "last seal": last_seal_text(data["sealing"]["height"], data["sealing"]["sealed_at"]),
    }
    print_fields(console, fields)


def _scrub_text(scrub: dict[str, Any]) -> str:
    parts = []
    if (last := scrub["last"]) is not None:
        wrong = f"{last['wrong']} damaged" if last["wrong"] else "nothing damaged"
        tables = f", {last['tables']} tables built again" if last["tables"] else ""
        parts.append(
            f"{age_text(last['age_s'])}: {last['entries']} entries, {last['seals']} seals, "
            f"{wrong}{tables}"
        )
    if scrub["running"]:
        parts.append(f"now: {scrub['checked']} entries so far")
    if scrub["damaged_seals"]:
        heights = ", ".join(str(one) for one in scrub["damaged_seals"])
        parts.append(f"[red]damaged seals: {heights}; waiting for a peer's[/red]")
    return "; ".join(parts) or "not yet"


def _damage_text(damage: dict[str, Any] | None) -> str:
    if damage is None:
        return "none was ever found"
    count = damage["problems"]
    places = "1 place" if count == 1 else f"{count} places"
    end = (
        "mended"
        if damage["mended"]
        else "[red]not mended: buildnet ledger verify tells where[/red]"
    )
    return f"{places}, found by {damage['by']} {age_text(damage['age_s'])}; {end}"


def _voting_text(voting: dict[str, Any]) -> str:
    if not voting["voter"]:
        return "no"
    if not voting["abstains"]:
        return "yes"
    if voting["until"] is None:
        heard = ", ".join(one[:12] for one in voting["unheard"])
        return f"[yellow]abstains until it heard {heard}[/yellow]"
    return f"[yellow]abstains until height {voting['until']} is sealed by the others[/yellow]"


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; nothing may be there.")],
) -> None:
    """Write a copy of the ledger while the node works, and check it."""
    client = Client.of(settings())
    if not client.is_local:
        raise UsageError("a backup is written on the node's host", hint="run it there")
    made: dict[str, Any] | None = None
    with client.stream("/api/ledger/backups", {"file": str(file.absolute())}) as events:
        for event in events:
            if event["type"] == "error":
                raise AnswerError({**event, "detail": event["message"]})
            if event["type"] == "backup":
                made = {name: value for name, value in event.items() if name != "type"}
            else:
                _progress(event["step"], event["done"], event["total"])
    _progress(None, 0, 0)
    if made is None:
        raise NodeUnreachableError(
            "the node ended before the backup was whole", hint="start it, and try again"
        )
    found = made

    def table(console: Console) -> None:
        holds = f"{found['entries']} entries, {found['seals']} seals"
        print_fields(
            console,
            {
                "backup": escaped(found["file"]),
                "holds": f"{holds}, {bytes_text(found['bytes'])}; checked",
                "cluster": found["cluster_id"],
                "key": "[yellow]encrypted: keep the key file, too, elsewhere[/yellow]"
                if found["encrypted"]
                else "not encrypted: whoever has the file reads it",
            },
        )

    show(settings(), found, table, ids=[found["file"]])


def _progress(step: str | None, done: int, total: int) -> None:
    if step is None:
        text = None
    elif step == "copying":
        text = f"copying: {bytes_text(done)} of about {bytes_text(total)} …"
    else:
        text = f"checking: {done} entries …"
    waiting(settings(), text)


def restore(
    file: Annotated[Path, typer.Argument(help="What buildnet ledger backup wrote.")],
    config: Annotated[
        Path | None, typer.Option(help="The node's configuration; default: its node.yaml.")
    ] = None,
    yes: Yes = False,
) -> None:
    """Put a backup in the place of the ledger of a node that does not run. What was there is kept
    beside it."""
    if settings().node is not None:
        raise UsageError("a backup is restored on the node's host", hint="run it there")
    from buildnet.ledger.service.service import path_of
    from buildnet.ledger.service.settings import LedgerSettings
    from buildnet.ledger.signing import ANYBODY
    from buildnet.ledger.store.backup import BackupError, cluster_of
    from buildnet.ledger.store.backup import restore as put_back
    from buildnet.ledger.store.errors import LedgerDamagedError
    from buildnet.ledger.store.verifying import Trust
    from buildnet.node.config import load_config
    from buildnet.node.home import AlreadyRunningError, Home, default_home

    home = Home(default_home())
    said = load_config(config or home.config, required=config is not None).ledger.encryption
    vault = LedgerSettings(key_file=said.key_file).vault()
    try:
        cluster = cluster_of(file)
    except LedgerDamagedError as error:
        raise BackupError(
            f"{file} is no backup of a ledger, or damaged",
            cause=error.cause,
            hint="name what buildnet ledger backup wrote; of a damaged one use an older one",
        ) from error
    ledger = path_of(home.directory, cluster)
    if not ledger.exists() and not ledger.with_name(ledger.name + ".fence").exists():
        note(settings(), f"this node has no ledger of the cluster {cluster.hex()[:16]} so far")
    _confirm(f"put {file} in the place of {ledger}?", yes)
    home.prepare()
    try:
        home.lock()
    except AlreadyRunningError as error:
        raise NodeRunsError(
            f"a node runs on {home.directory}",
            hint="buildnet node stop, then restore, then buildnet node start",
        ) from error
    try:
        found, aside = put_back(
            file,
            ledger,
            vault,
            Trust(ANYBODY.verify, replay=False),
            tell=lambda step: _progress(step.name, step.done, step.total),
        )
    finally:
        _progress(None, 0, 0)
        home.unlock()
    data = {
        "file": str(file),
        "ledger": str(ledger),
        "aside": None if aside is None else str(aside),
        "cluster_id": cluster.hex(),
        "bytes": found.bytes,
        "entries": found.entries,
        "seals": found.seals,
    }

    def table(console: Console) -> None:
        print_fields(
            console,
            {
                "ledger": escaped(ledger),
                "holds": f"{found.entries} entries, {found.seals} seals; checked",
                "before": "there was none" if aside is None else escaped(aside),
                "next": "buildnet node start: it begins another chain, and fetches from its peers "
                "what is newer",
            },
        )

    show(settings(), data, table, ids=[str(ledger)])


def prune(
    before: Annotated[
        str | None, typer.Option(help="Forget what was sealed before: ISO 8601 (UTC).")
    ] = None,
    keep: Annotated[
        str | None, typer.Option(help="Forget what was sealed longer ago than this: 90d.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be.")] = False,
    yes: Yes = False,
) -> None:
    """Forget what old entries say on this node; their hashes and all seals stay, and what is left
    still verifies. Without options: what ledger.retention in node.yaml lets go."""
    if before is not None and keep is not None:
        raise UsageError("--before and --keep say the same thing twice", hint="give one of them")
    client = Client.of(settings())
    body = {"before": before if before is not None else keep}
    if not dry_run:
        ahead = client.post("/api/ledger/prune", {**body, "dry_run": True})
        if ahead["forgotten"]:
            _confirm(f"forget what {ahead['forgotten']} entries say, on this node?", yes)
    data = client.post("/api/ledger/prune", {**body, "dry_run": dry_run})

    def table(console: Console) -> None:
        did = "would forget" if dry_run else "forgot"
        console.print(
            f"{did} what {data['forgotten']} entries say, sealed before {data['before']} "
            f"(up to height {data['height']})"
        )

    show(settings(), data, table)


def make_key(
    file: Annotated[Path, typer.Argument(help="The file to write; nothing may be there.")],
) -> None:
    """Make a key to encrypt the ledger's file with; node.yaml names it."""
    from buildnet.ledger.store.vault import load_key

    if file.exists():
        raise FileError(f"{file} exists", hint="name a file that does not")
    try:
        load_key(file, create=True)
    except OSError as error:
        raise FileError(
            f"{file} can't be written",
            cause=error.strerror or str(error),
            hint="name a file in a directory that is there",
        ) from error
    path = file.absolute()

    def table(console: Console) -> None:
        console.print(f"{escaped(path)}", soft_wrap=True)
        console.print(
            f"In node.yaml: ledger: {{encryption: {{key_file: {escaped(path)}}}}}", soft_wrap=True
        )
        console.print("Keep a copy elsewhere: without it the ledger's file can't be read.")

    show(settings(), {"file": str(path)}, table, ids=[str(path)])


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("this replaces or removes data and needs --yes", hint="add --yes")
    if not typer.confirm(question, err=True):
        raise typer.Abort
