"""``buildnet config``: build configurations of the cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli import saved
from buildnet.cli.client import Client, path_part
from buildnet.cli.output import Listing, escaped, note, show
from buildnet.cli.run import settings
from buildnet.cli.saved import DryRun, File, Kind, Named, Set, Yes

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="What builds use of the pool, kept for everybody under a name.", no_args_is_help=True
)


def _parse(text: str, where: str) -> object:
    from buildnet.pool.configuration import parse_configuration

    return parse_configuration(text, where)


def _warnings(found: Any) -> tuple[str, ...]:
    from buildnet.pool.without_effect import warnings_of_configuration

    return warnings_of_configuration(found)


CONFIGURATION = Kind("configuration", "/api/configs", "configs", _parse, _warnings)


@app.command("list")
def list_configurations() -> None:
    """List the configurations of the cluster."""
    found, drafts = CONFIGURATION.list()

    def table(console: Console) -> None:
        rows = Listing(
            *("configuration", "name", "cores", "memory", "nodes", "strategy", "version", "by"),
            right=("cores",),
            wraps=("name",),
            spare=("by", "version", "strategy", "memory"),
        )
        for one in found:
            resources, execution = one.get("resources", {}), one.get("execution", {})
            cpu, memory = resources.get("cpu", {}), resources.get("memory", {})
            rows.add_row(
                escaped(one["id"]),
                escaped(one.get("name", "")),
                str(cpu.get("cores") or "all"),
                f"{memory['gb']:g} GiB" if memory.get("gb") else "all",
                _nodes_text(cpu, execution),
                escaped(execution.get("strategy", "as the profile")),
                saved.origin_text(one).removeprefix("version "),
                escaped(one["changed_by"] or "unknown"),
            )
        rows.print(console)
        saved.show_drafts(console, drafts)

    data = {"configs": found, "drafts": drafts}
    show(settings(), data, table, ids=[one["id"] for one in found])


def _nodes_text(cpu: dict[str, Any], execution: dict[str, Any]) -> str:
    if execution.get("local_only"):
        return "this one"
    named = [str(one["node_id"]) for one in cpu.get("node_allocations", [])]
    if not named:
        return str(execution.get("max_nodes") or "all")
    # The asked one takes part without being named; which of the names is its own, it alone knows.
    return escaped(", ".join(named) + ("" if "local" in named else " and the asked one"))


@app.command("show")
def show_configuration(name: Named) -> None:
    """Show one configuration."""
    saved.show_one(CONFIGURATION.get(name))


@app.command()
def create(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The id to keep it under; else everything is asked."),
    ] = None,
    from_template: Annotated[
        str | None,
        typer.Option(metavar="TEMPLATE", help="Begin with what this template makes."),
    ] = None,
    values: Set = None,
    file: File = None,
    dry_run: DryRun = False,
) -> None:
    """Make a configuration: of a template, a file, and of keys that are set. With --from-template,
    --set gives the template's variables their values, too. Without any of that, on a terminal, it
    asks: what of the pool to use, and how long a build of this directory's workspace takes then."""
    from buildnet.mesh.errors import UsageError
    from buildnet.pool.configuration import read_configuration
    from buildnet.pool.keyed_values import assignments, merged, patch_of

    if from_template is not None and file is not None:
        raise UsageError(
            "--from-template and --file exclude each other", hint="leave one of them away"
        )
    if name is None or not (from_template or file or values):
        if name is None and (from_template or file or values):
            raise UsageError("it needs a name", hint="buildnet config create NAME …")
        if sys.stdin.isatty():
            _asked(name, dry_run)
            return
    if name is None:
        raise UsageError(
            "without a terminal it can't ask", hint="buildnet config create NAME --file FILE"
        )
    given, document = assignments(values or ()), {}
    if file is not None:
        document = saved.read_file(CONFIGURATION, file)
    elif from_template is not None:
        client = Client.of(settings())
        template = f"/api/templates/{path_part(from_template)}"
        names = {one["name"] for one in client.get(template).get("variables", [])}
        variables = {key: given.pop(key) for key in names & given.keys()}
        # A lone word that is no variable was meant as one, and the template says which it has.
        variables |= {key: value for key, value in given.items() if _is_strange(key)}
        given = {key: value for key, value in given.items() if key not in variables}
        document = client.post(f"{template}/use", {"variables": variables})
    document = {**merged(document, patch_of(given)), "id": name}
    made = read_configuration(document, f"the configuration {name}")
    if dry_run:
        print(saved.yaml_text(document), end="")
        saved.warn(_warnings(made))
        return
    saved.show_kept("configuration", "created", CONFIGURATION.create(document))


