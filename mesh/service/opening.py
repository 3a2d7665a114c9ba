"""From files to a cluster: reading a node's state, founding a cluster, taking another one over."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.errors import UsageError
from buildnet.mesh.events import BootFact, Fact, Persist
from buildnet.mesh.identity import KeySignatures, NodeKey, load_or_create, save
from buildnet.mesh.link.dialing import node_url
from buildnet.mesh.local import Local
from buildnet.mesh.members.chain import Chain
from buildnet.mesh.members.entry import CommitProof
from buildnet.mesh.members.facts import GenesisFact, facts_of
from buildnet.mesh.members.genesis import Genesis, Role, check_name, looks_like_node_id
from buildnet.mesh.members.log import MemberLog
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.service.cluster import Cluster, Watch
from buildnet.mesh.service.state import StateDirectory
from buildnet.mesh.service.store import MeshStore
from buildnet.mesh.wire import Text

_log = logging.getLogger("buildnet.mesh")


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """How a node takes part.

    ``directory`` holds ``mesh.db`` and, at a founder, ``cluster.key``. ``addresses`` are the URLs
    (``http://host:port``) under which others may reach this node; empty: nobody can dial it.
    ``seeds`` are addresses that are tried again for ever. ``proxies``: dial through the proxies
    that the environment names. ``lan_addresses``, URLs of this host's own, are announced on the
    local network, and other nodes are looked for there; empty: neither. ``key_path`` holds the
    node's key; beside it waits one whose rotation was interrupted, which is settled while the node
    runs.
    """

    directory: Path
    name: str
    role: Role | None = None
    """None: what it is invited as, and a worker where it founds."""
    addresses: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()
    lan_addresses: tuple[str, ...] = ()
    proxies: bool = False
    key_path: Path | None = None

    def __post_init__(self) -> None:
        try:
            if not 1 <= len(self.name) <= 128:
                raise ValueError("a name has 1 to 128 characters")
            check_name(self.name)
            if looks_like_node_id(self.name):
                raise ValueError("16 hexadecimal digits are a node id, not a name")
        except ValueError as error:
            raise UsageError(
                f"{self.name!r} can't be a node's name",
                cause=str(error),
                hint="choose another: --name of buildnet node start, or node_name in node.yaml",
            ) from error


@dataclass(frozen=True, slots=True)
class SeedFact(Fact):
    """Where this node joined: dialled at every start, until others' addresses are known too."""

    address: Text

    def name(self) -> str:
        """One for the node."""
        return "seed"


def upcoming_key_path(path: Path) -> Path:
    """Return where the key waits that shall take the place of the one at ``path``."""
    return path.with_name(f"{path.stem}-next{path.suffix}")


async def settle_rotation(path: Path, directory: Path) -> None:
    """Finish a rotation of the key at ``path`` that a crash interrupted; to be called before the
    key is read. ``directory`` holds the mesh's state.

    Raises:
        MeshStateError, IdentityError: state or keys can't be read or written.
    """
    upcoming, state = upcoming_key_path(path), StateDirectory(directory)
    state.settle()
    if not (upcoming.exists() and path.exists() and state.facts.exists()):
        return
    old, new = load_or_create(path), load_or_create(upcoming)
    store = await MeshStore.open(state.facts)
    try:
        facts = await store.load()
        genesis = next((one.genesis for one in facts if isinstance(one, GenesisFact)), None)
        if genesis is None:
            return
        local = _local(old, genesis, 0)
        MemberLog(local, facts=facts)
        if local.members.current(old.public_key) != new.public_key:
            _log.warning(
                "a rotation of this node's key was interrupted and is not confirmed here; if the "
                "other nodes refuse this one, it asks them, and goes on under %s once they confirm",
                upcoming,
            )
            return
        boots = (one.boot for one in facts if isinstance(one, BootFact) and one.node == local.key)
        await store.write([Persist(0, (BootFact(new.public_key, max(boots, default=0)),))])
    finally:
        await store.close()
    upcoming.rename(path)


def now_ms() -> int:
    """Return milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def next_boot(last: int) -> int:
    """Return the boot number after ``last``; a lost state is made up for by the clock."""
    return max(last + 1, int(time.time()))


async def open_cluster(
    key: NodeKey, settings: MeshSettings, state: StateDirectory, watch: Watch, last_boot: int = 0
) -> Cluster:
    """Read the state on disk, or found a cluster of one where there is none.

    Raises:
        MeshStateError: it can't be read or written.
    """
    store = await MeshStore.open(state.facts)
    try:
        facts = await store.load()
        genesis = next((one.genesis for one in facts if isinstance(one, GenesisFact)), None)
        own = next(
            (one for one in facts if isinstance(one, BootFact) and one.node == key.public_key), None
        )
        if genesis is not None and own is None:
            # The state of another identity: node.key was moved away for a new one.
            await store.close()
            state.set_aside(genesis.cluster_id)
            return await open_cluster(key, settings, state, watch, last_boot)
        boot = next_boot(max(last_boot, own.boot if own else 0))
        news: list[Fact] = [BootFact(key.public_key, boot)]
        if genesis is None:
            genesis, founding = _found(key, settings, state.new_cluster_key())
            news = [*founding, *news]
        elif state.cluster_key.exists() and state.recovery_key(genesis.cluster_key) is None:
            state.set_aside_cluster_key(bytes(8))  # a crash came between two clusters
        await store.write([Persist(0, tuple(news))])
        facts = (*(fact for fact in facts if fact is not own), *news)
        return _cluster(key, settings, store, facts, genesis, boot, watch)
    except BaseException:
        await store.close()
        raise


async def prepare_founding(key: NodeKey, settings: MeshSettings, state: StateDirectory) -> None:
    """Write the state of a new cluster of one beside the present one.

    Raises:
        MeshStateError, IdentityError: it can't be written; nothing is left of it.
    """
    cluster_key = NodeKey.generate()
    _, facts = _found(key, settings, cluster_key)
    await _write_next(state, facts)
    try:
        save(state.next_cluster_key, cluster_key)
    except BaseException:
        state.discard_next()
        raise


async def prepare_joining(
    chain: Chain, address: str, key: NodeKey, state: StateDirectory, kept: Iterable[Fact] = ()
) -> None:
    """Write the state of a cluster that let this node in beside the present one. ``kept``: what it
    knows from an earlier time in the same cluster."""
    facts = facts_of(chain.genesis, chain.entries, chain.proof)
    await _write_next(
        state, (BootFact(key.public_key, 0), *kept, *facts, SeedFact(node_url(address)))
    )


def _found(
    key: NodeKey, settings: MeshSettings, cluster_key: NodeKey
) -> tuple[Genesis, tuple[Fact, ...]]:
    members = MemberList.found(
        cluster_key,
        key,
        name=settings.name,
        founder_name=settings.name,
        founder_role=settings.role or Role.WORKER,
        created=HybridClock(now_ms).now(),
        nonce=os.urandom(16),
    )
    proof = CommitProof(0, bytes(32), 0, members.cluster_id, ())
    facts = facts_of(members.genesis, (), proof)
    return members.genesis, (*facts, BootFact(key.public_key, 0))


async def _write_next(state: StateDirectory, facts: Iterable[Fact]) -> None:
    state.discard_next()
    try:
        store = await MeshStore.open(state.next_facts)
        try:
            await store.write([Persist(0, tuple(facts))])
        finally:
            await store.close()
    except BaseException:
        state.discard_next()
        raise


def _cluster(
    key: NodeKey,
    settings: MeshSettings,
    store: MeshStore,
    facts: tuple[Fact, ...],
    genesis: Genesis,
    boot: int,
    watch: Watch,
) -> Cluster:
    local = _local(key, genesis, boot)
    joined_at = tuple(fact.address for fact in facts if isinstance(fact, SeedFact))
    return Cluster(
        key,
        local,
        store,
        facts,
        watch,
        seeds=tuple(node_url(seed) for seed in (*settings.seeds, *joined_at)),
        addresses=settings.addresses,
        proxies=settings.proxies,
    )


def _local(key: NodeKey, genesis: Genesis, boot: int) -> Local:
    signatures = KeySignatures(key)
    return Local(
        key.public_key,
        boot,
        signatures,
        random.Random(os.urandom(32)),
        HybridClock(now_ms),
        MemberList.of(genesis, signatures),
    )
