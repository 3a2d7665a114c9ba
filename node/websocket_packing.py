"""Long messages of a WebSocket come packed to who takes that (permessage-deflate, RFC 7692): the
first one of a hundred nodes is 600 KiB of JSON.

Each message is packed by itself, so neither side keeps anything between messages, and what many
readers are told is packed once for all of them. What comes is unpacked only so far as a client has
something to say, so no bomb can be hidden in it, nor many small ones.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from websockets.exceptions import PayloadTooBig
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import CTRL_OPCODES, Frame, Opcode
from websockets.typing import ExtensionParameter

FROM_BYTES = 4 * 1024
UNPACKED_MAX_BYTES = 64 * 1024
"""So much may come of what is read at once, and of one message in pieces."""
LEVEL = 1
_KEPT = 8
_KEPT_MAX_BYTES = 128 * 1024
_END = b"\x00\x00\xff\xff"
"""What a packed message ends with, and is sent without (RFC 7692, section 7.2.1)."""


class Packing(ServerPerMessageDeflateFactory):
    """Agrees with clients on packing."""

    def __init__(self) -> None:
        super().__init__(server_no_context_takeover=True, client_no_context_takeover=True)
        self._packed: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Return what to answer a client's offer, and what packs its messages."""
        answer, agreed = super().process_request_params(params, accepted_extensions)
        windows = agreed.remote_max_window_bits, agreed.local_max_window_bits
        return answer, Packed(self, *windows)

    def packed(self, data: bytes, window_bits: int) -> bytes:
        """Return a message packed; the latest ones are known still."""
        key = data, window_bits
        found = self._packed.get(key)
        if found is None:
            packing = zlib.compressobj(LEVEL, wbits=-window_bits)
            found = packing.compress(data) + packing.flush(zlib.Z_SYNC_FLUSH)
            found = found.removesuffix(_END)
            if len(data) <= _KEPT_MAX_BYTES:
                self._packed[key] = found
                if len(self._packed) > _KEPT:
                    self._packed.popitem(last=False)
        return found


class Packed(PerMessageDeflate):
    """One connection's part of it."""

    def __init__(self, packing: Packing, remote_bits: int, local_bits: int) -> None:
        super().__init__(True, True, remote_bits, local_bits)
        self._packing = packing
        self._room = UNPACKED_MAX_BYTES

    def begin(self) -> None:
        """Take note that all messages that were unpacked are taken from here."""
        self._room = UNPACKED_MAX_BYTES

    def encode(self, frame: Frame) -> Frame:
        """Return a frame to send: packed, if it is a whole message and a long one."""
        if frame.opcode is not Opcode.TEXT or not frame.fin or len(frame.data) < FROM_BYTES:
            return frame
        data = self._packing.packed(bytes(frame.data), self.local_max_window_bits)
        return replace(frame, data=data, rsv1=True)

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """Return a frame that came, unpacked.

        Raises:
            PayloadTooBig: more comes of it than there is room for.
        """
        if frame.opcode in CTRL_OPCODES or not (frame.rsv1 or self.decode_cont_data):
            return super().decode(frame, max_size=max_size)
        room = self._room if max_size is None else min(self._room, max_size)
        if room <= 0:
            raise PayloadTooBig(None, UNPACKED_MAX_BYTES)
        unpacked = super().decode(frame, max_size=room)
        self._room -= len(unpacked.data)
        return unpacked
