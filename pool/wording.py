"""What was expected in place of a wrong value: our words for what pydantic finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    "list_type": "a list",
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
    "expected": "{what}",
}


def expectation(kind: str, context: Mapping[str, Any]) -> str:
    """Return what would have been right; ``kind`` and ``context`` are the type and context of one
    of pydantic's errors."""
    return _EXPECTATIONS.get(kind, kind.replace("_", " ")).format_map(context)
