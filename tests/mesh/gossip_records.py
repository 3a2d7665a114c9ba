"""One node's gossip among five members, and records that they sign."""

from __future__ import annotations

from buildnet.mesh.events import LinkState
from buildnet.mesh.gossip.core import Gossip
from buildnet.mesh.gossip.records import Record, sign_record
from buildnet.mesh.local import Local
from testbed.core_network import keys_of, local_of, member_list

KEYS = keys_of(5)
ME, ANN, BEN, COY, DAN = KEYS
MEMBERS = member_list(KEYS)
EVERYBODY = (bytes(32), b"\xff" * 32)


def gossip_of(key: bytes = ME, links: tuple[bytes, ...] = (ANN, BEN)) -> tuple[Local, Gossip]:
    local = local_of(key, MEMBERS)
    local.links = {peer: LinkState(True, 0.0) for peer in links}
    return local, Gossip(local)


def record_of(
    key: bytes, topic: str, version: int = 1, body: bytes = b"x", boot: int = 5
) -> Record:
    return sign_record(local_of(key, MEMBERS, boot=boot), topic, version, body)
