"""PASETO v4.public: the official test vectors, and what is no token.

Vectors: https://github.com/paseto-standard/test-vectors, v4.json, 4-S-1 to 4-S-3.
"""

from __future__ import annotations

import json

import pytest

from buildnet.mesh.identity import NodeKey
from buildnet.mesh.testing import key_number
from buildnet.node.auth.token import MAX_CHARACTERS, SignedToken, TokenError, signed_token

SECRET = bytes.fromhex("b4cbfb43df4ce210727d953e4a713307fa19bb7d9f85041438d9e11b942a3774")
PUBLIC = "1eb9dbbbbc047c03fd70604e0071f0987e16b28b757225c11f00415d0e20b1a2"
MESSAGE = b'{"data":"this is a signed message","exp":"2022-01-01T00:00:00+00:00"}'
KEY_ID = json.dumps({"kid": "zVhMiPBP9fRf2snEcT7gFTioeA9COcNy9DfgL1W60haN"}, separators=(",", ":"))
BODY = (
    "v4.public.eyJkYXRhIjoidGhpcyBpcyBhIHNpZ25lZCBtZXNzYWdlIiwiZXhwIjoiMjAyMi0wMS0wMVQwMDowMDowMCsw"
    "MDowMCJ9"
)
FOOTER = ".eyJraWQiOiJ6VmhNaVBCUDlmUmYyc25FY1Q3Z0ZUaW9lQTlDT2NOeTlEZmdMMVc2MGhhTiJ9"
VECTORS = {
    "4-S-1": (
        BODY
        + "bg_XBBzds8lTZShVlwwKSgeKpLT3yukTw6JUz3W4h_ExsQV-P0V54zemZDcAxFaSeef1QlXEFtkqxT1ciiQED"
        "A",
        b"",
        b"",
    ),
    "4-S-2": (
        BODY
        + "v3Jt8mx_TdM2ceTGoqwrh4yDFn0XsHvvV_D0DtwQxVrJEBMl0F2caAdgnpKlt4p7xBnx1HcO-SPo8FPp214HD"
        "w" + FOOTER,
        KEY_ID.encode(),
        b"",
    ),
    "4-S-3": (
        BODY
        + "NPWciuD3d0o5eXJXG5pJy-DiVEoyPYWs1YSTwWHNJq6DZD3je5gf-0M4JR9ipdUSJbIovzmBECeaWmaqcaP0D"
        "Q" + FOOTER,
        KEY_ID.encode(),
        b'{"test-vector":"4-S-3"}',
    ),
}


@pytest.mark.parametrize("vector", VECTORS)
def test_official_vectors_are_signed_and_read(vector: str) -> None:
    text, footer, implicit = VECTORS[vector]
    key = NodeKey.from_seed(SECRET)
    assert key.public_key.hex() == PUBLIC
    assert signed_token(MESSAGE, key.sign, footer=footer, implicit=implicit) == text
    found = SignedToken.read(text)
    assert (found.message, found.footer) == (MESSAGE, footer)
    assert found.is_signed_by(key.public_key, implicit)


def test_only_the_same_meaning_and_key_count() -> None:
    text, _, implicit = VECTORS["4-S-3"]
    found = SignedToken.read(text)
    assert not found.is_signed_by(bytes.fromhex(PUBLIC), b"")
    assert not found.is_signed_by(key_number(1).public_key, implicit)
    without_footer = SignedToken.read(text.removesuffix(FOOTER))
    assert not without_footer.is_signed_by(bytes.fromhex(PUBLIC), implicit)


def test_no_altered_token_is_signed() -> None:
    text = VECTORS["4-S-1"][0]
    key = bytes.fromhex(PUBLIC)
    for at in range(len("v4.public."), len(text)):
        other = "A" if text[at] != "A" else "B"
        try:
            found = SignedToken.read(text[:at] + other + text[at + 1 :])
        except TokenError:
            continue
        assert not found.is_signed_by(key), at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v4.public.",
        "v4.local." + "A" * 200,
        "v2.public." + VECTORS["4-S-1"][0].removeprefix("v4.public."),
        VECTORS["4-S-1"][0] + ".",
        VECTORS["4-S-1"][0] + "=",
        VECTORS["4-S-1"][0] + "\n",
        VECTORS["4-S-2"][0] + ".x",
        "v4.public." + "A" * 40,
        "v4.public." + "A" * MAX_CHARACTERS,
        "v4.public." + "ä" * 100,
        VECTORS["4-S-1"][0][:-1] + "B",  # the same bytes, written in another way
    ],
)
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(TokenError):
        SignedToken.read(text)
