"""Asking about the queue: who may not is told so, and is not told that nobody answers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.members.genesis import Rights
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.sharing.queue_asking import QueueAsking, QueueUnknownError

ME, COORDINATOR = b"m" * 32, b"c" * 32


@pytest.mark.parametrize(
    ("rights", "has_office", "error"),
    [
        (Rights.OBSERVER, True, NotAllowedError),
        (Rights.OBSERVER, False, QueueUnknownError),
        (Rights.BUILDER, True, QueueUnknownError),  # it is not linked with who coordinates
    ],
)
def test_why_the_queue_is_not_told(
    rights: Rights, has_office: bool, error: type[BuildNetError]
) -> None:
    members = SimpleNamespace(members={ME: SimpleNamespace(rights=rights)}, is_member=lambda key: 1)
    office = SimpleNamespace(coordinator=COORDINATOR) if has_office else None
    local: Any = SimpleNamespace(key=ME, members=members, office=office, links={})
    with pytest.raises(error):
        asyncio.run(QueueAsking(local, lambda to, message: None).look())
