"""The API's description: OpenAPI 3.1, and a page of it that a browser shows without the network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from buildnet.node.api.declared import GOES_ON

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457, with BuildNet's `code` (see the reference of errors), `cause`, "
    "`hint` and the command line's `exit_code`.",
    "required": ["type", "title", "status", "detail", "code", "cause", "hint", "exit_code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "cause": {"type": ["string", "null"]},
        "hint": {"type": ["string", "null"]},
        "exit_code": {"type": "integer"},
    },
}
_SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "PASETO v4.public",
        "description": "A key of `buildnet key create`. One that is bound to its agent needs the "
        "header `BuildNet-Proof` besides.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "buildnet_NODE",
        "description": "A login by `buildnet login`, on the node whose id the cookie's name ends "
        "with; over TLS it begins with `__Host-`. What changes something needs the header "
        "`X-BuildNet-CSRF` besides.",
    },
}
_PROBLEM_ANSWER = {
    "description": "Problem details",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_AGAIN = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{background:#8882;padding:.1em .3em}h2{margin-top:2rem;font-size:1.05rem}"
    "dt{font-family:monospace}:root{color-scheme:light dark}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"


def operation_id(route: APIRoute) -> str:
    """Return a name of a route that no other has and that stays: ``post_build_by_build_id_cancel``
    of ``POST /api/build/{build_id}/cancel``."""
    method = min(route.methods or {"GET"}).lower()
    steps = route.path_format.removeprefix("/api").strip("/").replace("-", "_").split("/")
    words = ("by_" + step.strip("{}") if step.startswith("{") else step for step in steps)
    return "_".join([method, *(word for word in words if word)])


def description(title: str, version: str, routes: Any) -> dict[str, Any]:
    """Return the OpenAPI of the routes."""
    described = get_openapi(
        title=title,
        version=version,
        routes=routes,
        description="Each operation is an action (`x-buildnet-action`) and takes the rights that "
        "allow it. Where a list goes on, `next` is the `cursor` of its following page.",
    )
    components = described.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    if "Problem" in schemas:
        raise TypeError("Problem is the name of problem details, and of no other answer")
    schemas["Problem"] = _PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    described["security"] = [{name: []} for name in _SCHEMES]
    _open(schemas, described)
    for _, method, operation in operations(described):
        answers = operation["responses"]
        for answer in answers.values():
            _only_declared(answer.get("content", {}).get("application/json", {}))
        answers.pop("422", None)
        answers["4XX"] = answers["5XX"] = _PROBLEM_ANSWER
        goes_on = operation.pop(GOES_ON, False)
        if method == "POST" and operation.get("security") != [] and not goes_on:
            operation.setdefault("parameters", []).append(_AGAIN)
    return described


def _only_declared(content: dict[str, Any]) -> None:
    """Leave what a route declares of its JSON, without what FastAPI reads of its return type."""
    schema = content.get("schema", {})
    declared = {name: one for name, one in schema.items() if name in ("$ref", "anyOf")}
    content.update({"schema": declared} if declared else {})


def _open(schemas: dict[str, Any], described: Mapping[str, Any]) -> None:
    """Let what is answered have more fields, also where the same form is strict in what is read."""
    asked, answered = list[Any](), list[Any]()
    for _, _, operation in operations(described):
        asked += [operation.get("requestBody"), operation.get("parameters")]
        answered.append(operation["responses"])
    for name in _reached(answered, schemas) - _reached(asked, schemas):
        if schemas[name].get("additionalProperties") is False:
            del schemas[name]["additionalProperties"]


def _reached(start: list[Any], schemas: Mapping[str, Any]) -> set[str]:
    """Return the names of the schemas that are referred to, over others too."""
    found, ahead = set[str](), [start]
    while ahead:
        here: Any = ahead.pop()
        if isinstance(here, dict):
            name = str(here.get("$ref", "")).rpartition("/")[2]
            if name in schemas and name not in found:
                found.add(name)
                ahead.append(schemas[name])
            ahead += here.values()
        elif isinstance(here, list):
            ahead += here
    return found


def operations(described: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and what is said of it, of each operation."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def page(described: Mapping[str, Any]) -> str:
    """Return the description as HTML, without scripts or anything from elsewhere."""
    info = described["info"]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])} API"
        f"</title><style>{_STYLE}</style><h1>{escape(info['title'])} {escape(info['version'])}: "
        f"HTTP API</h1><p>{_text(info['description'])}</p>"
        "<p>For programs: <a href=/api/openapi.json>OpenAPI</a>.</p>"
    ]
    for path, method, operation in operations(described):
        action = escape(str(operation.get("x-buildnet-action", "")))
        parts.append(
            f"<h2><code>{method} {escape(path)}</code></h2>"
            f"<p>{_text(operation.get('description', ''))} <small>({action})</small></p>"
        )
        rows = [*_parameters(operation), *_fields(operation, described)]
        if rows:
            parts.append(f"<dl>{''.join(rows)}</dl>")
    return "".join(parts)


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    for one in operation.get("parameters", ()):
        needed = ", needed" if one.get("required") else ""
        yield f"<dt>{escape(one['name'])}<dd>{escape(one['in'])}{needed}"


def _fields(operation: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content", {})
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    schema = described["components"]["schemas"].get(reference.rpartition("/")[2], {})
    for name in schema.get("properties", {}):
        needed = ", needed" if name in schema.get("required", ()) else ""
        yield f"<dt>{escape(name)}<dd>body{needed}"


def _text(text: str) -> str:
    pieces = escape(" ".join(text.replace("``", "`").split())).split("`")
    return "".join(
        f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces)
    )
