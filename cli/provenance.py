"""``buildnet audit attest`` and the check of what it writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.ledger_checks import FileError, cluster_of, read_file
from buildnet.cli.output import escaped, print_fields, show
from buildnet.cli.run import settings
from buildnet.cli.whole_file import write_whole
from buildnet.mesh.errors import BuildNetError

if TYPE_CHECKING:
    from rich.console import Console

_PIECE_BYTES = 1 << 20
_MOST_FILES = 100_000


class NoProvenanceError(BuildNetError):
    """Nothing could be stated of what was asked for."""

    code = "PROVENANCE"


def attest(
    build_id: Annotated[str, typer.Argument(help="The build's id or the beginning of it.")],
    packages: Annotated[
        list[str] | None, typer.Argument(help="Only of these; default: all that made files.")
    ] = None,
    task: Annotated[str, typer.Option(help="What this task made instead of build.")] = "build",
    out: Annotated[
        Path, typer.Option(help="The directory to write to; it is made if need be.")
    ] = Path("provenance"),
) -> None:
    """Write where the files of a build come from: for each package a statement (SLSA provenance)
    signed by the node that ran its command, which anybody can check without a node."""
    found = Client.of(settings()).get(
        f"/api/build/{path_part(build_id)}/provenance", package=packages or None, task=task
    )
    written: list[dict[str, Any]] = []
    for one in found["statements"]:
        path = None
        if one["statement"] is not None:
            path = out / one["file"]
            _write(path, json.dumps(one["statement"], indent=1) + "\n")
        written.append(
            {
                "package": one["package"],
                "task": one["task"],
                "file": None if path is None else str(path),
                "why": one["why"],
                "hint": one["hint"],
            }
        )
    made = [one for one in written if one["file"] is not None]
    if not made or (packages and len(made) < len(written)):
        missing = next(one for one in written if one["file"] is None) if written else None
        raise NoProvenanceError(
            f"build {found['build_id']}: there is no statement"
            + (f" for {missing['package']}" if missing else ""),
            cause=missing["why"] if missing else "the build had no such task",
            hint=missing["hint"] if missing else None,
        )
    answer = {**{name: found[name] for name in ("build_id", "cluster_id", "sealed")}}
    show(
        settings(),
        {**answer, "statements": written},
        lambda console: _print(console, answer, written),
        ids=[one["file"] for one in made],
    )


def _print(console: Console, answer: dict[str, Any], written: list[dict[str, Any]]) -> None:
    for one in written:
        if one["file"] is not None:
            console.print(escaped(one["file"]), soft_wrap=True)
        else:
            console.print(
                f"[yellow]none[/yellow] for {escaped(one['package'])}: {escaped(one['why'])}",
                soft_wrap=True,
            )
    if not answer["sealed"]:
        console.print(
            "[yellow]mind[/yellow]: the end of the build is not sealed yet, so nothing shows whose "
            "keys these are; write them again later",
            soft_wrap=True,
        )
    print_fields(
        console,
        {"check": f"buildnet audit verify FILE --artifact PATH --cluster {answer['cluster_id']}"},
    )


def is_statement(file: Path) -> bool:
    """Whether a file can only be a statement: it begins as JSON does."""
    try:
        with file.open("rb") as opened:
            return opened.read(64).lstrip().startswith(b"{")
    except OSError:
        return False  # who reads it says why


def verify_statement(file: Path, artifacts: Iterable[Path], cluster: str | None) -> None:
    """Check what :func:`attest` wrote, print what it shows, and end with 1 if it does not hold."""
    from buildnet.pool.dsse import MAX_ENVELOPE_BYTES, Envelope
    from buildnet.pool.provenance_check import check_file

    envelope = Envelope.of_text(read_file(file, MAX_ENVELOPE_BYTES))
    hashes = {str(path): _sha256(path) for path in _files(artifacts)}
    checked = check_file(envelope, hashes, cluster_of(cluster))
    stated = checked.statement
    answer = {
        "holds": checked.holds,
        "problem": checked.problem,
        "cluster_id": checked.cluster_id.hex() or None,
        "build_id": checked.build,
        "label": None if stated is None else stated.label,
        "command": None if stated is None else stated.command,
        "signer": None if stated is None else stated.signer.hex(),
        "words": list(checked.words),
        "cautions": list(checked.cautions),
        "artifacts": dict(checked.artifacts),
    }

    def table(console: Console) -> None:
        if checked.problem is not None:
            console.print(
                f"[red]it does not hold[/red]: {escaped(checked.problem)}", soft_wrap=True
            )
            return
        console.print("[green]it holds[/green]")
        for line in checked.words:
            console.print(f"- {escaped(line)}", soft_wrap=True)
        for line in checked.cautions:
            console.print(f"[yellow]mind[/yellow]: {escaped(line)}", soft_wrap=True)

    show(settings(), answer, table)
    if not checked.holds:
        raise typer.Exit(1)


def _files(artifacts: Iterable[Path]) -> Iterator[Path]:
    """Return files, and all files below directories.

    Raises:
        FileError: there are none, or too many.
    """
    count = 0
    for path in artifacts:
        found = [path]
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.is_file() and not one.is_symlink())
            if not found:
                raise FileError(f"{path} holds no files", hint="name what the build made")
        count += len(found)
        if count > _MOST_FILES:
            raise FileError(f"more than {_MOST_FILES} files", hint="name fewer with --artifact")
        yield from found


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                found.update(piece)
    except OSError as error:
        raise FileError(
            f"{path} can't be read",
            cause=error.strerror or str(error),
            hint="name a file that the build made",
        ) from error
    return found.hexdigest()


def _write(path: Path, text: str) -> None:
    hint = "name another directory with --out"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"{path.parent} can't be made", cause=error.strerror or str(error), hint=hint
        ) from error
    write_whole(path, [text.encode()], hint=hint)
