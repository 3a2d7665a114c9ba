"""Network interfaces and graphics processors."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from buildnet.node.scan import macos
from buildnet.node.scan.gpu import parse_displays, parse_nvidia, parse_rocm, scan_gpus
from buildnet.node.scan.network import describe, ip_address, scan_network
from buildnet.node.scan.probe import Prober
from buildnet.pool.resources import Gpu, NetworkInterface

GIB = 1024**3


def test_interfaces_with_addresses_and_speed() -> None:
    addresses = {
        "lo": ["127.0.0.1", "::1"],
        "eth0": ["192.168.1.5", "fe80::1%eth0", "02:fc:00:00:00:01"],
        "wlan0": [],
        "tun0": ["10.8.0.2"],
        "ifb0": ["ae:e9:24:5b:15:d2"],
    }
    states = {
        "lo": (True, 0, True),
        "eth0": (True, 1000, False),
        "wlan0": (True, 0, False),
        "tun0": (False, 65535, False),
        "ifb0": (False, 0, False),
    }
    assert describe(addresses, states) == (
        NetworkInterface(
            name="eth0", addresses=("192.168.1.5", "fe80::1"), speed_mbps=1000, up=True
        ),
        NetworkInterface(name="tun0", addresses=("10.8.0.2",), speed_mbps=None, up=False),
        NetworkInterface(name="wlan0", up=True),
    )


def test_no_loopback_on_systems_that_do_not_flag_it() -> None:
    assert describe({"lo0": ["127.0.0.1", "::1"]}, {"lo0": (True, 0, False)}) == ()


def test_this_host() -> None:
    for interface in scan_network():
        assert interface.speed_mbps is None or interface.speed_mbps > 0
        assert all(ip_address(one) == one for one in interface.addresses)


def test_nvidia() -> None:
    text = "NVIDIA A100-SXM4-40GB, 40960, 535.104.05\nNVIDIA GB10, [N/A], 580.1\nNo devices found\n"
    assert parse_nvidia(text) == [
        Gpu(
            name="NVIDIA A100-SXM4-40GB",
            vendor="NVIDIA",
            memory_bytes=40 * GIB,
            driver="535.104.05",
        ),
        Gpu(name="NVIDIA GB10", vendor="NVIDIA", driver="580.1"),
    ]


def test_rocm() -> None:
    text = (
        '{"card0": {"Card Series": "Radeon RX 7900", "VRAM Total Memory (B)": "17163091968"},'
        ' "card1": {}, "system": {"Driver version": "6.3.6"}}'
    )
    assert parse_rocm(text) == [
        Gpu(name="Radeon RX 7900", vendor="AMD", memory_bytes=17163091968, driver="6.3.6"),
        Gpu(name="card1", vendor="AMD", driver="6.3.6"),
    ]


def test_macos() -> None:
    items = macos.parse_profile(
        '{"SPDisplaysDataType": [{"_name": "Apple M3 Pro", "sppci_model": "Apple M3 Pro",'
        ' "spdisplays_vendor": "sppci_vendor_Apple", "sppci_cores": "18"},'
        ' {"sppci_model": "AMD Radeon Pro 5300M", "spdisplays_vram": "4 GB",'
        ' "spdisplays_vendor": "sppci_vendor_amd (0x1002)"}]}',
        "SPDisplaysDataType",
    )
    assert parse_displays(items) == (
        Gpu(name="Apple M3 Pro", vendor="Apple"),
        Gpu(name="AMD Radeon Pro 5300M", vendor="amd", memory_bytes=4 * GIB),
    )


def test_the_usual_tool_is_asked(tmp_path: Path) -> None:
    if macos.IS_MACOS:
        return
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho warning >&2\necho 'Tesla T4, 15360, 550.54.15'\n")
    tool.chmod(0o755)
    (found,) = scan_gpus(Prober.of_process(f"{tmp_path}:/bin"))
    assert (found.name, found.memory_bytes) == ("Tesla T4", 15 * GIB)
    tool.write_text("#!/bin/sh\necho 'Driver not loaded, 0, 0'\nexit 9\n")
    assert scan_gpus(Prober.of_process(f"{tmp_path}:/bin")) == ()


@given(st.text(max_size=300))
def test_parsers_take_any_text(text: str) -> None:
    parse_nvidia(text)
    parse_rocm(text)
    ip_address(text)