class _Terminal:
    """Asks on the terminal, beside what a program reads from standard output."""

    def say(self, text: str) -> None:
        typer.echo(text, err=True)

    def ask(self, question: str, default: str) -> str:
        shown = bool(default)
        return str(typer.prompt(question, default=default, show_default=shown, err=True))

    def confirm(self, question: str, default: bool) -> bool:
        return typer.confirm(question, default=default, err=True)


def _asked(name: str | None, dry_run: bool) -> None:
    """Make a configuration by asking for it."""
    from buildnet.cli.config_creator import Creator
    from buildnet.cli.estimate import in_words
    from buildnet.mesh.errors import BuildNetError

    client = Client.of(settings())

    def check(document: saved.Document) -> list[str]:
        found = client.post("/api/configs/validate", document)
        return [*found["warnings"], *([found["capacity"]] if found["capacity"] else [])]

    def estimate(document: saved.Document) -> list[str]:
        asked = {name: value for name, value in document.items() if name != "id"}
        body = {"root": str(Path.cwd()), "configuration": asked}
        try:
            found = client.post("/api/build/estimate", body)
            return in_words(found) if found["packages"] else ["Nothing is to be built here now."]
        except BuildNetError as error:
            return [f"No estimate: {error.message}"]

    made = Creator(
        _Terminal(),
        client.get("/api/pool"),
        client.get("/api/templates")["templates"],
        frozenset(one["id"] for one in CONFIGURATION.list()[0]),
        lambda template, variables: client.post(
            f"/api/templates/{path_part(template)}/use", {"variables": dict(variables)}
        ),
        check,
        estimate,
    ).create(name)
    if made is None:
        note(settings(), "nothing was kept")
    elif dry_run:
        print(saved.yaml_text(made), end="")
    else:
        saved.show_kept("configuration", "created", CONFIGURATION.create(made))


def _is_strange(key: str) -> bool:
    from buildnet.pool.configuration import BuildConfiguration

    return key.partition(".")[0] not in BuildConfiguration.model_fields


@app.command()
def edit(name: Named, values: Set = None, file: File = None) -> None:
    """Change a configuration: keys that are set, a file in its place, or, without both, in the
    editor that VISUAL or EDITOR names. --set KEY= takes a key away."""
    saved.edit(CONFIGURATION, name, values or (), file)


@app.command()
def delete(name: Named, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Delete a configuration, for everybody."""
    saved.delete(CONFIGURATION, name, yes, dry_run)


@app.command()
def export(
    name: Named,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file; default: standard output.")
    ] = None,
) -> None:
    """Write a configuration as YAML, or as JSON (--json, or a file called so)."""
    saved.export(CONFIGURATION, name, out)


@app.command("import")
def import_configuration(
    file: Annotated[Path, typer.Argument(help="A YAML or JSON file; - reads it.")],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="The id to keep it under.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of the one that is there.")
    ] = False,
) -> None:
    """Keep the configuration that a file holds."""
    saved.import_file(CONFIGURATION, file, name, replace)


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A YAML or JSON file; - reads it.")],
    pool: Annotated[
        bool, typer.Option("--pool", help="Also ask the node whether the pool has what it takes.")
    ] = False,
) -> None:
    """Tell what is wrong with a file. Without --pool it needs no node."""
    if not pool:
        saved.validate_file(CONFIGURATION, file)
        return
    document = saved.read_file(CONFIGURATION, file)
    answer = Client.of(settings()).post("/api/configs/validate", document)

    def table(console: Console) -> None:
        console.print(f"{escaped(file)} is valid")

    show(settings(), answer, table)
    saved.warn(answer["warnings"])
    if answer["capacity"] is not None:
        note(settings(), answer["capacity"])
        raise typer.Exit(5)
