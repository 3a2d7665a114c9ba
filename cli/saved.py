"""What the commands of configurations, templates and profiles have in common."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.ledger_checks import FileError
from buildnet.cli.output import escaped, note, print_fields, show, since_text
from buildnet.cli.run import settings
from buildnet.cli.whole_file import write_whole
from buildnet.mesh.errors import BuildNetError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

Document = dict[str, Any]

Named = Annotated[str, typer.Argument(metavar="NAME", help="Its id, as the list shows it.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key by its path; may come repeatedly."),
]
SetVariable = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Give a variable its value."),
]
File = Annotated[
    Path | None, typer.Option("--file", "-f", help="Take it from a YAML or JSON file; - reads it.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done; do nothing.")]

_ABOUT = (
    *("problem", "warnings", "system", "version", "sealed", "entry", "success"),
    *("created_at", "created_by", "changed_at", "changed_by"),
)
"""What the ledger says of it, beside what it says itself."""
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. ``path``: of its routes; ``key``: of the list in their answer; ``parse``: reads a
    text, or says what is wrong with it; ``warnings``: what of one that was read has no effect."""

    word: str
    path: str
    key: str
    parse: Callable[[str, str], Any]
    warnings: Callable[[Any], tuple[str, ...]] = lambda found: ()

    def at(self, name: str) -> str:
        """Return the path of one of them."""
        return f"{self.path}/{path_part(name)}"

    def list(self) -> tuple[list[Document], list[Document]]:
        """Return all of them, and the changes that wait for a quorum."""
        data = Client.of(settings()).get(self.path)
        return data[self.key], data["drafts"]

    def get(self, name: str) -> Document:
        """Return one, with what the ledger says of it."""
        found: Document = Client.of(settings()).get(self.at(name))
        return found

    def create(self, document: Document) -> Document:
        """Keep a new one."""
        made: Document = Client.of(settings()).post(self.path, document)
        return made

    def change(self, name: str, document: Document, **query: object) -> Document:
        """Change one; see the API for ``query``."""
        client = Client.of(settings())
        made: Document = client.put(self.at(name), document, **query)
        return made


def document_of(view: Mapping[str, Any]) -> Document:
    """Return what it says itself, without what the ledger says of it."""
    return {key: value for key, value in view.items() if key not in _ABOUT}


def show_one(view: Document) -> None:
    """Print one: what it says as YAML, and what the ledger says of it."""

    def table(console: Console) -> None:
        console.print(escaped(yaml_text(document_of(view)).rstrip()), soft_wrap=True)
        console.print()
        if view["system"]:
            console.print("built in")
            return
        if view["problem"] is not None:
            console.print(f"[red]can't be read[/red]: {escaped(view['problem'])}", soft_wrap=True)
        changed = since_text(view["changed_at"]) if view["changed_at"] else "unknown"
        rows = {
            "version": f"{view['version']}, sealed at height {view['sealed']}",
            "changed": f"{changed} by {escaped(view['changed_by'] or 'unknown')}",
            "created by": escaped(view["created_by"] or "unknown"),
        }
        print_fields(console, rows)

    show(settings(), view, table, ids=[view["id"]])
    warn(view["warnings"])


def warn(warnings: Sequence[str]) -> None:
    """Tell a person what has no effect."""
    for one in warnings:
        note(settings(), f"warning: {one}")


def show_kept(word: str, what: str, view: Document) -> None:
    """Say that one was created or changed."""

    def table(console: Console) -> None:
        console.print(f"{what} the {word} {escaped(view['id'])}, version {view['version']}")

    show(settings(), view, table, ids=[view["id"]])
    warn(view["warnings"])


def origin_text(view: Document) -> str:
    """Return where one comes from, for a list."""
    if view["problem"] is not None:
        return "[red]can't be read[/red]"
    return "built in" if view["system"] else f"version {view['version']}"


def show_drafts(console: Console, drafts: Sequence[Document]) -> None:
    """Say which changes wait."""
    for draft in drafts:
        since = since_text(draft["kept_at"])
        console.print(
            f"[yellow]waiting[/yellow] for a majority of the voters since {since}: "
            f"a change of {escaped(draft['id'])}",
            soft_wrap=True,
        )


def read_file(kind: Kind, file: Path) -> Document:
    """Return what a file (``-``: standard input) holds, once it is seen to be good.

    Raises:
        FileError: it can't be read.
        InvalidDocumentError, YamlError: something is wrong with it.
    """
    text, where = file_text(file), "standard input" if str(file) == "-" else str(file)
    return read_text(kind, text, where)


def read_text(kind: Kind, text: str, where: str) -> Document:
    """Return what a text holds, once it is seen to be good."""
    from buildnet.pool.strict_model import load_document, without_nulls

    kind.parse(text, where)
    data = without_nulls(load_document(text, where).data)
    assert isinstance(data, dict)
    return data


