"""Who checks signatures without a key of their own."""

from __future__ import annotations

from buildnet.mesh.identity import is_signed_by


class Anybody:
    """Somebody outside of every cluster: checks, and signs nothing."""

    def sign(self, message: bytes) -> bytes:
        """Fail: there is no key."""
        raise NotImplementedError("who only checks signs nothing")

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` of ``message`` is by ``key``."""
        return is_signed_by(key, message, signature)


ANYBODY = Anybody()
