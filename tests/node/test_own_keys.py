"""A node's key and those it had before."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.mesh.identity import IdentityError, NodeKey
from buildnet.node import own_keys
from buildnet.node.own_keys import OwnKeys

MESSAGE = b"a result"


def keys(directory: Path) -> OwnKeys:
    return OwnKeys(directory / "node.key", directory / "former-keys")


def signed(own: OwnKeys, key: NodeKey) -> bool:
    return own.signed(key.public_key, MESSAGE, key.sign(MESSAGE))


def test_what_a_former_key_signed_stays_good(tmp_path: Path) -> None:
    own = keys(tmp_path)
    first, second = own.current, NodeKey.generate()
    assert not signed(own, second)
    own.remember()
    own.remember()
    own.current = second
    assert signed(own, first)
    assert signed(own, second)
    assert (tmp_path / "former-keys").read_text() == f"{first.public_key.hex()}\n"
    assert (tmp_path / "former-keys").stat().st_mode & 0o777 == 0o600


def test_it_is_known_after_a_restart(tmp_path: Path) -> None:
    own = keys(tmp_path)
    first = own.current
    own.remember()
    (tmp_path / "node.key").unlink()  # as a rotation replaces it
    again = keys(tmp_path)
    assert again.current != first
    assert signed(again, first)
    assert not again.signed(first.public_key, MESSAGE, bytes(64))
    assert not signed(again, NodeKey.generate())


def test_a_damaged_list_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "former-keys").write_text("nonsense\n")
    with pytest.raises(IdentityError, match="can't be read") as error:
        keys(tmp_path)
    assert "move it away" in (error.value.hint or "")


def test_a_key_that_cannot_be_noted_is_not_replaced(tmp_path: Path) -> None:
    own = keys(tmp_path)
    (tmp_path / "former-keys").mkdir()
    with pytest.raises(IdentityError, match="can't be written"):
        own.remember()
    assert not (tmp_path / "former-keys").is_file()


def test_a_signature_is_worked_out_once_and_whose_it_is_asked_each_time(tmp_path: Path) -> None:
    own = keys(tmp_path)
    key, signature = own.current, own.current.sign(b"another result")
    before = own_keys._is_signed_by.cache_info()
    for _ in range(3):
        assert own.signed(key.public_key, b"another result", signature)
    after = own_keys._is_signed_by.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)
    own.current = NodeKey.generate()
    assert not own.signed(key.public_key, b"another result", signature)
