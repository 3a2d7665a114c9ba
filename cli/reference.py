"""The reference pages that are generated: ``python -m buildnet.cli.reference PAGE``.

Prints Markdown: all commands with their options from the Typer application, all routes of the HTTP
API from its OpenAPI description, all messages, all types of the ledger's entries, or all metrics.
``docs/reference/PAGE.md`` holds what it prints. ``openapi`` prints the description itself, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any, cast

from buildnet.cli.settings import HELP
from buildnet.mesh.errors import UsageError

GENERAL_OPTIONS = ("--node", "--format", "--progress", "--color")

_MANNERS = """\
- **Again:** a POST with an `Idempotency-Key` of 1 to 128 visible characters is done once; who
  sends it again within a day, to the same node, gets the first answer, with the header
  `Idempotency-Replayed`. Errors, streams and answers of more than 64 KiB are not kept, and of all
  others together the newest 16 MiB; of an answer with a secret (a key, a token, a code) it is said
  that it was given: `TOLD_ONCE`.
- **Unchanged:** each answer to a GET but a stream has an `ETag`; with `If-None-Match` it is status
  304 while nothing changed. JSON of 16 KiB or more comes compressed to who takes `gzip`.
- **Pages:** each list takes `limit` and `cursor`. Where it goes on, its `next` is the `cursor` of
  the following part, else null; what is no long record comes whole without a `limit`.
