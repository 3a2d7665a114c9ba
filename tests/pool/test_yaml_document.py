"""YAML files: plain data, the line of everything, and errors that name it."""

from __future__ import annotations

import string

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from buildnet.pool.yaml_document import YamlError, load_yaml, needs_quotes

SAMPLE = """\
workspace: shop
packages:
  - name: core
    env: {A: 1.10, B: yes}
  - name: web
    deps:
      - core
"""


def test_data_and_lines() -> None:
    document = load_yaml(SAMPLE, "buildnet.yaml")
    assert document.data == {
        "workspace": "shop",
        "packages": [
            {"name": "core", "env": {"A": 1.1, "B": True}},
            {"name": "web", "deps": ["core"]},
        ],
    }
    assert document.line(()) == 1
    assert document.line(("packages",)) == 2
    assert document.line(("packages", 0)) == 3
    assert document.line(("packages", 1, "deps")) == 6
    assert document.line(("packages", 1, "deps", 0)) == 7
    assert document.line(("packages", 1, "missing", "deeper")) == 5
    assert document.text(("packages", 0, "env", "A")) == "1.10"
    assert document.text(("packages", 0, "env", "C")) is None


def test_scalars_mean_what_people_expect() -> None:
    text = "[2024-01-01, 1:30, 010, 0x10, -3, 1e3, .5, on, ~, '7', !!str 8, off, .inf, 1_000]"
    assert load_yaml(text, "f").data == [
        "2024-01-01", "1:30", "010", 16, -3, 1000.0, 0.5, True, None, "7", "8", False,
        float("inf"), "1_000",
    ]  # fmt: skip


def test_keys_are_text() -> None:
    assert load_yaml("on: 1\n1: 2\n", "f").data == {"on": 1, "1": 2}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_empty(text: str) -> None:
    assert load_yaml(text, "f").data is None


def test_anchors_and_merge_keys() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3}\nsame: *base\n"
    document = load_yaml(text, "f")
    assert document.data == {
        "base": {"a": 1, "b": 2},
        "more": {"a": 1, "b": 3},
        "same": {"a": 1, "b": 2},
    }
    assert document.line(("same",)) == 3


def problems_of(text: str) -> list[tuple[int, str, str | None]]:
    with pytest.raises(YamlError) as caught:
        load_yaml(text, "buildnet.yaml")
    assert caught.value.message.startswith("buildnet.yaml:")
    assert caught.value.exit_code == 2
    return [tuple(problem) for problem in caught.value.problems]  # type: ignore[misc]


def test_every_duplicate_key_is_told() -> None:
    assert problems_of("a: 1\nb: {c: 1, c: 2}\na: 2\n") == [
        (2, "duplicate key 'c', already at line 2", "keep one of them"),
        (3, "duplicate key 'a', already at line 1", "keep one of them"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: b: c\n", 1, "mapping values are not allowed"),
        ("a:\n\t- b\n", 2, "malformed"),
        ("a: [1,\n", 2, "malformed"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("a: !!python/object:os.system x\n", 1, "not supported"),
        ("a: !thing {b: 1}\n", 1, "not supported"),
        ("a: !!int x\n", 1, "not of the type int"),
        ("{name}: {[1]: 2}\n", 1, ""),
        ("a: *nowhere\n", 1, "alias"),
        ("a: &x [*x]\n", 1, "means itself"),
        ("a: {<<: 3}\n", 1, "'<<' takes"),
        ("a: \x01\n", 1, "does not allow"),
        ("[" * 100_000, 1, "nested deeper"),
        ("a: " + "9" * 5000, 1, "too long"),
        ("x" * (4 * 1024 * 1024 + 1), 1, "larger than 4 MiB"),
        ("a: 1\n[1]: 2\n", 2, "key must be text"),
    ],
)
def test_refused(text: str, line: int, part: str) -> None:
    ((at, message, _),) = problems_of(text)
    assert at == line
    assert part in message


def test_aliases_cannot_grow_without_bound() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 20):
        levels.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    ((_, message, _),) = problems_of("\n".join(levels))
    assert "more than 1,000,000 values" in message


# PyYAML writes a "next line" (U+0085) so that nobody reads it again, PyYAML included.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85"), max_size=20)
KEYS = st.text(string.ascii_letters + string.digits + " {}*&!#:-_.", max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | TEXT | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


class _Dumper(yaml.SafeDumper):
    """PyYAML's, which takes ``0E0`` for text; here it is a number, as YAML 1.2 has it."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if needs_quotes(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


@given(VALUES)
@example("0E0")
def test_what_was_dumped_is_read_again(value: object) -> None:
    text = yaml.dump(value, Dumper=_Dumper, allow_unicode=True)
    assert load_yaml(text, "f").data == value
