"""``buildnet node config``: the settings of this host's node."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client
from buildnet.cli.output import Listing, escaped, note, show
from buildnet.cli.run import settings
from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.mesh.suggest import did_you_mean
from buildnet.node.home import Runtime

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Look at and change the settings of this node.", no_args_is_help=True)
Key = Annotated[str, typer.Argument(help="A setting, such as workers.max.")]


@app.command("show")
def show_config(
    key: Annotated[
        str | None, typer.Argument(help="Only this setting, or this section; default: all.")
    ] = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Tell where each value comes from.")
    ] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what is not the default.")
    ] = False,
) -> None:
    """Show the settings that count now."""
    data = Client.of(settings()).get("/api/node/config")
    found = [one for one in data["settings"] if _is_within(one["key"], key)]
    if not found:
        known = [one["key"] for one in data["settings"]]
        raise NotFoundError(
            f"there is no setting {key!r}",
            hint=did_you_mean(str(key), known) or "buildnet node config show lists all",
        )
    if changed:
        found = [one for one in found if one["origin"] != "default"]

    def table(console: Console) -> None:
        rows = Listing(
            *("setting", "value"),
            *(["origin", "a change counts"] if origin else []),
            "what it is for",
            wraps=("value", "what it is for"),
            spare=("what it is for",),
        )
        for one in found:
            cells = [escaped(one["key"]), escaped(_shown(one))]
            if origin:
                cells += [escaped(one["origin"]), "at once" if one["live"] else "at the next start"]
            rows.add_row(*cells, escaped(one.get("help", "")))
        rows.print(console)

    show(settings(), {**data, "settings": found}, table, ids=[one["key"] for one in found])
    for warning in filter(None, (data["problem"], *data.get("warnings", ()))):
        note(settings(), f"warning: {warning}")


@app.command("set", context_settings={"ignore_unknown_options": True})  # -1 is a value
def set_config(
    key: Key,
    value: Annotated[
        str, typer.Argument(help="Its value, as in YAML: 4, 2.5, true, text, [a, b].")
    ],
) -> None:
    """Change a setting in node.yaml; comments stay as they are."""
    _change(key, _value(value))


@app.command("unset")
def unset_config(key: Key) -> None:
    """Take a setting out of node.yaml, so that its default counts."""
    _change(key, None)


def put_all(said: Iterable[str], running: Runtime | None, file: Path) -> None:
    """Put settings (``KEY=VALUE``) into the file of a node that is about to start, or runs.

    Raises:
        UsageError: one is none.
        BuildNetError: it could not be used, or not be written.
    """
    settings_said = [_pair(text) for text in said]
    if not settings_said:
        return
    if running is not None:
        for key, value in settings_said:
            body = {"key": key, "value": value}
            data = Client(socket_path=Path(running.socket)).put("/api/node/config", body)
            note(settings(), f"{key} is {json.dumps(value)}; that counts {_when(data['counts'])}")
        return
    from buildnet.node.config_file import change

    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for key, value in settings_said:
        change(file, key, value)


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals or not value:
        raise UsageError(f"--set {text!r} is no setting", hint="such as --set workers.max=4")
    return key, _value(value)


def _value(text: str) -> Any:
    from buildnet.pool.yaml_document import load_yaml

    value = load_yaml(text, "the value").data
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise UsageError(
            f"{text!r} is no number that can be kept",
            hint="such as 4 or 2.5; as a text write it in quotes",
        ) from None
    return value


def _change(key: str, value: Any) -> None:
    data = Client.of(settings()).put("/api/node/config", {"key": key, "value": value})

    def table(console: Console) -> None:
        what = "has its default again" if value is None else f"is {json.dumps(value)}"
        console.print(escaped(f"{key} {what}; that counts {_when(data['counts'])}"))

    show(settings(), data, table, ids=[key])
    for warning in data.get("warnings", ()):
        note(settings(), f"warning: {warning}")


def _when(counts: str) -> str:
    return "now" if counts == "now" else "from the next start: buildnet node stop, then start"


def _is_within(key: str, section: str | None) -> bool:
    return section is None or key == section or key.startswith(f"{section}.")


def _shown(one: dict[str, Any]) -> str:
    text = one.get("text") or _plain(one["value"])
    if "next_start" not in one:
        return text
    then = one.get("next_start_text") or _plain(one["next_start"])
    return f"{text} (from the next start: {then})"


def _plain(value: object) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
