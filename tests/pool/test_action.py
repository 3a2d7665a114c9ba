"""Keys: what is part of them, what is not; results; why a key is another one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.digest import EMPTY, Digest
from buildnet.pool.action import Action, ActionSpec, digest_of, encode_action
from buildnet.pool.explain import Change, changes_between, nearest_of
from buildnet.pool.reapi import remote_execution_pb2 as reapi
from buildnet.pool.result import (
    MalformedResultError,
    decode_result,
    encode_result,
    signed_message,
)
from buildnet.pool.tree import DirectoryTree, FileEntry, LinkEntry


def file(content: bytes, executable: bool = False) -> FileEntry:
    return FileEntry(Digest.of(content), executable)


SPEC = ActionSpec(
    command="make all",
    working_directory="packages/core",
    environment={"MODE": "release"},
    outputs=("packages/core/dist", "shared.txt"),
    platform={"OSFamily": "linux", "tool:node": "20.1 abc"},
    inputs=DirectoryTree.from_paths(
        {"packages/core/a.c": file(b"a"), "packages/core/deep/b.c": file(b"b")}
    ),
)


def test_an_action_is_the_remote_execution_apis() -> None:
    action = encode_action(SPEC)
    message = reapi.Action.FromString(action.encoded)
    command = reapi.Command.FromString(action.command_encoded)
    assert digest_of(message.command_digest) == Digest.of(action.command_encoded)
    assert digest_of(message.input_root_digest) == SPEC.inputs.digest
    assert list(command.arguments) == ["/bin/sh", "-c", "make all"]
    assert list(command.output_paths) == ["../../shared.txt", "dist"]
    assert command.working_directory == "packages/core"
    assert action.digest == Digest.of(action.encoded)


def test_the_order_in_which_things_are_named_does_not_matter() -> None:
    first = replace(SPEC, environment={"A": "1", "B": "2"}, platform={"x": "1", "y": "2"})
    second = replace(SPEC, environment={"B": "2", "A": "1"}, platform={"y": "2", "x": "1"})
    assert encode_action(first).digest == encode_action(second).digest


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (replace(SPEC, command="make"), "command changed"),
        (replace(SPEC, working_directory="packages"), "working directory changed"),
        (replace(SPEC, environment={}), "variable MODE removed"),
        (replace(SPEC, environment={"MODE": "debug"}), "variable MODE changed"),
        (replace(SPEC, outputs=("packages/core/dist",)), "outputs changed"),
        (replace(SPEC, platform={"OSFamily": "linux"}), "tool node removed"),
        (
            replace(SPEC, platform={**SPEC.platform, "isolation": "staged"}),
            "platform isolation added",
        ),
        (replace(SPEC, trust_domain="other"), "engine changed"),
        (
            replace(
                SPEC,
                inputs=SPEC.inputs.merged(DirectoryTree.from_paths({"new/x": file(b"")})),
            ),
            "file new/x added",
        ),
        (
            replace(
                SPEC,
                inputs=DirectoryTree.from_paths(
                    {
                        "packages/core/a.c": file(b"a"),
                        "packages/core/deep/b.c": file(b"b", executable=True),
                    }
                ),
            ),
            "file packages/core/deep/b.c changed",
        ),
    ],
)
def test_every_part_changes_the_key_and_is_named(other: ActionSpec, reason: str) -> None:
    old, new = encode_action(SPEC), encode_action(other)
    assert old.digest != new.digest
    changes = [str(change) for change in changes_between(old.digest, new, _blobs(old))]
    assert reason in changes


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"tool:node": "20.1 abc"}, {"tool:node": "20.2 def"}, "tool node changed: 20.1 -> 20.2"),
        (
            {"tool:node": "20.1 abc"},
            {"tool:node": "20.1 def"},
            "tool node changed (of the same version, 20.1)",
        ),
        ({"tool:cp": " abc"}, {"tool:cp": " def"}, "tool cp changed"),
        ({"isolation": "staged"}, {"isolation": "strict"}, "platform isolation changed: staged -> "
         "strict"),
        ({"dependencies": "a"}, {"dependencies": "b"}, "installed dependencies changed"),
    ],
)  # fmt: skip
def test_what_can_be_told_in_a_word_is(
    before: dict[str, str], after: dict[str, str], words: str
) -> None:
    old, new = (encode_action(replace(SPEC, platform=one)) for one in (before, after))
    assert [str(one) for one in changes_between(old.digest, new, _blobs(old))] == [words]


def test_values_of_variables_are_not_told() -> None:
    old = encode_action(replace(SPEC, environment={"TOKEN": "secret"}))
    new = encode_action(replace(SPEC, environment={"TOKEN": "hidden"}))
    (change,) = changes_between(old.digest, new, _blobs(old))
    assert change == Change("variable", "TOKEN", "changed")


def test_a_file_that_a_dependency_made_names_it() -> None:
    old, new = encode_action(SPEC), encode_action(replace(SPEC, inputs=DirectoryTree({})))
    owner = {"packages/core/a.c": "generator"}.get
    changes = changes_between(old.digest, new, _blobs(old), owner=owner)
    assert [str(one) for one in changes] == [
        "file packages/core/a.c (made by generator) removed",
        "file packages/core/deep/b.c removed",
    ]


def test_the_nearest_is_the_one_with_the_fewest_differences() -> None:
    new = encode_action(SPEC)
    near = encode_action(replace(SPEC, environment={"MODE": "debug"}, command="make"))
    far = encode_action(replace(SPEC, environment={}, command="make", platform={}, outputs=()))
    lost = encode_action(replace(SPEC, command="lost"))
    blobs = [_blobs(near), _blobs(far)]

    def read(digest: Digest) -> bytes:
        for one in blobs:
            with contextlib.suppress(KeyError):
                return one(digest)
        raise KeyError(digest)

    candidates = [lost.digest, far.digest, near.digest]
    found = nearest_of(candidates, new, read, (KeyError,))
    assert found is not None
    assert found.action == near.digest
    assert [str(one) for one in found.changes] == ["command changed", "variable MODE changed"]
    assert nearest_of([lost.digest], new, read, (KeyError,)) is None


def test_the_same_action_has_no_changes() -> None:
    action = encode_action(SPEC)
    assert changes_between(action.digest, action, _blobs(action)) == []


def _blobs(action: Action) -> Callable[[Digest], bytes]:
    blobs = {tree.digest: tree.encoded for tree in action.spec.inputs.directories()}
    blobs[action.digest] = action.encoded
    blobs[Digest.of(action.command_encoded)] = action.command_encoded
    return blobs.__getitem__


OUTPUTS = DirectoryTree.from_paths(
    {
        "packages/core/dist/bin/tool": file(b"tool", executable=True),
        "packages/core/dist/lib/libx.so": LinkEntry("libx.so.1"),
        "packages/core/dist/lib/libx.so.1": file(b"library"),
        "shared.txt": file(b"shared"),
        "link": LinkEntry("shared.txt"),
    }
).merged(DirectoryTree({"packages": DirectoryTree({"empty": DirectoryTree({})})}))
DECLARED = ("packages/core/dist", "packages/empty/**", "shared.txt", "link")


def test_results_read_back_as_they_were_written() -> None:
    log = Digest.of(b"log")
    result = encode_result(OUTPUTS, "packages/core", DECLARED, log)
    blobs = {Digest.of(tree): tree for tree in result.trees}
    read = decode_result(result.encoded, "packages/core", blobs.__getitem__)
    assert read.outputs.digest == OUTPUTS.digest
    assert read.log == log
    needed = {leaf.digest for _, leaf in OUTPUTS.leaves() if isinstance(leaf, FileEntry)}
    assert set(result.references) == needed | set(blobs) | {log}


@pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "../..", "../../"])
def test_a_result_that_leads_out_of_the_workspace_is_refused(path: str) -> None:
    result = reapi.ActionResult()
    result.output_symlinks.add(path=path, target="x")
    encoded = result.SerializeToString()
    with pytest.raises(MalformedResultError):
        decode_result(encoded, "packages/core", lambda digest: b"")


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_read_but_never_breaks(garbage: bytes) -> None:
    with contextlib.suppress(MalformedResultError):
        decode_result(garbage, "", lambda digest: b"")


def test_a_signature_covers_action_level_and_result() -> None:
    first = signed_message(EMPTY, "staged", b"result")
    assert first != signed_message(EMPTY, "strict", b"result")
    assert first != signed_message(EMPTY, "staged", b"other")
    assert first != signed_message(Digest.of(b"x"), "staged", b"result")
