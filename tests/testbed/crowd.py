"""A pool of many members around one real node, which hears of them though none of them runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from buildnet.mesh.identity import node_id_of
from buildnet.mesh.service.service import HeldRecord
from buildnet.mesh.service.view import MeshView
from buildnet.node.service import NodeService
from buildnet.pool.advertisement import LINKS, LOAD, PROFILE, Links
from buildnet.pool.testing import member_view


class Crowd:
    """``size`` members, this node included; each tells what this node has, and of its links with
    all others."""

    def __init__(self, service: NodeService, size: int) -> None:
        self._view = service.mesh.view
        # A node's id is the beginning of its key.
        keys = [sha256(str(number).encode()).digest() for number in range(1, size)]
        self._members = tuple(
            member_view(key, f"member-{number:03}") for number, key in enumerate(keys)
        )
        profile, load = service.advertiser.profile(), service.advertiser.load(0.001)
        ids = {key: node_id_of(key) for key in keys}
        links = {
            key: Links(round_trip_ms={ids[other]: 0.4 for other in keys if other != key})
            for key in keys
        }
        now = time.time()
        self._records = {
            PROFILE: {
                key: HeldRecord(
                    key, 1, 1, profile.model_copy(update={"name": member.name}).fitting(), now
                )
                for key, member in zip(keys, self._members, strict=True)
            },
            LOAD: {key: HeldRecord(key, 1, 1, load.encode(), now) for key in keys},
            LINKS: {key: HeldRecord(key, 1, 1, links[key].encode(), now) for key in keys},
        }
        self._own_records = service.mesh.records
        self._bump = service.mesh._bump
        self._keys, self._load = keys, load

    def tell(self, number: int, **changes: object) -> None:
        """Have one of them, by its number, tell a load that is like the one before but for this."""
        key = self._keys[number % len(self._keys)]
        before, load = self._records[LOAD][key], self._load.model_copy(update=changes)
        self._records[LOAD][key] = replace(
            before, version=before.version + 1, body=load.encode(), received=time.time()
        )
        self._bump()

    def records(self, topic: str) -> Mapping[bytes, HeldRecord]:
        """Return what all tell of a topic."""
        return {**self._own_records(topic), **self._records.get(topic, {})}

    def view(self) -> MeshView:
        """Return the mesh with all of them."""
        seen = self._view()
        there = tuple(
            replace(member, status_since=seen.at - 60, last_heard=seen.at - 0.5)
            for member in self._members
        )
        return replace(seen, members=(*seen.members, *there))
