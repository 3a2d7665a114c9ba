from __future__ import annotations

import stat
from pathlib import Path

import pytest

from buildnet.mesh.identity import (
    IdentityError,
    KeySignatures,
    NodeKey,
    is_signed_by,
    load_or_create,
)


def test_a_new_key_is_private_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    key = load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create(path) == key
    assert key.node_id == key.public_key.hex()[:16]
    assert [file.name for file in tmp_path.iterdir()] == ["node.key"]


def test_signatures_verify_only_for_their_message_and_key() -> None:
    key = NodeKey.from_seed(bytes(32))
    signature = key.sign(b"message")
    assert is_signed_by(key.public_key, b"message", signature)
    assert not is_signed_by(key.public_key, b"massage", signature)
    assert not is_signed_by(NodeKey.from_seed(b"\1" * 32).public_key, b"message", signature)
    assert not is_signed_by(key.public_key, b"message", b"short")
    assert not is_signed_by(key.public_key, b"message", signature + b"m")
    assert not is_signed_by(key.public_key, b"essage", signature + b"m")
    assert not is_signed_by(key.public_key[:31], b"message", signature)
    assert not is_signed_by(b"", b"message", signature)


def test_the_seed_shows_in_no_log() -> None:
    key = NodeKey.from_seed(b"\x17" * 32)
    assert repr(key.seed) not in repr(key)
    assert "SigningKey" not in repr(key)
    assert key == NodeKey.from_seed(b"\x17" * 32)


def test_a_node_signs_as_itself_and_checks_anybody() -> None:
    mine, other = (KeySignatures(NodeKey.from_seed(bytes([seed]) * 32)) for seed in (1, 2))
    signature = mine.sign(b"message")
    assert other.verify(mine.key.public_key, b"message", signature)
    assert not other.verify(other.key.public_key, b"message", signature)
    assert not other.verify(b"no key", b"message", signature)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-40],
        lambda text: text.replace("seed: ", "seed: 00"),
        lambda text: "",
        lambda text: text.replace("public: ", "public: zz"),
        lambda text: "\xff" + text,
    ],
)
def test_a_damaged_key_is_refused_and_left_alone(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "node.key"
    load_or_create(path)
    damaged = damage(path.read_text())  # type: ignore[operator]
    path.write_text(damaged, "latin-1")
    with pytest.raises(IdentityError) as error:
        load_or_create(path)
    assert error.value.hint
    assert path.read_text("latin-1") == damaged
