"""Where a node keeps its register of keys: one file a cluster in its data directory, mode 0600.

It is read before anything is answered, and written as a whole, so there is either the old or the
new one after a crash. What the crash took away, other nodes tell again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from buildnet.ledger.store.disk import sync
from buildnet.mesh import cbor
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.wire import WireError
from buildnet.node.auth.register import Register
from buildnet.pool.messages.keys import KeyEnded, KeyMade

_FORMAT = "buildnet keys 1"
_log = logging.getLogger("buildnet.node")


class KeysWriteError(BuildNetError):
    """What is known of keys can't be kept in the data directory."""

    code = "KEYS_KEPT"


class RegisterFile:
    """The registers in ``directory``, of which one is in use at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._register: Register | None = None
        self._turn = asyncio.Lock()

    def of(self, cluster_id: bytes) -> Register:
        """Return the register of a cluster; it is read where the cluster is another than before."""
        if self._register is None or self._register.cluster_id != cluster_id:
            self._register = self._read(cluster_id)
        return self._register

    async def save(self, register: Register) -> None:
        """Have a register on the disk.

        Raises:
            KeysWriteError: it can't be written.
        """
        async with self._turn:
            made = [one.record.as_array() for one in register.made.values()]
            ended = [one.as_array() for one in register.ended.values()]
            if register.problem is not None:
                return  # what could not be read is not written over
            data = cbor.encode([_FORMAT, made, ended])
            await asyncio.to_thread(write_private, self._path(register.cluster_id), data)

    def _path(self, cluster_id: bytes) -> Path:
        return self._directory / f"keys-{cluster_id.hex()[:16]}.cbor"

    def _read(self, cluster_id: bytes) -> Register:
        register, path = Register(cluster_id), self._path(cluster_id)
        try:
            data = path.read_bytes()
            found, made, ended = cbor.decode(data, max_bytes=len(data))
            if found != _FORMAT:
                raise ValueError("another format")
            for one in made:
                register.restore(KeyMade.from_array(one))
            for one in ended:
                register.restore(KeyEnded.from_array(one))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, cbor.CborError, WireError) as error:
            register.problem = f"{path.name} in the data directory can't be read"
            _log.error("%s can't be read, so no key counts: %s", path, error)
        return register


def write_private(path: Path, data: bytes) -> None:
    """Have a file of the data directory on the disk, whole or as it was, mode 0600.

    Raises:
        KeysWriteError: it can't be written.
    """
    partial = path.with_suffix(".part")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync(path.parent)
    except OSError as error:
        raise KeysWriteError(
            "what is known of keys can't be kept",
            cause=str(error.strerror or error),
            hint="check the room and permissions of the data directory",
        ) from error