def file_text(file: Path) -> str:
    """Return a file's text.

    Raises:
        FileError: it can't be read, is none, or too large.
    """
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with file.open("rb") as stream:
                content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError("it is larger than 1 MiB")
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise FileError(
            f"{file} can't be read",
            cause=getattr(error, "strerror", None) or str(error),
            hint="name a file of YAML or JSON that you may read",
        ) from error


def delete(kind: Kind, name: str, yes: bool, dry_run: bool) -> None:
    """Delete one, after asking."""
    client = Client.of(settings())
    view = kind.get(name)
    what = f"the {kind.word} {escaped(view['id'])}, version {view['version']}"
    if dry_run:
        show(settings(), view, lambda console: console.print(f"would delete {what}"))
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"this deletes the {kind.word} for all, and needs --yes without a terminal",
                hint="add --yes",
            )
        if not typer.confirm(f"delete the {kind.word} {name} for everybody?", err=True):
            raise typer.Abort
    gone = client.delete(kind.at(name), expects=view["version"] or None)
    show(settings(), gone, lambda console: console.print(f"deleted {what}"), ids=[gone["id"]])


def export(kind: Kind, name: str, out: Path | None) -> None:
    """Print one as YAML (``--json``: JSON), or write it to a file, JSON if it is called so."""
    document = document_of(kind.get(name))
    is_json = settings().format == "json" if out is None else out.suffix == ".json"
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n" if is_json else ""
    text = text or yaml_text(document)
    if out is None:
        print(text, end="")
        return
    write_whole(out, [text.encode()], hint="name another file with --out")
    answer = {"id": name, "file": str(out)}
    show(
        settings(), answer, lambda console: console.print(f"written to {escaped(out)}"), ids=[name]
    )


def import_file(kind: Kind, file: Path, name: str | None, replace: bool) -> None:
    """Keep what a file holds."""
    document = read_file(kind, file)
    if name is not None:
        document["id"] = name
    if replace and "id" in document:
        known = {one["id"] for one in kind.list()[0]}
        if document["id"] in known:
            view = kind.change(str(document["id"]), document, replace=True)
            show_kept(kind.word, "changed", view)
            return
    show_kept(kind.word, "created", kind.create(document))


def validate_file(kind: Kind, file: Path) -> None:
    """Say whether a file is good; needs no node."""
    document = read_file(kind, file)
    warnings = kind.warnings(kind.parse(yaml_text(document), str(file)))
    answer = {
        "valid": True,
        "file": str(file),
        "id": document.get("id"),
        "warnings": list(warnings),
    }
    show(settings(), answer, lambda console: console.print(f"{escaped(file)} is valid"))
    warn(warnings)


def edit(kind: Kind, name: str, values: Sequence[str], file: Path | None) -> None:
    """Change one: by paths, by a file that takes its place, or in the editor."""
    from buildnet.pool.keyed_values import assignments, patch_of

    if values and file is not None:
        raise UsageError("--set and --file exclude each other", hint="leave one of them away")
    if values:
        view = kind.change(name, patch_of(assignments(values)))
    elif file is not None:
        view = kind.change(name, read_file(kind, file), replace=True)
    else:
        before = kind.get(name)
        if before["system"]:
            raise UsageError(
                f"the {kind.word} {name} is built in and can't be changed",
                hint="keep what you want under another name",
            )
        document = edited(kind, document_of(before))
        if document is None:
            note(settings(), "nothing was changed")
            return
        view = kind.change(name, document, replace=True, expects=before["version"])
    show_kept(kind.word, "changed", view)


def edited(kind: Kind, document: Document) -> Document | None:
    """Let a person change a document in their editor until it is good; None: nothing was changed.

    Raises:
        UsageError: there is no terminal, or no editor.
        typer.Abort: they gave up.
    """
    if not sys.stdin.isatty() and "EDITOR" not in os.environ:
        raise UsageError(
            "there is no terminal to edit on", hint="use --set KEY=VALUE, --file, or set EDITOR"
        )
    before = text = yaml_text(document)
    with tempfile.TemporaryDirectory(prefix="buildnet-") as directory:
        file = Path(directory) / f"{document.get('id', kind.word)}.yaml"
        while True:
            file.write_text(text, "utf-8")
            _run_editor(file)
            text = file.read_text("utf-8")
            if text == before:
                return None
            try:
                return read_text(kind, text, file.name)
            except BuildNetError as error:
                if not sys.stdin.isatty():
                    raise
                note(settings(), f"{error.message}\n{error.hint or ''}")
                typer.confirm("edit it again?", default=True, err=True, abort=True)


def _run_editor(file: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        code = subprocess.run(
            ["/bin/sh", "-c", f'{editor} "$1"', editor, str(file)], check=False
        ).returncode
    except OSError as error:
        raise UsageError(f"{editor!r:.80} can't be started", cause=str(error)) from error
    if code != 0:
        raise UsageError(
            f"the editor {editor!r:.80} ended with code {code}, so nothing is changed",
            hint="set EDITOR, or use --set KEY=VALUE",
        )


def yaml_text(document: Mapping[str, Any]) -> str:
    """Return a document as YAML, in its order."""
    import yaml

    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100)
