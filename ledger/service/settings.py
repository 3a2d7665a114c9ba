"""What the owner of a node says of the ledger's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from buildnet.ledger.store.vault import Vault, load_key

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """``retention_s``: what entries say is forgotten after so long; None: never. ``scrub_s``: pause
    between two readings of everything. ``key_file``: the key that the file is encrypted with; None:
    it is not. ``former_key_file``: the one that it was encrypted with before."""

    retention_s: float | None = None
    scrub_s: float = DAY_S / 4
    key_file: Path | None = None
    former_key_file: Path | None = None

    def vault(self) -> Vault:
        """Return what the file is to be written with.

        Raises:
            VaultError: the key can't be read.
        """
        return _vault(self.key_file)

    def former_vaults(self) -> tuple[Vault, ...]:
        """Return what the file may have been written with before: no key, or the former one.

        Raises:
            VaultError: the key can't be read.
        """
        return (Vault(), _vault(self.former_key_file)) if self.former_key_file else (Vault(),)


DEFAULT = LedgerSettings()


def _vault(key_file: Path | None) -> Vault:
    return Vault() if key_file is None else Vault(load_key(key_file))
