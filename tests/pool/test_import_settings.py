"""JSON as other tools write it: comments, trailing commas, and the line of every value."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.importing.settings_file import parse_settings
from buildnet.pool.workspace import WorkspaceError

TEXT = """\
{
  // a comment with "quotes" and {braces}
  "a": [1, /* one */ "two",],
  "b": {
    "c": "// no comment", "d": true,
  },
}
"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def test_comments_and_trailing_commas_and_lines() -> None:
    file = parse_settings(TEXT, "turbo.json")
    assert file.data == {"a": [1, "two"], "b": {"c": "// no comment", "d": True}}
    assert (file.line("a", 1), file.line("b"), file.line("b", "c"), file.line("b", "x")) == (
        3, 4, 5, 4,
    )  # fmt: skip
    assert file.texts("a") == ("two",)
    assert file.texts("b") is None
    assert file.value("b", "c", "e") is None
    assert str(file.problem(("b", "d"), "no", "yes")) == "turbo.json:5: no"


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=5))
def test_whatever_json_holds_is_read(data: dict[str, object]) -> None:
    assert parse_settings(json.dumps(data, indent=1), "x").data == data
    assert parse_settings(json.dumps(data, ensure_ascii=False), "x").data == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "x:1: must be a JSON object"),
        ("", "x:1: malformed JSON: a value is missing before ''"),
        ('{"a": 1\n "b": 2}', "x:2: malformed JSON: a comma or '}' is missing"),
        ("{\n'a': 1}", 'x:2: malformed JSON: "\'" is not expected here'),
        ('{"a" 1}', "x:1: malformed JSON: a colon is missing after 'a'"),
        ("{a: 1}", "x:1: malformed JSON: 'a' is not expected here"),
        ('{"a": 1} {}', "x:1: malformed JSON: there is more after the end"),
        ('{"a": 1.2.3}', "x:1: malformed JSON: '1.2.3' is no value"),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "x:1: malformed JSON: nested too deep"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(WorkspaceError) as raised:
        parse_settings(text, "x")
    assert raised.value.message == message


@given(st.text(alphabet='{}[]:,"/*\\ \nax1-', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(WorkspaceError):
        assert isinstance(parse_settings(text, "x").data, dict)
