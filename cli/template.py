"""``buildnet template``: patterns of configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli import saved
from buildnet.cli.client import Client
from buildnet.cli.output import Listing, escaped, show
from buildnet.cli.run import settings
from buildnet.cli.saved import DryRun, File, Kind, Named, SetVariable, Yes
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Patterns of configurations, with variables to fill in.", no_args_is_help=True
)


def _parse(text: str, where: str) -> object:
    from buildnet.pool.template import parse_template

    return parse_template(text, where)


TEMPLATE = Kind("template", "/api/templates", "templates", _parse)


@app.command("list")
def list_templates() -> None:
    """List the templates: those that are built in, then those of the cluster."""
    found, drafts = TEMPLATE.list()

    def table(console: Console) -> None:
        rows = Listing(
            *("template", "description", "variables", "category", "origin"),
            wraps=("description", "variables"),
            spare=("category", "origin", "variables"),
        )
        for one in found:
            variables = [_variable_text(each) for each in one.get("variables", [])]
            rows.add_row(
                escaped(one["id"]),
                escaped(one.get("description", "")),
                escaped(", ".join(variables)),
                escaped(one.get("category", "custom")),
                saved.origin_text(one),
            )
        rows.print(console)
        saved.show_drafts(console, drafts)

    data = {"templates": found, "drafts": drafts}
    show(settings(), data, table, ids=[one["id"] for one in found])


def _variable_text(variable: dict[str, Any]) -> str:
    default = variable.get("default")
    if default is None:
        return str(variable["name"])
    return f"{variable['name']}={str(default).lower() if default is True else default}"


@app.command("show")
def show_template(name: Named) -> None:
    """Show one template."""
    saved.show_one(TEMPLATE.get(name))


@app.command()
def use(
    name: Named,
    values: SetVariable = None,
    save_as: Annotated[
        str | None, typer.Option(metavar="CONFIGURATION", help="Keep it under this id.")
    ] = None,
) -> None:
    """Make a configuration of a template, and print it or keep it."""
    from buildnet.pool.keyed_values import assignments

    body = {"variables": assignments(values or ()), "save_as": save_as}
    made = Client.of(settings()).post(f"{TEMPLATE.at(name)}/use", body)
    if save_as is not None:
        saved.show_kept("configuration", "created", made)
        return

    def table(console: Console) -> None:
        console.print(escaped(saved.yaml_text(made).rstrip()), soft_wrap=True)

    show(settings(), made, table)


@app.command()
def apply(
    name: Named,
    configuration: Annotated[str, typer.Argument(help="The id of the one to change.")],
    values: SetVariable = None,
) -> None:
    """Change a configuration: what the template says takes the place of what it says now."""
    from buildnet.pool.keyed_values import assignments

    body = {"variables": assignments(values or ()), "config_id": configuration}
    made = Client.of(settings()).post(f"{TEMPLATE.at(name)}/apply", body)
    saved.show_kept("configuration", "changed", made)


@app.command()
def save(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The id to keep it under.")],
    config: Annotated[
        str | None, typer.Option(metavar="CONFIGURATION", help="Make it of this configuration.")
    ] = None,
    file: File = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of the one that is there.")
    ] = False,
) -> None:
    """Keep a template: of a configuration that is kept, or of a file, which may have variables."""
    if (config is None) is (file is None):
        raise UsageError(
            "nothing tells what to keep" if config is None else "--config and --file are too much",
            hint="give --config CONFIGURATION or --file FILE",
        )
    document = saved.read_file(TEMPLATE, file) if file is not None else {"config_id": config}
    document["id"] = name
    if description is not None:
        document["description"] = description
    if replace and any(one["id"] == name for one in TEMPLATE.list()[0]):
        if file is None:
            raise UsageError(
                "--replace needs a file", hint="or delete the template, and save it again"
            )
        saved.show_kept("template", "changed", TEMPLATE.change(name, document, replace=True))
        return
    saved.show_kept("template", "created", TEMPLATE.create(document))


@app.command()
def delete(name: Named, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Delete a template, for everybody; those that are built in stay."""
    saved.delete(TEMPLATE, name, yes, dry_run)
