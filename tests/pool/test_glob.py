"""Patterns against a naive matcher, and what is special about them."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildnet.pool.glob import (
    GlobError,
    Patterns,
    escape,
    expand,
    is_pattern,
    leads_out,
    literal_prefix,
    unescape,
)


def naive(pattern: list[str], path: list[str]) -> bool:
    """Match component by component, as slowly as it is plain."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return naive(pattern[1:], path) or (bool(path) and naive(pattern, path[1:]))
    return (
        bool(path)
        and re.fullmatch(fnmatch.translate(pattern[0]), path[0]) is not None
        and naive(pattern[1:], path[1:])
    )


def naive_matches(pattern: str, path: str) -> bool:
    plain = not re.search(r"[*?\[{]", pattern)
    components, names = pattern.split("/"), path.split("/")
    return naive(components, names) or (plain and naive([*components, "**"], names))


NAMES = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)
COMPONENTS = st.one_of(
    NAMES, st.just("**"), st.just("*"), st.sampled_from(["a*", "*.b", "?", "[ab]"])
)
PATTERNS = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)


@settings(max_examples=400)
@given(st.lists(PATTERNS, min_size=1, max_size=5), PATHS)
def test_agrees_with_the_naive_matcher(patterns: list[str], path: str) -> None:
    expected = {n for n, pattern in enumerate(patterns) if naive_matches(pattern, path)}
    assert Patterns(patterns).matching(path) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("src/**/*.ts", "src/a.ts", True),
        ("src/**/*.ts", "src/x/y/a.ts", True),
        ("src/**/*.ts", "src/.hidden/.a.ts", True),
        ("src/*.{ts,tsx}", "src/a.tsx", True),
        ("src/*.{ts,tsx}", "src/a.js", False),
        ("{a,b/c}/*", "b/c/d", True),
        ("src", "src/a/b", True),
        ("src/", "src/a/b", True),
        ("src/", "src", False),
        ("./src/**", "src/a", True),
        ("src/*", "src/a/b", False),
        ("**", "a/b", True),
        (".", "a", True),
        ("**", "a/node_modules/b", False),
        ("a", "a/node_modules/b", False),
        ("a/node_modules", "a/node_modules/b", True),
        ("a/node_modules/**", "a/node_modules/b/c", True),
        ("a/node_modules/**", "a/node_modules/b/node_modules/c", False),
        ("**/node_modules/b", "a/node_modules/b", True),
        ("**/node_modules/b", "node_modules/b", True),
        ("**/.git/config", ".git/config", True),
        ("*", ".git", False),
        (r"app/\[slug\]/*", "app/[slug]/page", True),
        ("app/[slug]/*", "app/s/page", True),
        ("SRC/*", "src/a", False),
        ("a*", "a\n", True),
        ("[a]", "a\n", False),
    ],
)
def test_matching(pattern: str, path: str, matches: bool) -> None:
    assert bool(Patterns([pattern]).matching(path)) is matches


def test_reaching_below() -> None:
    assert Patterns(["**/gen*"], reach_below=True).matching("a/generated/b/c")
    assert not Patterns(["**/gen*"]).matching("a/generated/b/c")


def test_patterns_and_plain_paths() -> None:
    assert [is_pattern(text) for text in ("a*", "a?", "[a]", "{a}", "a", r"a\*", r"\\*")] == [
        True, True, True, True, False, False, True,
    ]  # fmt: skip
    assert literal_prefix("a/b/*.c") == "a/b"
    assert literal_prefix("a/b") == "a/b"
    assert literal_prefix("**") == ""
    assert literal_prefix(r"a/\[b\]/*") == "a/[b]"


@given(st.text(r"ab*?[]{}\!/.", min_size=1, max_size=8))
def test_an_escaped_path_means_itself(path: str) -> None:
    assert not is_pattern(escape(path))
    assert unescape(escape(path)) == path


def test_braces_are_bounded() -> None:
    with pytest.raises(GlobError, match="more than 10,000"):
        expand("{1..99999}")
    with pytest.raises(GlobError):
        expand("{a,b}" * 30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b", False),
        ("", False),
        ("a..b/**", False),
        ("..", True),
        ("a/../../b", True),
        (r"\.\./b", True),
        ("/a", True),
        ("a\0b", True),
    ],
)
def test_what_leads_out(text: str, expected: bool) -> None:
    assert leads_out(text) is expected
