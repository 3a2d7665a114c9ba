"""The key that the command line sends: where it is found, and what is signed with it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from buildnet.cli.credential import Credential, KeyFileError
from buildnet.cli.key import _bound
from buildnet.cli.settings import split_arguments
from buildnet.mesh.errors import UsageError
from buildnet.node.auth.proof import Proof, Proofs, Request
from testbed.pool_keys import AGENT, claims, token

KEY = token()


def test_a_key_is_given_as_itself_or_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"# of ci\n{KEY}\nsecret: {AGENT.seed.hex()}\n")
    assert Credential.read(KEY).headers("GET", "/", b"") == {"authorization": f"Bearer {KEY}"}
    bound = Credential.read(str(file))
    headers = bound.headers("POST", "/api/build?a=b", b"{}")
    proof = Proof.read(headers["buildnet-proof"])
    request = Request("POST", "/api/build?a=b", claims().id)
    Proofs(0).check(proof, request, AGENT.public_key, proof.time)
    assert proof.body_sha256 == hashlib.sha256(b"{}").digest()
    assert KEY not in repr(bound)


@pytest.mark.parametrize("text", ["", "x", f"{KEY}\n{KEY}", "secret: " + "0" * 64, "\xff"])
def test_a_file_without_a_key_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(KeyFileError):
        Credential.read(str(file))
    with pytest.raises(KeyFileError) as caught:
        Credential.read(KEY + "\n.")
    assert KEY not in caught.value.message


def test_the_environment_s_key_is_for_another_node_only() -> None:
    environment = {"BUILDNET_KEY": "k"}
    assert split_arguments(["pool"], environment)[0].key is None
    assert split_arguments(["pool", "--node", "http://n"], environment)[0].key == "k"
    assert split_arguments(["pool", "--key", "f"], environment)[0].key == "f"


def test_a_public_key_is_taken_in_the_forms_that_are_in_use(tmp_path: Path) -> None:
    digits = "1eb9dbbbbc047c03fd70604e0071f0987e16b28b757225c11f00415d0e20b1a2"
    ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB6527u8BHwD/XBgTgBx8Jh+FrKLdXIlwR8AQV0OILGi a@b"
    pem = (
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAHrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI=\n"
        "-----END PUBLIC KEY-----\n"
    )
    file = tmp_path / "agent.pub"
    file.write_text(pem)
    for said in (digits, digits.upper(), ssh, str(file)):
        assert _bound(said) == (digits, None)
    public, secret = _bound("new")
    assert public is not None
    assert secret is not None
    file.write_text("ssh-rsa AAAA")
    for wrong in ("", "abc", str(file), str(tmp_path / "none")):
        with pytest.raises(UsageError):
            _bound(wrong)
