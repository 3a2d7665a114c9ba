"""All commands as one Typer application."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from buildnet import __version__
from buildnet.cli import (
    account,
    audit,
    cache,
    config,
    key,
    ledger,
    node,
    pool,
    profile,
    queue,
    rights,
    server,
    session,
    template,
)
from buildnet.cli.building import BuildOptions
from buildnet.cli.building import build as run_build
from buildnet.cli.dashboard.command import dashboard
from buildnet.cli.demo import demo
from buildnet.cli.detached import attach
from buildnet.cli.estimate import estimate as run_estimate
from buildnet.cli.events import events
from buildnet.cli.history import history
from buildnet.cli.init import init
from buildnet.cli.login import login
from buildnet.cli.logs import logs
from buildnet.cli.output import show
from buildnet.cli.run import settings
from buildnet.cli.saved import SetVariable
from buildnet.cli.settings import HELP
from buildnet.cli.start import ensure_node
from buildnet.cli.usage import in_words, is_usage_error
from buildnet.cli.watching import run as run_watch
from buildnet.cli.watching import watch_build
from buildnet.mesh.errors import UsageError

app = typer.Typer(
    name="buildnet",
    help="A team's machines become one build machine.",
    epilog=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(node.app, name="node")
app.add_typer(pool.app, name="pool")
app.add_typer(queue.app, name="queue")
app.add_typer(server.app, name="server")
app.add_typer(config.app, name="config")
app.add_typer(template.app, name="template")
app.add_typer(profile.app, name="profile")
app.add_typer(cache.app, name="cache")
app.add_typer(ledger.app, name="ledger")
app.add_typer(audit.app, name="audit")
app.add_typer(rights.app, name="rights")
app.add_typer(key.app, name="key")
app.add_typer(account.app, name="account")
app.add_typer(session.app, name="session")
app.command()(init)
app.command()(login)
app.command()(history)
app.command()(logs)
app.command()(events)
app.command()(dashboard)
app.command()(demo)


@app.command()
def build(
    packages: Annotated[
        list[str] | None, typer.Argument(help="Only these and what they depend on; default: all.")
    ] = None,
    task: Annotated[str, typer.Option(help="Run this task instead of build.")] = "build",
    force: Annotated[bool, typer.Option("--force", help="Run even what has a result.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done, and why; do nothing.")
    ] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Tell how long it would take; do nothing.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Tell why each package was or was not built.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="After a failure go on with what is independent.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            help="Only what a change affects: all that differs from this git revision's history.",
        ),
    ] = None,
    local_only: Annotated[
        bool, typer.Option("--local-only", help="Use nothing of other nodes of the pool.")
    ] = False,
    retry: Annotated[
        int | None,
        typer.Option(
            min=0, max=5, metavar="N", help="Run tests and other tasks again that fail, N times."
        ),
    ] = None,
    verify: Annotated[
        int | None,
        typer.Option(
            min=2, max=5, metavar="N", help="Run each command N times and compare what they make."
        ),
    ] = None,
    trace_inputs: Annotated[
        bool,
        typer.Option(
            "--trace-inputs",
            help="Run all commands where the workspace stands, and tell what they read undeclared.",
        ),
    ] = False,
    priority: Annotated[
        queue.PriorityName | None,
        typer.Option(help="How urgent it is; else as its configuration or profile says."),
    ] = None,
    durable: Annotated[
        bool,
        typer.Option("--durable", help="Run nothing before another node could go on with it."),
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once it is durable; print the build's id.")
    ] = False,
    attach_to: Annotated[
        str | None,
        typer.Option("--attach", metavar="ID", help="Show a build that runs, on whichever node."),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Go by this configuration, or by what a file (./FILE.yaml) holds and nobody kept.",
        ),
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Wait until all that the configuration asks for is free, and reserve it.",
        ),
    ] = None,
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help="Go by what this template makes.")
    ] = None,
    values: SetVariable = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Spread it as this profile says.")
    ] = None,
    review: Annotated[
        bool,
        typer.Option("--review", help="Afterwards tell what took long, what ran and why."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Build again whenever something changes, until Ctrl-C.")
    ] = False,
    delay: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="With --watch: wait so much longer after a change."),
    ] = None,
    directory: Annotated[
        Path, typer.Option("--directory", "-C", help="Build the workspace around this directory.")
    ] = Path(),
) -> None:
    """Bring packages of the workspace around the current directory up to date, or all of it."""
    if attach_to is not None:
        others = {
            "--task": task != "build",
            "--detach": detach,
            "--durable": durable,
            "--dry-run": dry_run,
            "--estimate": estimate,
            "--explain": explain,
            "--force": force,
            "--keep-going": keep_going,
            "--local-only": local_only,
            "--wait": wait,
            "--verify": verify,
            "--retry": retry,
            "--trace-inputs": trace_inputs,
            "--since": since,
            "--priority": priority,
            "--config": config,
            "--template": template,
            "--set": values,
            "--profile": profile,
            "--watch": watch,
            "--delay": delay,
            "PACKAGES": packages,
        }
        if given := [name for name, value in others.items() if value]:
            raise UsageError(
                f"--attach shows a build that was asked for: {', '.join(given)} can't change it",
                hint="leave one of them away; buildnet queue changes a build that runs",
            )
        code = attach(attach_to, settings(), ensure_node(settings()), review=review)
        raise typer.Exit(code)
    if review and (dry_run or detach or estimate):
        other = "--dry-run" if dry_run else "--detach" if detach else "--estimate"
        raise UsageError(
            f"--review tells how a build went, and with {other} there is none that went",
            hint="leave one of them away; a build that is over: buildnet history BUILD-ID --review",
        )
    options = BuildOptions(
        packages=tuple(packages or ()),
        task=task,
        force=force,
        dry_run=dry_run,
        explain=explain,
        keep_going=keep_going,
        local_only=local_only,
        durable=durable,
        detach=detach,
        wait=wait,
        verify=verify,
        retry=retry,
        trace_inputs=trace_inputs,
        priority=priority,
        config=config,
        template=template,
        values=tuple(values or ()),
        profile=profile,
        review=review,
        since=since,
        directory=directory,
    )
    if watch or delay is not None:
        code = watch_build(options, settings(), watch=watch, delay=delay, estimate=estimate)
        raise typer.Exit(code)
    if estimate:
        raise typer.Exit(run_estimate(options, settings(), ensure_node(settings())))
    raise typer.Exit(run_build(options, settings(), ensure_node(settings())))


@app.command()
def watch(
    packages: Annotated[
        list[str] | None, typer.Argument(help="Only these and what they depend on; default: all.")
    ] = None,
    task: Annotated[str, typer.Option(help="Prepare this task instead of build.")] = "build",
    directory: Annotated[
        Path, typer.Option("--directory", "-C", help="Watch the workspace around this directory.")
    ] = Path(),
) -> None:
    """Show what changes in a workspace and what a build would do, and prepare it, until Ctrl-C."""
    options = BuildOptions(packages=tuple(packages or ()), task=task, directory=directory)
    raise typer.Exit(run_watch(options, settings(), ensure_node(settings()), builds=False))


@app.command()
def version() -> None:
    """Print the version."""
    show(settings(), {"version": __version__}, lambda console: console.print(__version__))


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def general(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """A team's machines become one build machine."""


def invoke(arguments: list[str]) -> int:
    """Run the command that ``arguments`` name; return its exit code."""
    command = typer.main.get_command(app)
    try:
        result = command.main(arguments, prog_name="buildnet", standalone_mode=False)
    except typer.Abort:
        return 130
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.ctx.get_help())  # type: ignore[attr-defined]
            return 2
        if is_usage_error(error):
            raise in_words(error) from error
        raise
    return result if isinstance(result, int) else 0
