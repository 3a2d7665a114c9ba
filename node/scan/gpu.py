"""Graphics processors, if the vendor's usual tool is there to tell."""

from __future__ import annotations

import csv
import json
import re
import shutil
from typing import Any

from buildnet.node.scan import macos
from buildnet.node.scan.probe import Prober
from buildnet.pool.resources import Gpu

_MIB = 1024 * 1024


def scan_gpus(prober: Prober) -> tuple[Gpu, ...]:
    """Ask nvidia-smi and rocm-smi, or system_profiler on macOS; none of them: an empty list."""
    if macos.IS_MACOS:
        return parse_displays(macos.profile(prober, "SPDisplaysDataType"))
    found: list[Gpu] = []
    if nvidia := shutil.which("nvidia-smi", path=prober.search_path):
        query = "--query-gpu=name,memory.total,driver_version"
        outcome = prober.run([nvidia, query, "--format=csv,noheader,nounits"], merge_stderr=False)
        if outcome.succeeded:
            found.extend(parse_nvidia(outcome.output))
    if rocm := shutil.which("rocm-smi", path=prober.search_path):
        arguments = ["--showproductname", "--showmeminfo", "vram", "--showdriverversion", "--json"]
        outcome = prober.run([rocm, *arguments], merge_stderr=False)
        if outcome.succeeded:
            found.extend(parse_rocm(outcome.output))
    return tuple(found)


def parse_nvidia(text: str) -> list[Gpu]:
    """Read lines such as ``NVIDIA A100-SXM4-40GB, 40960, 535.104.05`` (MiB)."""
    gpus = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) != 3 or not row[0].strip():
            continue
        name, memory, driver = (field.strip() for field in row)
        known = memory.isascii() and memory.isdigit()
        gpus.append(
            Gpu(
                name=name,
                vendor="NVIDIA",
                memory_bytes=int(memory) * _MIB if known else None,
                driver=driver if re.match(r"\d", driver) else None,
            )
        )
    return gpus


def parse_rocm(text: str) -> list[Gpu]:
    """Read rocm-smi's JSON: one object a card, and ``system`` with the driver."""
    try:
        answer: Any = json.loads(text)
    except ValueError:
        return []
    if not isinstance(answer, dict):
        return []
    system = answer.get("system")
    driver = system.get("Driver version") if isinstance(system, dict) else None
    gpus = []
    for key, card in sorted(answer.items()):
        if not key.startswith("card") or not isinstance(card, dict):
            continue
        names = ("Card Series", "Card series", "Card Model", "Card model")
        name = next((str(card[one]) for one in names if card.get(one)), None)
        memory = str(card.get("VRAM Total Memory (B)", ""))
        gpus.append(
            Gpu(
                name=name or key,
                vendor="AMD",
                memory_bytes=int(memory) if memory.isascii() and memory.isdigit() else None,
                driver=str(driver) if driver else None,
            )
        )
    return gpus


def parse_displays(items: list[dict[str, Any]]) -> tuple[Gpu, ...]:
    """Read system_profiler's SPDisplaysDataType; Apple's own chips share the host's memory."""
    gpus = []
    for item in items:
        name = item.get("sppci_model") or item.get("_name")
        if not name:
            continue
        vendor = str(item.get("spdisplays_vendor", "")).removeprefix("sppci_vendor_")
        memory = re.match(r"(\d+)\s*(MB|GB)", str(item.get("spdisplays_vram", "")))
        scale = {"MB": _MIB, "GB": 1024 * _MIB}
        gpus.append(
            Gpu(
                name=str(name),
                vendor=vendor.partition(" (")[0] or None,
                memory_bytes=int(memory.group(1)) * scale[memory.group(2)] if memory else None,
            )
        )
    return tuple(gpus)
