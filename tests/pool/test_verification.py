"""Runs of one action, compared."""

from __future__ import annotations

from buildnet.mesh.digest import Digest
from buildnet.pool.tree import DirectoryTree, FileEntry, LinkEntry
from buildnet.pool.verification import MOST_PATHS, Run, Verification, repetition_of


def tree(**files: str) -> DirectoryTree:
    return DirectoryTree.from_paths(
        {f"dist/{name}": FileEntry(Digest.of(text.encode())) for name, text in files.items()}
    )


def compared(*outputs: DirectoryTree | None) -> Verification:
    return Verification(tuple(Run(f"n{at}", None, 0, each) for at, each in enumerate(outputs)))


def test_the_same_outputs_agree() -> None:
    verification = compared(tree(a="1", b="2"), tree(a="1", b="2"))
    assert verification.agrees
    assert verification.differing == ()


def test_what_differs_or_is_missing_is_named() -> None:
    verification = compared(tree(a="1", b="2", c="3"), tree(a="1", b="x", d="3"))
    assert not verification.agrees
    assert verification.differing == ("dist/b", "dist/c", "dist/d")


def test_an_executable_file_or_a_link_is_another_one() -> None:
    digest = Digest.of(b"1")
    plain = DirectoryTree({"a": FileEntry(digest), "l": LinkEntry("a")})
    other = DirectoryTree({"a": FileEntry(digest, executable=True), "l": LinkEntry("b")})
    assert compared(plain, other).differing == ("a", "l")


def test_one_of_three_differs() -> None:
    assert compared(tree(a="1"), tree(a="1"), tree(a="2")).differing == ("dist/a",)


def test_a_run_that_failed_differs_in_all() -> None:
    verification = compared(tree(a="1"), None)
    assert verification.differing == ("dist/a",)
    assert verification.as_dict()["runs"][1]["outputs"] is None


def test_of_many_paths_the_first_are_told() -> None:
    many = tree(**{f"f{number}": "1" for number in range(MOST_PATHS + 5)})
    told = compared(many, DirectoryTree({})).as_dict()
    assert (len(told["differing"]), told["differing_count"]) == (MOST_PATHS, MOST_PATHS + 5)


def test_repetitions_have_names_of_their_own() -> None:
    action = Digest.of(b"action")
    assert len({action, repetition_of(action, 1), repetition_of(action, 2)}) == 3
