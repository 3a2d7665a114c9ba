"""Network interfaces: names, addresses, speed if the driver tells it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

import psutil

from buildnet.pool.resources import NetworkInterface

# What drivers answer that do not know: -1 as an unsigned number of 16 or 32 bits.
_UNKNOWN_SPEEDS = {0, 65535, 4294967295}


def scan_network() -> tuple[NetworkInterface, ...]:
    """Return the interfaces that are up or have an address, the loopback one left out."""
    try:
        addresses = {
            name: [one.address for one in found] for name, found in psutil.net_if_addrs().items()
        }
        states = {
            name: (found.isup, found.speed, "loopback" in found.flags.split(","))
            for name, found in psutil.net_if_stats().items()
        }
    except OSError:
        # Some sandboxes forbid the sockets that this is asked through.
        return ()
    return describe(addresses, states)


def describe(
    addresses: Mapping[str, Sequence[str]], states: Mapping[str, tuple[bool, int, bool]]
) -> tuple[NetworkInterface, ...]:
    """Build the list from addresses and (up, speed, loopback) by interface name."""
    interfaces = []
    for name in sorted({*addresses, *states}):
        up, speed_mbps, loopback = states.get(name, (False, 0, False))
        found = tuple(filter(None, (ip_address(one) for one in addresses.get(name, ()))))
        if loopback or not (found or up):
            continue
        if found and all(ipaddress.ip_address(one).is_loopback for one in found):
            continue
        unknown = speed_mbps < 0 or speed_mbps in _UNKNOWN_SPEEDS
        interfaces.append(
            NetworkInterface(
                name=name,
                addresses=found,
                speed_mbps=None if unknown else speed_mbps,
                up=up,
            )
        )
    return tuple(interfaces)


def ip_address(text: str) -> str | None:
    """Return an IP address without its scope (``%eth0``), or None for a hardware address."""
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None
