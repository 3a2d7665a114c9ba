"""What nodes say to each other: one record a kind, and the table of all kinds."""

from buildnet.mesh.messages.kinds import (
    Message,
    MessageKind,
    Priority,
    decode_message,
    kinds,
    message,
)

__all__ = ["Message", "MessageKind", "Priority", "decode_message", "kinds", "message"]
