"""Which keys end when a node is no admin's any more."""

from __future__ import annotations

import pytest

from buildnet.cli.rights import keys_made_by

MEMBERS = [
    {"id": "aaaa1111", "name": "one", "rights": "admin"},
    {"id": "bbbb2222", "name": "two", "rights": "builder"},
]
KEYS = [
    {"name": "ci", "status": "valid", "issuer": "aaaa1111"},
    {"name": "old", "status": "expired", "issuer": "aaaa1111"},
    {"name": "gone", "status": "revoked", "issuer": "aaaa1111"},
    {"name": "two-s", "status": "valid", "issuer": "bbbb2222"},
]


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        *(("one", ["ci"]), ("aaaa", ["ci"]), ("aaaa1111", ["ci"])),
        *(("aaa", []), ("two", []), ("eve", [])),
    ],
)
def test_those_that_count_and_were_made_there(who: str, expected: list[str]) -> None:
    assert keys_made_by(who, MEMBERS, KEYS) == expected
