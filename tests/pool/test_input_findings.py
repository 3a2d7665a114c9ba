"""What a command read, beside what its task declares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildnet.pool.input_findings import MOST_TOLD, Traced, findings, patterns_of
from buildnet.pool.variable_names import (
    MAX_TEXT_BYTES,
    MOST_NAMES,
    Mention,
    mentions_in,
    mentions_in_command,
)

TRACED = Traced(
    read=["/w/app/main.js", "/w/lib/dist/a.txt", "/w/base.json", "/usr/bin/node", "/opt/x.conf"],
    root="/w",
    inputs=["app/main.js", "app/readme.md", "lib/in.txt"],
    path="app",
    is_output=lambda path: path.startswith("app/dist/"),
    maker_of=lambda path: "lib" if path.startswith("lib/dist/") else None,
)


def test_what_is_read_and_not_declared_is_proposed() -> None:
    found = findings(TRACED)
    assert found.undeclared == ("base.json", "lib/dist/a.txt")
    assert found.unread == ("app/readme.md",)  # lib's is what another package declares
    assert found.host == ("/opt/x.conf",)
    assert found.proposal == {"dependencies": ("lib",), "extra_sources": ("base.json",)}


def test_its_own_outputs_the_repository_and_the_definition_are_no_inputs() -> None:
    read = ["/w/app/dist/made.txt", "/w/.git/HEAD", "/w/buildnet.yaml", "/etc/passwd"]
    found = findings(replace(TRACED, read=read, inputs=[]))
    assert found.as_dict() | {"proposal": {}} == findings(
        replace(TRACED, read=[], inputs=[])
    ).as_dict() | {"proposal": {}}


def test_what_another_package_makes_is_missed_where_it_is_not_made_yet() -> None:
    missing = ["/w/lib/dist/later.txt", "/w/nowhere.txt", "/usr/share/nowhere"]
    found = findings(replace(TRACED, read=[], missing=missing))
    assert found.undeclared == ("lib/dist/later.txt",)
    assert found.proposal == {"dependencies": ("lib",)}


def test_the_root_s_own_package_and_a_directory_of_like_name_are_told_apart() -> None:
    found = findings(replace(TRACED, read=["/w/apple/a", "/w2/b"], path="app"))
    assert found.undeclared == ("apple/a",)
    assert found.host == ("/w2/b",)
    whole = findings(replace(TRACED, read=[], path=""))
    assert whole.unread == ("app/main.js", "app/readme.md", "lib/in.txt")


def test_variables_that_are_set_here_are_proposed() -> None:
    mentions = [Mention("CI", "a.js", 3), Mention("MODE", "a.js", 4), Mention("OFF", "a.js", 5)]
    found = findings(
        replace(
            TRACED,
            read=[],
            mentions=mentions,
            declared_variables={"MODE"},
            variables_here={"CI", "MODE"},
        )
    )
    assert found.variables == (mentions[0],)
    assert found.unset == (mentions[2],)
    assert found.proposal == {"env_inherit": ("CI",)}


def test_much_is_cut_and_counted() -> None:
    read = [f"/w/x/{number}" for number in range(MOST_TOLD + 7)]
    found = findings(replace(TRACED, read=read, inputs=[]))
    assert len(found.undeclared) == MOST_TOLD
    assert found.left_out == 7


def test_many_alike_are_one_pattern() -> None:
    alike = [f"config/{number}.json" for number in range(5)]
    assert patterns_of([*alike, "config/one.yaml", "Makefile"]) == (
        "Makefile",
        "config/*.json",
        "config/one.yaml",
    )
    assert patterns_of(alike[:4]) == tuple(alike[:4])
    assert patterns_of([f"{number}.ts" for number in range(5)]) == ("*.ts",)


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        ("a.js", "x = process.env.CI_TOKEN || process.env['MODE']", ["CI_TOKEN", "MODE"]),
        ("a.ts", "const { STAGE, AA: b, CC = 1 } = process.env;", ["AA", "CC", "STAGE"]),
        ("a.ts", "import.meta.env.VITE; Deno.env.get('D1'); Bun.env.E1", ["D1", "E1", "VITE"]),
        ("a.py", 'os.environ["X1"]; os.environ.get("X2"); os.getenv("X3")', ["X1", "X2", "X3"]),
        ("a.go", 'os.Getenv("G1"); v, ok := os.LookupEnv("G2")', ["G1", "G2"]),
        ("a.rs", 'env!("R1"); std::env::var("R2"); option_env!("R3")', ["R1", "R2", "R3"]),
        ("a.c", 'getenv("C1")', ["C1"]),
        ("a.rb", 'ENV["B1"]; ENV.fetch("B2")', ["B1", "B2"]),
        ("a.java", 'System.getenv("J1")', ["J1"]),
        ("a.sh", 'own=1; echo "$own $S1 ${S2:-x}"; for f in *; do echo $f; done', ["S1", "S2"]),
        ("run", "#!/bin/bash\necho $FROM_SHEBANG", ["FROM_SHEBANG"]),
        ("a.js", "price = `$PRICE`; jquery.$el", []),
        ("a.js", "process.env.PATH + process.env.HOME", []),
    ],
)
def test_variables_are_found_in_many_languages(file: str, text: str, names: list[str]) -> None:
    assert sorted(one.name for one in mentions_in(file, text)) == names


def test_a_mention_tells_its_line_and_each_variable_once() -> None:
    text = "\n\nprocess.env.ONE\nprocess.env.ONE"
    assert list(mentions_in("a.js", text)) == [Mention("ONE", "a.js", 3)]


def test_the_command_line_asks_for_variables_too() -> None:
    found = mentions_in_command('N=1 node build.js "$MODE" ${CI} $N $PATH \\$NOT', "app#build")
    assert [one.name for one in found] == ["MODE", "CI"]


@pytest.mark.parametrize("words", ["export ", "read ", " -read", "export\t-read ", "{a:"])
def test_what_repeats_itself_without_end_is_looked_through(words: str) -> None:
    text = words * (MAX_TEXT_BYTES // len(words))
    assert [one.name for one in mentions_in("x.sh", f"{text}\necho $OTHER")] == ["OTHER"]


def test_no_more_variables_are_taken_of_one_file_than_anybody_reads() -> None:
    text = "".join(f"$name{number}\n" for number in range(MOST_NAMES + 10))
    assert len(list(mentions_in("x.sh", text))) == MOST_NAMES
