"""Sources and outputs of a build: what is kept and restored, what goes, and what is refused."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from buildnet.cli.testing import CommandLine, statuses, tiers, write_files
from testbed.one_package import one_package


def test_files_that_a_pattern_no_longer_finds_go(node: CommandLine, tmp_path: Path) -> None:
    """They would count as changed outputs for ever; what somebody else wrote there stays."""
    root = one_package(
        tmp_path, "mkdir -p out; cd out; for n in $(cat ../in.txt); do echo > $n; done"
    )
    definition = root / "buildnet.yaml"
    definition.write_text(definition.read_text().replace("a/out.txt", "a/out/*.txt"))

    def build(names: str) -> tuple[str, set[str]]:
        (root / "a/in.txt").write_text(names)
        report = node.build(root)
        return tiers(report)["a"], {path.name for path in (root / "a/out").iterdir()}

    assert build("one.txt two.txt") == ("full", {"one.txt", "two.txt"})
    assert build("one.txt") == ("full", {"one.txt"})
    assert build("one.txt") == ("hash-skip", {"one.txt"})
    assert build("one.txt two.txt") == ("local-cache", {"one.txt", "two.txt"})
    (root / "a/out/mine.md").write_text("mine")
    (root / "a/out/two.txt").write_text("mine")
    assert build("one.txt") == ("local-cache", {"one.txt", "two.txt", "mine.md"})
    (root / "a/out/two.txt").unlink()
    assert build("one.txt") == ("hash-skip", {"one.txt", "mine.md"})


def test_stale_files_of_patterns_go_though_the_old_result_is_gone(
    node: CommandLine, tmp_path: Path
) -> None:
    root = one_package(tmp_path, "for n in $(cat in.txt); do echo > $n.out; done")
    definition = root / "buildnet.yaml"
    definition.write_text(definition.read_text().replace("a/out.txt", "a/*.out"))
    (root / "a/in.txt").write_text("one two")
    node.build(root)
    assert node("cache", "clear", "--yes").code == 0
    (root / "a/in.txt").write_text("one")
    node.build(root)
    assert sorted(path.name for path in root.glob("a/*.out")) == ["one.out"]


def test_a_pattern_that_matches_nothing_says_so(node: CommandLine, tmp_path: Path) -> None:
    root = one_package(tmp_path, "true")
    (root / "a/in.txt").unlink()
    report = node.build(root, code=1)
    assert report["packages"][0]["error"]["code"] == "SOURCES"
    assert "a/in.txt" in report["packages"][0]["error"]["message"]


def test_an_output_that_was_not_made_says_so(node: CommandLine, tmp_path: Path) -> None:
    report = node.build(one_package(tmp_path, "true"), code=1)
    assert report["packages"][0]["error"]["code"] == "OUTPUT_MISSING"


def test_a_file_that_exists_but_is_not_declared_is_hinted_at(
    node: CommandLine, tmp_path: Path
) -> None:
    root = one_package(tmp_path, "cat other.txt > out.txt")
    (root / "a/other.txt").write_text("x")
    report = node.build(root, code=1)
    assert "a/other.txt" in " ".join(report["packages"][0]["hints"])


def test_a_file_that_no_output_covers_is_told_though_the_build_succeeds(
    node: CommandLine, tmp_path: Path
) -> None:
    report = node.build(one_package(tmp_path, "cp in.txt out.txt; touch extra.txt"))
    assert statuses(report) == {"a": "succeeded"}
    (hint,) = report["packages"][0]["hints"]
    assert "a/extra.txt" in hint


def test_permissions_of_outputs_are_kept_and_restored(node: CommandLine, tmp_path: Path) -> None:
    modes = {"key": 0o600, "read": 0o444, "run": 0o755, "group": 0o750, "plain": 0o644}
    made = "; ".join(
        f"echo {name} > out/{name}; chmod {mode:o} out/{name}" for name, mode in modes.items()
    )
    root = one_package(tmp_path, f"mkdir out; {made}; cp out/key out.txt; chmod 400 out.txt")
    text = (root / "buildnet.yaml").read_text()
    (root / "buildnet.yaml").write_text(text.replace("[a/out.txt]", "[a/out.txt, a/out]"))

    def found() -> dict[str, int]:
        return {name: stat.S_IMODE((root / "a/out" / name).stat().st_mode) for name in modes}

    node.build(root)
    assert found() == modes
    assert set(tiers(node.build(root)).values()) == {"instant-skip"}
    shutil.rmtree(root / "a/out")
    (root / "a/out.txt").chmod(0o644)
    assert tiers(node.build(root)) == {"a": "local-cache"}
    assert found() == modes
    assert stat.S_IMODE((root / "a/out.txt").stat().st_mode) == 0o400


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_git_tracks_is_not_replaced_by_a_wrong_output(
    equipped: CommandLine, tmp_path: Path
) -> None:
    equipped.start()
    root = one_package(tmp_path, "echo generated > out.txt")
    (root / "a/out.txt").write_text("by hand\n")
    for arguments in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", str(root), *arguments], check=True)
    for arguments in ([], ["--dry-run"]):
        report = equipped.build(root, *arguments, code=1)
        assert report["packages"][0]["error"]["code"] == "OUTPUT_TRACKED"
    assert (root / "a/out.txt").read_text() == "by hand\n"
    equipped.build(root, "--force")
    assert (root / "a/out.txt").read_text() == "generated\n"
    (root / "a/in.txt").write_text("edited")
    assert tiers(equipped.build(root)) == {"a": "full"}  # once is enough


@pytest.mark.parametrize("output", ["buildnet.yaml", ".git/hooks", ".git"])
def test_the_workspaces_own_files_are_no_outputs(
    node: CommandLine, tmp_path: Path, output: str
) -> None:
    root = one_package(tmp_path, "true")
    text = (root / "buildnet.yaml").read_text()
    (root / "buildnet.yaml").write_text(text.replace("a/out.txt", output))
    answer = node("build", cwd=root)
    assert answer.code == 2
    assert output in answer.err


def test_two_packages_that_make_the_same_file_are_told(node: CommandLine, tmp_path: Path) -> None:
    package = """\
  - name: {name}
    path: {name}
    build_cmd: echo {name} > ../made.{name}; echo {name} > ../made.both
    sources: [{name}/in.txt]
    outputs: ["made.{pattern}"]
"""
    packages = package.format(name="a", pattern="[ab]*") + package.format(name="b", pattern="b*")
    root = write_files(
        tmp_path / "w",
        {"buildnet.yaml": f"workspace: w\npackages:\n{packages}", "a/in.txt": "", "b/in.txt": ""},
    )
    for _ in range(2):
        report = node.build(root, "--keep-going", code=1)
        codes = [(package["error"] or {}).get("code") for package in report["packages"]]
        assert "OUTPUT_CONFLICT" in codes


def test_an_export_that_matches_nothing_says_so(node: CommandLine, tmp_path: Path) -> None:
    root = one_package(tmp_path, "cp in.txt out.txt", "exports: [a/none]")
    report = node.build(root, code=1)
    assert report["packages"][0]["error"]["code"] == "SOURCES"
    assert not (root / "a/out.txt").exists()  # it did not run