- **Answers:** the description names each field of each answer; more may come, none of these goes.
- **Elsewhere:** what only another node can do is
  [sent on](../how-to/give-access.md#what-another-node-has-to-do) with the key of who asks.
- **Bounds:** 1 MiB for a body (16 KiB without a credential), uncompressed, within 30 s; 32 KiB and
  100 headers within 10 s; 256 connections of one key or session.
- `/build` and what is below it, `/builds`, `/cache/stats`, `/cache/clear` and `/config` are other
  paths of `/api/build`, `/api/builds`, `/api/cache/stats`, `/api/cache/clear` and
  `/api/node/config`. HEAD is answered as GET, without the body.
- Not there yet: tests of disks and of the network."""


def cli_page() -> str:
    """Return the reference of the command line."""
    import typer

    from buildnet.cli.commands import app

    lines = [
        "# Command line",
        "",
        _made_by("cli"),
        "",
        f"`buildnet NOUN VERB`, or one of the commands without a noun. {_one_line(HELP)}",
        "They stand before the noun or after the command. Without `--node` a command asks the node",
        "of the data directory (`BUILDNET_HOME`) over its socket.",
        "",
        "| variable | in place of |",
        "| --- | --- |",
        *(f"| `BUILDNET_{name[2:].upper()}` | `{name}` |" for name in GENERAL_OPTIONS),
        "| `BUILDNET_HOME` | the data directory; default: the platform's user data directory |",
        "| `NO_COLOR`, `FORCE_COLOR` | `--color never`, `--color always` |",
        "",
        "What the exit codes mean: [exit codes](exit-codes.md).",
        "",
    ]
    for name, command in sorted(commands(typer.main.get_command(app))):
        lines += [f"## buildnet {name}", "", _one_line(command.help), ""]
        lines += _usage(name, command)
    return "\n".join(lines).rstrip() + "\n"


def commands(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each command below ``group`` with its whole name, such as ``cache list``."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")
        else:
            yield above + name, command


def _usage(name: str, command: Any) -> Iterator[str]:
    parameters = [one for one in command.params if not one.hidden and one.name != "help"]
    shown = [_argument(one) for one in parameters if one.param_type_name == "argument"]
    if any(one.param_type_name == "option" for one in parameters):
        shown.append("[OPTIONS]")
    yield f"    buildnet {' '.join([name, *shown])}"
    yield ""
    if parameters:
        yield "| argument or option | default | meaning |"
        yield "| --- | --- | --- |"
    for one in parameters:
        if one.param_type_name == "argument":
            shown_name = f"`{_metavar(one)}`"
        else:
            value = "" if one.is_flag else f" {_metavar(one)}"
            shown_name = ", ".join(f"`{option}{value}`" for option in one.opts)
        yield f"| {shown_name} | {_default(one)} | {_cell(one.help)} |"
    if parameters:
        yield ""


def _argument(parameter: Any) -> str:
    text = _metavar(parameter) + ("…" if parameter.nargs == -1 else "")
    return text if parameter.required else f"[{text}]"


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper().replace("_", "-"))


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required or value is None or value is False:
        return ""
    if isinstance(value, PurePath):
        return f"`{value}`"
    return f"`{value}`" if isinstance(value, str | int) else ""


def api_page() -> str:
    """Return the reference of the HTTP API."""
    described = described_api()
    paths = described["paths"]
    lines = [
        "# HTTP API",
        "",
        _made_by("api"),
        "",
        "The node answers on its unix socket (`node.sock` in the data directory, mode 0600) and on",
        "its TCP port; other nodes come in at the WebSockets `/mesh` and `/bulk`",
        "([protocol](protocol.md)). The whole description,",
        f"OpenAPI {described['openapi']}, is at `/api/openapi.json`, and as a page at `/api/docs`.",
        "",
        "Each route is an **action**, and takes the rights that allow it: see",
        "[who may do what](../how-to/give-access.md). Who uses the socket is the owner of the",
        "node and may do everything there; the header `BuildNet-User` (percent-encoded) says under",
        "which name, else it is `local`, and `actor` of a body or query another one for what that",
        "asks for; over TCP a key or a login is needed, except for what",
        "is `open`. Without one the answer is status 401, code `NOT_AUTHENTICATED`, whether the",
        "route exists or not; with too few rights it is 403, `NOT_ALLOWED`.",
        "",
        "Errors are RFC 9457 problem details (`application/problem+json`) with `code`, `cause`,",
        "`hint` and the command line's `exit_code` beside the usual fields; the codes are in",
        "[errors](errors.md). Answers that scripts rely on are in [JSON](json.md).",
        "",
        *_MANNERS.splitlines(),
        "",
        "```console",
        "$ curl -s --unix-socket ~/.local/share/buildnet/node.sock http://localhost/api/node",
        "```",
        "",
        "| method | path | action | what it does |",
        "| --- | --- | --- | --- |",
    ]
    routes = [
        (method.upper(), path, route)
        for path, one in paths.items()
        for method, route in one.items()
    ]
    lines += [
        f"| {method} | `{path}` | {route['x-buildnet-action']} | {_cell(route['description'])} |"
        for method, path, route in routes
    ]
    lines.append("")
    for method, path, route in routes:
        body = _body(route, described["components"]["schemas"])
        rows = [*_query(route), *_properties(body)]
        if rows:
            lines += [f"## {method} {path}", ""]
            lines += [_one_line(body["description"]), ""] if body else []
            lines += ["| where | name | type | default |", "| --- | --- | --- | --- |", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


@cache
def described_api() -> Mapping[str, Any]:
    """Return the OpenAPI of the HTTP API."""
    from buildnet.node.api.app import create_application
    from buildnet.node.service import NodeService

    # Routes only keep what they answer from; nothing of it is asked while they are described.
    home = SimpleNamespace(directory=Path("/"))
    parts = SimpleNamespace(builder=None, history=None, store=None, others=None, home=home)
    return create_application(cast(NodeService, parts)).openapi()


def openapi_description() -> str:
    """Return the OpenAPI itself, as JSON; the web page's client is made from it."""
    return json.dumps(described_api(), indent=1) + "\n"


def _query(route: Mapping[str, Any]) -> Iterator[str]:
    for one in route.get("parameters", ()):
        if one["in"] == "header":
            continue  # told of above, for all
        schema = one["schema"]
        default = "needed" if one["required"] else _literal(schema.get("default"))
        yield f"| {one['in']} | `{one['name']}` | {_type(schema)} | {default} |"


def _body(route: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of the request's body; empty if it has none."""
    if "requestBody" not in route:
        return {}
    described = route["requestBody"]["content"]["application/json"]["schema"]
    if "$ref" not in described:
        return {}  # a document, which a page of its own explains
    schema: Mapping[str, Any] = schemas[described["$ref"].rpartition("/")[2]]
    return schema


def _properties(body: Mapping[str, Any]) -> Iterator[str]:
    for name, one in body.get("properties", {}).items():
        needed = name in body.get("required", ())
        default = "needed" if needed else _literal(one.get("default"))
        yield f"| body | `{name}` | {_type(one)} | {default} |"


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        kinds = (_type(one) for one in schema["anyOf"] if one.get("type") != "null")
        return " or ".join(kinds)
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    bounds = [
        f"{word} {schema[key]:g}"
        for key, word in (("minimum", "from"), ("maximum", "to"))
        if key in schema
    ]
    return " ".join([str(schema.get("format") or schema.get("type", "any")), *bounds])


def _literal(value: object) -> str:
    if value is None:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _made_by(page: str) -> str:
    return (
        f"<!-- Generated; change the code and run: "
        f"uv run python -m buildnet.cli.reference {page} > docs/reference/{page}.md -->"
    )


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("``", "`")


def _cell(text: str | None) -> str:
    """Return the text as it can stand in a table."""
    return _one_line(text).replace("|", "\\|")


def messages_page() -> str:
    """Return the reference of the messages between nodes."""
    from buildnet.mesh.reference import SECTIONS, Section, page

    ledger = Section("Ledger", 100, 119, "buildnet.ledger.messages")
    pool = Section("Pool", 120, 199, "buildnet.pool.messages")
    return page((*SECTIONS, ledger, pool), _made_by("protocol-messages"))


def entry_types_page() -> str:
    """Return the reference of the types of the ledger's entries."""
    from buildnet.ledger.entry_types import TYPES

    lines = [
        "# Types of the ledger's entries",
        "",
        _made_by("entry-types"),
        "",
        "What an entry tells, and what its `data` holds; fields that say nothing may be left out.",
        "Types that a node does not know are kept, relayed and shown as they are. A type marked",
        "*shared* changes something that all nodes must agree on: it counts once it is sealed.",
        "",
        "| type | tells | data |",
        "| --- | --- | --- |",
    ]
    for one in TYPES.values():
        said = "; ".join(f"`{name}`: {meaning}" for name, meaning in one.fields.items())
        name = f"`{one.name}`{' *shared*' if one.is_fact else ''}"
        lines.append(f"| {name} | {_cell(one.sentence)} | {_cell(said) or 'nothing'} |")
    return "\n".join(lines).rstrip() + "\n"


def metrics_page() -> str:
    """Return the reference of the metrics."""
    from buildnet.node.metrics.state import ROWS
    from buildnet.node.metrics.tally import Tally

    told: list[tuple[str, str, tuple[str, ...], str]]
    told = [(row.name, row.kind, row.labels, row.help) for row in ROWS]
    for family in Tally().registry.collect():
        labels = tuple(name for name in family.samples[0].labels if name != "le")
        told.append((family.name, family.type, labels, family.documentation))
    lines = [
        "# Metrics",
        "",
        _made_by("metrics"),
        "",
        "`GET /metrics` on any node, in Prometheus' text format or OpenMetrics; it takes the",
        "rights of an observer ([watch the pool](../how-to/monitor.md)). What is not known has no",
        "value; nothing is estimated. Counters begin at zero when the node starts, except for",
        "those of the cache. Besides, there are `process_*` of the node's own process (Linux).",
        "",
        "| name | type | labels | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name, kind, labels, meaning in sorted(told):
        whole = f"{name}_total" if kind == "counter" else name
        named = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{whole}` | {kind} | {named} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


PAGES = {
    "cli": cli_page,
    "api": api_page,
    "protocol-messages": messages_page,
    "entry-types": entry_types_page,
    "metrics": metrics_page,
}


def main(arguments: list[str]) -> int:
    """Print the page that the one argument names; ``openapi``: what the page of the API is of."""
    printed = {**PAGES, "openapi": openapi_description}
    if len(arguments) != 1 or arguments[0] not in printed:
        raise UsageError("name one page", hint=f"one of {', '.join(printed)}")
    sys.stdout.write(printed[arguments[0]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
