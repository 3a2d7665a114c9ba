"""Whether what a node answers is what the API's description says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs

from buildnet.cli.reference import described_api
from buildnet.node.api.description import operations

JSON = "application/json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def problem_of_answer(
    method: str, target: str, status: int, answer: Any, *, strict: bool = True
) -> str | None:
    """Return what the JSON of an answer lacks that is described, or, if it is looked at as
    ``strict``, has that is not; None: nothing."""
    schema = answer_schema(method, target, status)
    if schema is None:
        return f"{method} {target}: JSON with status {status} is not described: @does(…, answer=…)"
    wrong = next(iter(_validator(json.dumps(schema), strict).iter_errors(answer)), None)
    if wrong is None:
        return None
    place = "/".join(map(str, wrong.instance_path))
    return f"{method} {target}: /{place}: {wrong.message[-300:]} (node/api/answers)"


def answer_schema(method: str, target: str, status: int) -> dict[str, Any] | None:
    """Return what is described of the JSON that a route answers; None: nothing is."""
    path = urlsplit(target).path
    for pattern, described_method, operation in _routes():
        if described_method == method and pattern.fullmatch(path):
            content = operation["responses"].get(str(status), {}).get("content", {})
            found: dict[str, Any] | None = content.get(JSON, {}).get("schema")
            return found
    return None


@cache
def _routes() -> list[tuple[re.Pattern[str], str, dict[str, Any]]]:
    """Return the operations; those whose path says more come first."""
    found = [
        (re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path)), method, operation)
        for path, method, operation in operations(described_api())
    ]
    return sorted(found, key=lambda each: each[0].pattern.count("[^/]+"))


@cache
def _validator(schema: str, strict: bool) -> Any:
    components = json.loads(json.dumps(described_api()["components"]))
    for one in _objects(components["schemas"]) if strict else ():
        one["additionalProperties"] = False  # a field that is answered is described, too
    whole = {**json.loads(schema), "components": components, "$schema": _DIALECT}
    return jsonschema_rs.validator_for(whole)


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas of objects whose fields are known."""
    parts = schema.values() if isinstance(schema, dict) else schema
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
        yield schema
    if isinstance(schema, dict | list):
        for part in parts:
            yield from _objects(part)
