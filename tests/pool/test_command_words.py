"""Which programs a command line starts."""

from __future__ import annotations

import pytest

from buildnet.pool.command_words import interpreter_words, program_words


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("cc -c a.c", ("cc",)),
        ("cd src && cc -c a.c; strip a.o | sort", ("cc", "strip", "sort")),
        ("A=1 B=2 ./build.sh cc", ("./build.sh",)),
        ("/usr/bin/env -i A=1 python3 x.py", ("/usr/bin/env", "python3")),
        ("exec timeout 10s nice -n 5 make -j2", ("timeout", "nice", "make")),
        ("if test -f x; then cc a; else ld b; fi", ("cc", "ld")),
        ("(export A=1; tsc)", ("tsc",)),
        ("! grep x y", ("grep",)),
        ("echo cc > x", ()),
        ("$CC -c x", ()),
        ("cc `cat flags` && ld", ("cc",)),
        ("cc 'unfinished", ("cc",)),
        ("# nothing", ()),
        ("", ()),
    ],
)
def test_program_words(command: str, words: tuple[str, ...]) -> None:
    assert program_words(command) == words


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        (b"#!/bin/bash -e\necho", ("/bin/bash",)),
        (b"#! /usr/bin/env -S A=1 node --x\n", ("/usr/bin/env", "node")),
        (b"\x7fELF", ()),
        (b"echo", ()),
        (b"", ()),
    ],
)
def test_interpreter_words(beginning: bytes, words: tuple[str, ...]) -> None:
    assert interpreter_words(beginning) == words
