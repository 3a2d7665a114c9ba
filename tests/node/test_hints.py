"""What is suggested after a failure: from what a command said, and what stands in the workspace."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.execute.hints import hints_of_failure, undeclared_inputs
from buildnet.pool.tree import DirectoryTree, FileEntry


def test_a_file_beyond_the_bound_is_hinted_at(tmp_path: Path) -> None:
    code = 128 + signal.SIGXFSZ
    (hint,) = hints_of_failure("File size limit exceeded", code, tmp_path, "", None)
    assert "raise disk" in hint


def test_outputs_and_what_was_given_are_not_hinted_at_as_inputs(tmp_path: Path) -> None:
    """As of a command that ran on another host: its stage is not here."""
    given = DirectoryTree.from_paths({"a/given.txt": FileEntry(Digest.of(b""))})
    for name in ("given.txt", "lacking.txt", "out.o"):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / name).write_text("")
    log = "".join(f"{name}: not found\n" for name in ("given.txt", "/build/a/lacking.txt", "out.o"))
    (hint,) = hints_of_failure(log, 1, given, "a", tmp_path, "/build", ["a/out.o"])
    assert hint.startswith("a/lacking.txt exists in the workspace")


def test_a_program_that_another_one_did_not_find_is_told(tmp_path: Path) -> None:
    said = "Pack failed: Error: spawn pnpm ENOENT"
    hints = hints_of_failure(said, 1, tmp_path, "", None)
    assert hints == ("command not found: pnpm: add it to tools of the package",)


@pytest.mark.parametrize(
    ("log", "missing"),
    [
        (
            "Error: Cannot find module '../lib/x'\nRequire stack:\n- {stage}/a/src/index.js",
            "a/lib/x.js",
        ),
        ("src/index.js(1,19): error TS2307: Cannot find module './types' or its", "a/src/types.ts"),
        ("src/index.js:1:10: fatal error: x.h: No such file or directory", "a/src/x.h"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'conf.d/x.toml'",
            "a/conf.d/x.toml",
        ),
        ("ModuleNotFoundError: No module named 'pkg.tools'", "a/pkg/tools.py"),
        ("error TS18003: File '{stage}/tsconfig.base.json' not found.", "tsconfig.base.json"),
        ("make: *** No rule to make target 'rules.mk'.  Stop.", "a/rules.mk"),
    ],
)
def test_messages_of_many_tools_are_understood(tmp_path: Path, log: str, missing: str) -> None:
    stage, workspace = tmp_path / "stage", tmp_path / "workspace"
    for root, path in ((stage, "a/src/index.js"), (workspace, missing)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    assert undeclared_inputs(log.format(stage=stage), stage, "a", workspace) == (missing,)


def test_what_is_staged_hidden_outside_or_not_complained_about_is_not_named(tmp_path: Path) -> None:
    stage, workspace = tmp_path / "stage", tmp_path / "workspace"
    for path in ("a/here.txt", "a/quiet.txt", "a/.git/config", "a/node_modules/x/index.js"):
        (workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace / path).write_text("")
    (tmp_path / "secret.txt").write_text("")
    (stage / "a").mkdir(parents=True)
    (stage / "a/here.txt").write_text("")
    log = (
        "wrote quiet.txt\nnot found: here.txt .git/config node_modules/x/index.js\n"
        f"not found: ../../secret.txt {tmp_path}/secret.txt a / .. . ~ - \x00\n"
    )
    assert undeclared_inputs(log, stage, "a", workspace) == ()


def test_hints_are_few(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "workspace").mkdir()
    for number in range(50):
        (tmp_path / "workspace" / f"{number}.txt").write_text("")
    log = "\n".join(f"{number}.txt: No such file or directory" for number in range(50))
    hints = hints_of_failure(log, 1, tmp_path / "stage", "", tmp_path / "workspace")
    assert len(hints) == 5


def test_a_file_that_is_written_beside_the_package_is_hinted_at(tmp_path: Path) -> None:
    """As npm pack says it, in a stage that has the package only."""
    (tmp_path / "stage/packages/commons/lib").mkdir(parents=True)
    (tmp_path / "workspace").mkdir()
    log = (
        "npm error path /build/packages/generators/build/commons.tgz\n"
        "npm error enoent ENOENT: no such file or directory, open "
        "'/build/packages/generators/build/commons.tgz'\n"
        "ENOENT: no such file or directory, open '/build/packages/commons/own/x'\n"
        "ENOENT: no such file or directory, open '/build/packages/commons/lib/x'\n"
        "ENOENT: no such file or directory, open '/etc/none/x'\n"
    )
    stage, workspace = tmp_path / "stage", tmp_path / "workspace"
    (hint,) = hints_of_failure(log, 254, stage, "packages/commons", workspace, "/build")
    assert hint.startswith("packages/generators/build/commons.tgz lies outside of this package")
    assert "add it to outputs" in hint
