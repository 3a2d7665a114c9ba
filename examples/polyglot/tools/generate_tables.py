"""Write the Morse alphabet (CSV: character, code) for C, TypeScript and Python.

usage: generate_tables.py ALPHABET OUTPUT_DIRECTORY
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

NOTICE = "International Morse code (ITU-R M.1677). Generated from {source}; do not edit."

Alphabet = list[tuple[str, str]]


def read_alphabet(path: Path) -> Alphabet:
    """All rows; an error if a character or a code stands there twice."""
    with path.open(newline="", encoding="ascii") as file:
        rows = [(row["character"], row["code"]) for row in csv.DictReader(file)]
    for column in zip(*rows, strict=True):
        repeated = sorted({value for value in column if column.count(value) > 1})
        if repeated:
            sys.exit(f"{path.name}: more than once: {' '.join(repeated)}")
    return rows


def c_header(alphabet: Alphabet, notice: str) -> str:
    def literal(character: str) -> str:
        return "'\\''" if character == "'" else f"'{character}'"

    rows = "".join(f'    {{{literal(character)}, "{code}"}},\n' for character, code in alphabet)
    return (
        f"/* {notice} */\n"
        "#ifndef MORSE_TABLE_H\n#define MORSE_TABLE_H\n\n"
        "static const struct {\n    char character;\n    const char *code;\n} MORSE_TABLE[] = {\n"
        f"{rows}}};\n\n#endif\n"
    )


def javascript(alphabet: Alphabet, notice: str) -> str:
    rows = "".join(f"  {json.dumps(row)},\n" for row in alphabet)
    return f"// {notice}\nexport const table = [\n{rows}];\n"


def typescript_declaration(notice: str) -> str:
    return f"// {notice}\nexport declare const table: ReadonlyArray<readonly [string, string]>;\n"


def python(alphabet: Alphabet, notice: str) -> str:
    rows = "".join(f"    {character!r}: {code!r},\n" for character, code in alphabet)
    return f'"""{notice}"""\n\nTABLE = {{\n{rows}}}\n'


def main() -> None:
    source, output = Path(sys.argv[1]), Path(sys.argv[2])
    alphabet, notice = read_alphabet(source), NOTICE.format(source=source.name)
    output.mkdir(parents=True, exist_ok=True)
    (output / "morse_table.h").write_text(c_header(alphabet, notice), "ascii")
    (output / "table.js").write_text(javascript(alphabet, notice), "ascii")
    (output / "table.d.ts").write_text(typescript_declaration(notice), "ascii")
    (output / "morse_table.py").write_text(python(alphabet, notice), "ascii")


if __name__ == "__main__":
    main()
