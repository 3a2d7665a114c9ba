"""Render pages written in a small part of Markdown as HTML.

usage: render_manual.py MODEL PAGES OUTPUT_DIRECTORY

Headings, paragraphs, lists, fenced code, links, `code`, **strong** and *emphasis* are known.
`{{fields}}` stands for the table of the data model's fields.
"""

from __future__ import annotations

import re
import runpy
import sys
from html import escape
from pathlib import Path
from typing import Any

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 2rem auto; }}
pre, code {{ background: #f2f4f9; }}
pre {{ padding: 0.8rem; overflow-x: auto; }}
td, th {{ text-align: left; padding-right: 1.2rem; }}
</style>
</head>
<body>
<nav>{navigation}</nav>
{body}
</body>
</html>
"""

INLINE = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*([^*]+)\*"), r"<em>\1</em>"),
    (re.compile(r"\[([^]]+)\]\(([^)]+)\)"), r'<a href="\2">\1</a>'),
)


def inline(text: str) -> str:
    text = escape(text, quote=False)
    for pattern, replacement in INLINE:
        text = pattern.sub(replacement, text)
    return text


def blocks(markdown: str) -> list[str]:
    """Split at empty lines, but never inside fenced code."""
    parts = re.split(r"^(```\n.*?^```)$", markdown, flags=re.MULTILINE | re.DOTALL)
    found: list[str] = []
    for part in parts:
        found += [part] if part.startswith("```") else re.split(r"\n{2,}", part)
    return [block.strip("\n") for block in found if block.strip()]


def render_block(block: str, fields: str) -> str:
    if block.startswith("```"):
        return f"<pre>{escape(block[4:-4], quote=False)}</pre>"
    if heading := re.fullmatch(r"(#+) (.+)", block):
        level = len(heading[1])
        return f"<h{level}>{inline(heading[2])}</h{level}>"
    if block.startswith("- "):
        items = re.split(r"\n- ", block[2:])
        return "<ul>" + "".join(f"<li>{inline(item)}</li>" for item in items) + "</ul>"
    if block == "{{fields}}":
        return fields
    return f"<p>{inline(block)}</p>"


def fields_table(model: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{field.name}</code></td><td>{field.type}</td>"
        f"<td>{field.unit}</td><td>{escape(field.summary)}</td></tr>"
        for field in model["FIELDS"]
    ]
    head = "<tr><th>Field</th><th>Type</th><th>Unit</th><th>Meaning</th></tr>"
    return "\n".join(["<table>", head, *rows, "</table>"])


def main() -> None:
    model, pages, output = (Path(argument) for argument in sys.argv[1:])
    fields = fields_table(runpy.run_path(str(model)))
    sources = {path.stem: path.read_text("utf-8") for path in sorted(pages.glob("*.md"))}
    titles = {name: text.splitlines()[0].removeprefix("# ") for name, text in sources.items()}
    navigation = " · ".join(f'<a href="{name}.html">{titles[name]}</a>' for name in titles)

    output.mkdir(parents=True, exist_ok=True)
    for name, text in sources.items():
        body = "\n".join(render_block(block, fields) for block in blocks(text))
        page = PAGE.format(title=titles[name], navigation=navigation, body=body)
        (output / f"{name}.html").write_text(page, "utf-8")


if __name__ == "__main__":
    main()
