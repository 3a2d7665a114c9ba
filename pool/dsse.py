"""DSSE: a payload with the signatures of those who vouch for it, as JSON.

Dead Simple Signing Envelope, version 1 (``secure-systems-lab/dsse``): what is signed is not the
JSON, of which there are many spellings, but an encoding of the payload's type and bytes. Keys are
Ed25519; a ``keyid`` is the public key in hexadecimal.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Any, Self

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey, is_signed_by

MAX_ENVELOPE_BYTES = 64 * 1024 * 1024
"""As a file, with all that is in it."""
_MAX_SIGNATURES = 16


class EnvelopeError(BuildNetError):
    """A file that is no signed envelope, or one whose signatures do not hold."""

    code = "ENVELOPE"
    http_status = 400


@dataclass(frozen=True, slots=True)
class Signed:
    """One signature; ``key``: 32 bytes, ``signature``: 64."""

    key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and who signed it. ``more``: fields of the JSON that no signature covers."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signed, ...]
    more: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "payloadType": self.payload_type,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [
                {"keyid": one.key.hex(), "sig": base64.b64encode(one.signature).decode()}
                for one in self.signatures
            ],
            **self.more,
        }

    @classmethod
    def of_dict(cls, found: object) -> Self:
        """Read the JSON form, of any origin; nothing of it is checked yet.

        Raises:
            EnvelopeError: it is none.
        """
        try:
            if not isinstance(found, dict):
                raise TypeError("it is no JSON object")
            rest = dict(found)
            payload_type, payload = rest.pop("payloadType"), rest.pop("payload")
            signatures = rest.pop("signatures")
            if not isinstance(payload_type, str) or not isinstance(signatures, list):
                raise TypeError("payloadType has to be a text, signatures a list")
            if not 0 < len(signatures) <= _MAX_SIGNATURES:
                raise ValueError(f"it has {len(signatures)} signatures")
            return cls(
                payload_type,
                _decoded(payload),
                tuple(
                    Signed(bytes.fromhex(one["keyid"]), _decoded(one["sig"])) for one in signatures
                ),
                rest,
            )
        except KeyError as error:
            raise _no_envelope(f"{error.args[0]} is missing") from error
        except (TypeError, ValueError) as error:
            raise _no_envelope(str(error)) from error

    @classmethod
    def of_text(cls, text: bytes) -> Self:
        """Read the content of a file, of any origin; nothing of it is checked yet.

        Raises:
            EnvelopeError: it is no envelope.
        """
        if len(text) > MAX_ENVELOPE_BYTES:
            raise _no_envelope(f"it has more than {MAX_ENVELOPE_BYTES} bytes")
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _no_envelope("it is no JSON") from error
        return cls.of_dict(found)

    def signers(self) -> tuple[bytes, ...]:
        """Return the keys whose signatures are theirs.

        Raises:
            EnvelopeError: one of the signatures is not.
        """
        said = pre_authentication(self.payload_type, self.payload)
        for one in self.signatures:
            if not is_signed_by(one.key, said, one.signature):
                raise EnvelopeError(
                    f"the signature of {one.key.hex()[:16]} does not fit what is signed",
                    hint="the file was changed after it was signed: ask for it again",
                )
        return tuple(one.key for one in self.signatures)


def seal(payload_type: str, payload: bytes, key: NodeKey) -> Envelope:
    """Return a payload signed by a node's key."""
    said = pre_authentication(payload_type, payload)
    return Envelope(payload_type, payload, (Signed(key.public_key, key.sign(said)),))


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: the PAE of DSSE, version 1."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _decoded(text: object) -> bytes:
    """Return the bytes of base64 of the standard's or the URL's alphabet, as DSSE allows both."""
    if not isinstance(text, str):
        raise TypeError("payload and sig have to be texts")
    try:
        plain = text.replace("-", "+").replace("_", "/")
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("payload and sig have to be base64") from error


def _no_envelope(why: str) -> EnvelopeError:
    return EnvelopeError(
        "this is no signed envelope (DSSE)",
        cause=why,
        hint="buildnet audit attest writes them",
    )
