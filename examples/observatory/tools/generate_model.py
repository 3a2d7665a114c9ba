"""Turn a data schema (TOML) into a typed Python module.

usage: generate_model.py SCHEMA OUTPUT
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

HEADER = '''\
"""{summary}

Generated from {source}; do not edit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Field(NamedTuple):
    """What the schema says about one field."""

    name: str
    type: str
    unit: str
    summary: str


'''

CLASS = '''\
class {name}Error(ValueError):
    """A row that the schema does not allow."""


@dataclass(frozen=True, slots=True)
class {name}:
    """{summary}"""

{attributes}

    def __post_init__(self) -> None:
{checks}

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> {name}:
        """Read a row of a CSV file; {name}Error tells what is wrong with it."""
        try:
            return cls({parsed})
        except (KeyError, ValueError) as error:
            raise {name}Error(f"not a valid row: {{error}}") from error

    def to_row(self) -> dict[str, str]:
        """Write it as a row of a CSV file."""
        return {{{formatted}}}
'''


def fields_table(fields: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"    Field({f['name']!r}, {f['type']!r}, {f.get('unit', '')!r}, {f['summary']!r}),\n"
        for f in fields
    )
    return f"FIELDS = (\n{rows})\n\n\n"


def checks(field: dict[str, Any]) -> list[str]:
    """Statements that reject values outside the schema."""
    name = field["name"]
    lines = []
    if field["type"] == "float":
        lines += [
            f"if not math.isfinite(self.{name}):",
            f'    raise ValueError("{name} is missing")',
        ]
    if "minimum" in field:
        low, high = field["minimum"], field["maximum"]
        lines += [
            f"if not {low} <= self.{name} <= {high}:",
            f'    raise ValueError(f"{name} {{self.{name}}} is not in {low}..{high}")',
        ]
    if "choices" in field:
        lines += [
            f"if self.{name} not in {tuple(field['choices'])!r}:",
            f'    raise ValueError(f"unknown {name} {{self.{name}!r}}")',
        ]
    return lines


def parsed(field: dict[str, Any]) -> str:
    value = f'row["{field["name"]}"]'
    return value if field["type"] == "str" else f"{field['type']}({value})"


def formatted(field: dict[str, Any]) -> str:
    name = field["name"]
    value = f"self.{name}"
    if "decimals" in field:
        value = f'f"{{{value}:.{field["decimals"]}f}}"'
    return f'"{name}": {value}'


def generate(schema: dict[str, Any], source: str) -> str:
    fields = schema["fields"]
    return (
        HEADER.format(summary=schema["summary"], source=source)
        + fields_table(fields)
        + CLASS.format(
            name=schema["name"],
            summary=schema["summary"],
            attributes="\n".join(f"    {f['name']}: {f['type']}" for f in fields),
            checks="\n".join(f"        {line}" for f in fields for line in checks(f)),
            parsed=", ".join(parsed(f) for f in fields),
            formatted=", ".join(formatted(f) for f in fields),
        )
    )


def main() -> None:
    schema_path, output = Path(sys.argv[1]), Path(sys.argv[2])
    source = generate(tomllib.loads(schema_path.read_text("utf-8")), schema_path.name)
    compile(source, output.name, "exec")  # a syntax error belongs here, not in what depends on us
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(source, "utf-8")


if __name__ == "__main__":
    main()
