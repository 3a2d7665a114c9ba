"""One link: dialling, handshake, frames, envelopes, relays."""
