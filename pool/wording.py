"""What was expected in place of a wrong value: our words for what pydantic finds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_SHOWN = 60

_EXPECTATIONS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text (put it in quotes if it looks like a number)",
    "string_too_short": "some text",
    "string_too_long": "at most {max_length} characters",
    "path_type": "a path",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_pattern_mismatch": "text of the form {pattern}",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "tuple_type": "a list",
    "mapping_type": "keys and values",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "union_tag_invalid": "{expected_tags} for {discriminator}",
    "expected": "{what}",
}


def expectation(kind: str, context: Mapping[str, Any]) -> str:
    """Return what would have been right; ``kind`` and ``context`` are the type and context of one
    of pydantic's errors."""
    return _EXPECTATIONS.get(kind, kind.replace("_", " ")).format_map(context)


def fault(error: Mapping[str, Any], path: Sequence[str | int], whole: str) -> str:
    """Say what is wrong at a path of something that was sent, which is called ``whole``; ``error``:
    as pydantic tells it."""
    kind, context = error["type"], error.get("ctx", {})
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    name = name.removeprefix(".") or whole
    if kind == "json_invalid":
        return f"{whole} is no JSON"
    if kind == "missing":
        return f"{name} is missing"
    if kind == "union_tag_not_found":
        return str(context["discriminator"]).replace("'", "") + " is missing"
    if kind == "extra_forbidden":
        return f"unknown key {path[-1]!r}"
    given = json.dumps(error["input"], default=str, ensure_ascii=False)
    given = given if len(given) <= _SHOWN else given[:_SHOWN] + "…"
    return f"wrong value {given} for {name}: expected {expectation(kind, context)}"
