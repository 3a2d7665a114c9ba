"""The platform that a command asks for, where it is not just any. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

ARCHITECTURES = {"x86_64": "x86-64", "amd64": "x86-64", "arm64": "aarch64"}
"""Other names of architectures, by what keys call them."""
_PROPERTIES = {"os": "OSFamily", "arch": "ISA", "libc": "libc", "release": "release"}


@dataclass(frozen=True, slots=True)
class WantedPlatform:
    """What a command asks of its host's platform; None: nothing. ``libc`` and ``release`` may name
    a version (``glibc 2.36``) or leave it open (``musl``)."""

    os: str | None = None
    arch: str | None = None
    libc: str | None = None
    release: str | None = None

    def accepts(self, properties: Mapping[str, str]) -> bool:
        """Tell whether a host does, by the properties of its platform as keys have them."""
        return all(
            f"{properties.get(_PROPERTIES[name], '')} ".startswith(f"{wanted} ")
            for name, wanted in self.as_dict().items()
        )

    def as_dict(self) -> dict[str, str]:
        """Return what it asks for, by name."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in said.items() if value is not None}

    def __str__(self) -> str:
        return ", ".join(self.as_dict().values())


def platform_text(properties: Mapping[str, str]) -> str:
    """Return a host's platform in words."""
    return ", ".join(properties[key] for key in _PROPERTIES.values() if key in properties)
