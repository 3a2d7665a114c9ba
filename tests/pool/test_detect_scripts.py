"""Scripts of package.json as command lines that start no package manager."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from buildnet.pool.detect.scripts import script_line

SCRIPTS = {
    "prebuild": "clean dist",
    "build": "rollup -c",
    "postbuild": "echo done; exit 0",
    "build:js": "babel src -d dist",
    "build:ts": "tsc",
    "build:ts:types": "tsc --types",
    "commented": "tsc # all of it",
    "test": 'echo "Error: no test specified" && exit 1',
}
BUILD = "clean dist && rollup -c && (echo done; exit 0)"
BOTH = (
    "(babel src -d dist & p0=$!; tsc & p1=$!; failed=0; "
    "wait $p0 || failed=1; wait $p1 || failed=1; exit $failed)"
)


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("tsc", "tsc"),
        ("npm run build:js", "babel src -d dist"),
        ("npm run build", BUILD),
        ("npm run -s build && echo x", f"({BUILD}) && echo x"),
        ("yarn build:js --foo 'a b'", "babel src -d dist --foo 'a b'"),
        ("yarn run build:ts && pnpm build:js", "tsc && babel src -d dist"),
        ("pnpm run build:ts -- --watch", "tsc --watch"),
        ("npm run build:ts -- --x src/*.ts", "tsc --x src/*.ts"),
        ("npm run build:ts --silent", "tsc"),
        ("NODE_ENV=production npm run build:js", "(export NODE_ENV=production; babel src -d dist)"),
        ("cross-env A='b c' yarn build:ts", "(export A='b c'; tsc)"),
        ("run-s build:js build:ts", "babel src -d dist && tsc"),
        ("npm-run-all build:*", "babel src -d dist && tsc"),
        ("npm-run-all 'build:**'", "babel src -d dist && tsc && tsc --types"),
        ("run-p build:*", BOTH),
        ("npm-run-all -s build:ts -p build:js build:ts", f"tsc && {BOTH}"),
        ("npm-run-all --parallel build:js build:ts", BOTH),
        ("npm run missing --if-present && tsc", "true && tsc"),
        ("yarn tsc -b && pnpm exec -- eslint .", "tsc -b && eslint ."),
        ("yarn run build:ts > log 2>&1", "yarn run build:ts > log 2>&1"),
        ("(npm run build:ts; npm run build:js)", "(tsc; babel src -d dist)"),
        ("npm run build:ts || true", "tsc || true"),
        ("tsc 2>&1 | tee log", "tsc 2>&1 | tee log"),
        ("npm run commented && echo x", "(\ntsc # all of it\n) && echo x"),
        ("echo 'npm run build'", "echo 'npm run build'"),
    ],
)
def test_expansion(script: str, command: str) -> None:
    line = script_line({**SCRIPTS, "it": script}, "it")
    assert line is not None
    assert line.command == command


@pytest.mark.parametrize(
    ("script", "managers"),
    [
        ("npm run it", ("npm",)),
        ("npm run build -w core", ("npm",)),
        ("npm run missing", ("npm",)),
        ("npm run build --if-present --workspaces && npx tsc", ("npm", "npx")),
        ("pnpm -r build", ("pnpm",)),
        ("yarn workspaces foreach run build", ("yarn",)),
        ("yarn install && tsc", ("yarn",)),
        ("echo $(npm run build)", ("npm",)),
        ("for x in a; do npm run $x; done", ("npm",)),
        ("npm run build:ts -- '*.ts'", ("npm",)),
        ("npm publish", ("npm",)),
        ("npm-run-all -c build:*", ()),
        ("npm-run-all build:ts -- --x", ()),
    ],
)
def test_what_is_left_alone(script: str, managers: tuple[str, ...]) -> None:
    line = script_line({**SCRIPTS, "it": script}, "it")
    assert line is not None
    assert line.command == script
    assert line.managers == managers


def test_no_script() -> None:
    assert script_line(SCRIPTS, "test") is None
    assert script_line(SCRIPTS, "absent") is None
    assert script_line({"build": "  "}, "build") is None


def test_the_scripts_that_were_used() -> None:
    line = script_line({**SCRIPTS, "it": "npm run build"}, "it")
    assert line is not None
    assert line.scripts == ("it", "prebuild", "build", "postbuild")


@pytest.mark.parametrize(
    ("scripts", "code", "output"),
    [
        ({"prebuild": "false", "build": "echo no"}, 1, ""),
        ({"build": "npm run a && echo b", "a": "echo a; exit 3"}, 3, "a\n"),
        ({"build": "run-p a b", "a": "exit 3", "b": "echo b"}, 1, "b\n"),
        ({"build": "run-p a b", "a": "true", "b": "echo b"}, 0, "b\n"),
        ({"build": "npm run a && pwd", "a": "cd /"}, 0, None),
        ({"build": "X=1 npm run a; echo $X", "a": 'echo "<$X>"'}, 0, "<1>\n\n"),
        ({"build": "npm run a -- 'x  y'", "a": "printf '%s|'"}, 0, "x  y|"),
        ({"build": "run-s 'a:*'", "a:1": "echo 1 # first", "a:2": "echo 2"}, 0, "1\n2\n"),
    ],
)
def test_lines_mean_what_npm_would_do(
    tmp_path: Path, scripts: dict[str, str], code: int, output: str | None
) -> None:
    line = script_line(scripts, "build")
    assert line is not None
    done = subprocess.run(
        ["/bin/sh", "-c", line.command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.stderr == ""
    assert done.returncode == code
    assert done.stdout == (f"{tmp_path}\n" if output is None else output)
