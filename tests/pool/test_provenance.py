"""Statements of where files come from: made, read, forged, and read by others' tools."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as OthersEnvelope
from securesystemslib.signer._key import Key

from buildnet.mesh.digest import Digest
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.genesis import Rights, Role
from buildnet.mesh.members.member import Member
from buildnet.pool import provenance_check
from buildnet.pool.action import ActionSpec, encode_action
from buildnet.pool.dsse import Envelope, EnvelopeError, pre_authentication, seal
from buildnet.pool.provenance import (
    PAYLOAD_TYPE,
    MadeFile,
    MadeLink,
    Making,
    Statement,
    attest,
)
from buildnet.pool.provenance_check import check_file
from buildnet.pool.tree import DirectoryTree

KEY, OTHER = NodeKey.from_seed(b"k" * 32), NodeKey.from_seed(b"o" * 32)
ACTION = encode_action(
    ActionSpec(
        command="cc -o app main.c",
        working_directory="app",
        environment={"TOKEN": "a secret"},
        outputs=("app/app",),
        platform={"OSFamily": "linux", "tool:cc": f"gcc 12 {'c' * 64}", "tool:odd": "no digest"},
        inputs=DirectoryTree({}),
    )
)
MAKING = Making(
    action=ACTION.encoded,
    command=ACTION.command_encoded,
    label="shop/app build",
    isolation="strict",
    ended_at=1_700_000_000.0,
    duration_ms=2500.0,
    log=Digest.of(b"log"),
    result=Digest.of(b"result"),
    files=(MadeFile("app/app", Digest.of(b"app"), "a" * 64),),
    links=(MadeLink("app/latest", "app"),),
)


def statement() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(attest(MAKING, KEY).payload)
    return found


def signed(changed: dict[str, Any], key: NodeKey = KEY) -> Envelope:
    return seal(PAYLOAD_TYPE, json.dumps(changed).encode(), key)


def test_what_is_signed_is_that_of_the_protocol() -> None:
    # The example of the specification, dsse/protocol.md.
    said = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pre_authentication("http://example.com/HelloWorld", b"hello world") == said


def test_a_statement_says_how_the_files_were_made() -> None:
    found = statement()
    assert found["subject"] == [
        {"name": "app/app", "digest": {"sha256": "a" * 64, "blake3": Digest.of(b"app").hash}}
    ]
    definition = found["predicate"]["buildDefinition"]
    outside = definition["externalParameters"]
    assert outside["command"] == "cc -o app main.c"
    assert outside["environment"] == ["TOKEN"]  # the values may be secrets
    assert "a secret" not in json.dumps(found)
    named = {one["name"]: one for one in definition["resolvedDependencies"]}
    assert named["action"]["digest"]["blake3"] == ACTION.digest.hash
    assert named["tool:cc"]["digest"] == {"blake3": "c" * 64}
    assert "content" in named["tool:odd"]
    run = found["predicate"]["runDetails"]
    assert run["builder"]["id"].endswith(KEY.public_key.hex())
    assert run["metadata"]["startedOn"] == "2023-11-14T22:13:17Z"
    assert run["metadata"]["finishedOn"] == "2023-11-14T22:13:20Z"


def test_it_comes_back_from_its_file() -> None:
    envelope = attest(MAKING, KEY)
    read = Envelope.of_text(json.dumps(envelope.as_dict()).encode())
    assert read == envelope
    stated = Statement.of(read)
    assert stated.signer == KEY.public_key
    assert stated.subjects == {"app/app": "a" * 64}
    assert (stated.action, stated.result) == (ACTION.digest.hash, Digest.of(b"result").hash)


def test_tools_of_others_read_and_verify_it() -> None:
    envelope = OthersEnvelope.from_dict(attest(MAKING, KEY).as_dict())
    public = KEY.public_key.hex()
    key = Key.from_dict(
        public, {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}}
    )
    assert envelope.verify([key], 1).keys() == {public}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (lambda one: one.update(_type="https://in-toto.io/Statement/v0.1"), "no provenance of"),
        (lambda one: one.update(predicateType="https://spdx.dev/Document"), "no provenance of"),
        (lambda one: one["predicate"]["buildDefinition"].update(buildType="x"), "no provenance of"),
        (lambda one: one.update(subject=[]), "names no files"),
        (lambda one: one["subject"][0]["digest"].update(sha256="A" * 64), "names no files"),
        (lambda one: one["subject"][0].pop("digest"), "is no provenance"),
        (lambda one: one["predicate"]["runDetails"]["byproducts"].pop(1), "is no provenance"),
        (
            lambda one: one["predicate"]["runDetails"]["metadata"].update(finishedOn=7),
            "is no provenance",
        ),
        (
            lambda one: one["predicate"]["runDetails"]["builder"].update(
                id=f"urn:buildnet:node:{OTHER.public_key.hex()}"
            ),
            "somebody else",
        ),
    ],
)
def test_what_is_signed_has_to_be_whole(changed: Any, why: str) -> None:
    found = statement()
    changed(found)
    with pytest.raises(EnvelopeError, match=why):
        Statement.of(signed(found))


def test_the_node_that_it_names_has_to_have_signed_it() -> None:
    with pytest.raises(EnvelopeError, match="somebody else"):
        Statement.of(signed(statement(), OTHER))
    envelope = attest(MAKING, KEY)
    forged = replace(envelope, payload=envelope.payload.replace(b"a" * 64, b"b" * 64))
    with pytest.raises(EnvelopeError, match="does not fit"):
        Statement.of(forged)
    with pytest.raises(EnvelopeError, match="in-toto"):
        Statement.of(seal("text/plain", envelope.payload, KEY))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["payload", "payloadType", "signatures", "sig", "keyid", "x"]),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_what_is_no_envelope_is_refused_in_words(found: object) -> None:
    with pytest.raises(EnvelopeError):
        Statement.of(Envelope.of_text(json.dumps(found).encode()))


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"\xff", b"nul"])
def test_nor_is_what_is_no_json(text: bytes) -> None:
    with pytest.raises(EnvelopeError):
        Envelope.of_text(text)


def test_base64_may_be_of_either_alphabet() -> None:
    envelope = seal(PAYLOAD_TYPE, b"\xfb\xff\xfe", KEY)
    found = envelope.as_dict()
    found["payload"] = base64.urlsafe_b64encode(envelope.payload).decode()
    assert found["payload"] == "-__-"
    assert Envelope.of_dict(found) == envelope


def test_nothing_is_stated_of_what_made_no_files() -> None:
    with pytest.raises(EnvelopeError, match="made no files"):
        attest(replace(MAKING, files=()), KEY)
    with pytest.raises(EnvelopeError, match="damaged"):
        attest(replace(MAKING, action=b"\xff"), KEY)


def test_without_a_proof_it_is_a_key_s_word() -> None:
    envelope = attest(MAKING, KEY)
    found = check_file(envelope, {"here/app": "a" * 64})
    assert found.holds
    assert found.artifacts == {"here/app": "app/app"}
    assert KEY.public_key.hex() in found.cautions[0]
    wrong = check_file(envelope, {"here/app": "b" * 64})
    assert not wrong.holds
    assert "here/app" in str(wrong.problem)
    assert "not sealed" in str(check_file(envelope, {}, bytes(32)).problem)
    for beside in ({"proof": "%"}, {"proof": 7}, {"proof": "AAAA"}):
        assert not check_file(replace(envelope, more={"buildnet": beside}), {}).holds


@pytest.mark.parametrize(
    ("place", "data", "why"),
    [
        ({"index": float("inf"), "size": 1, "path": []}, {"root": ""}, "damaged"),
        ({"index": 0, "size": 1, "path": [7]}, {"root": ""}, "damaged"),
        ({"index": 0, "size": 1, "path": []}, {"root": "", "metrics": [1]}, "not among"),
        ({"index": 0, "size": 1, "path": []}, {"root": "", "metrics": None}, "not among"),
        (
            {"index": 0, "size": 1, "path": []},
            {"root": "00", "metrics": {"results": 1}},
            "not among",
        ),
    ],
)
def test_what_stands_beside_it_is_of_anybody(
    place: object, data: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = SimpleNamespace(
        body=SimpleNamespace(type="build.completed", correlation="b"), data=data
    )
    verdict = SimpleNamespace(
        problem=None, members=(), words=(), cautions=(), entry=entry, cluster_id=bytes(32)
    )
    monkeypatch.setattr(provenance_check, "check", lambda proof, cluster_id: verdict)
    monkeypatch.setattr(provenance_check, "_proof", lambda text: None)
    monkeypatch.setattr(provenance_check._Check, "_was_member", lambda self, members: None)
    beside = {"buildnet": {"proof": "AAAA", "place": place}}
    found = check_file(replace(attest(MAKING, KEY), more=beside), {})
    assert why in str(found.problem)


@pytest.mark.parametrize(
    ("rights", "problem"),
    [
        (Rights.ADMIN, "None"),
        (Rights.BUILDER, "None"),
        (Rights.OBSERVER, "may only look"),
        (None, "never a member's"),
    ],
)
def test_only_who_may_build_states_what_it_made(
    rights: Rights | None, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = KEY.public_key
    there = {} if rights is None else {key: Member(key, "berta", Role.WORKER, rights, 1)}
    members = SimpleNamespace(
        current=lambda one: one,
        revoked=(),
        former={},
        members=there,
        genesis=SimpleNamespace(name="home"),
    )
    verdict = SimpleNamespace(
        problem=None, members=members, words=(), cautions=(), entry=None, cluster_id=bytes(32)
    )
    monkeypatch.setattr(provenance_check, "check", lambda proof, cluster_id: verdict)
    monkeypatch.setattr(provenance_check, "_proof", lambda text: None)
    beside = {"buildnet": {"proof": "AAAA"}}
    found = check_file(replace(attest(MAKING, KEY), more=beside), {"app": "a" * 64})
    assert problem in str(found.problem)
