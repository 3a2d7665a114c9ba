"""How fast a host is: what a benchmark measured there, as the others are told it.

One *unit* is one round a second of a fixed mix of work (:mod:`buildnet.node.benchmark.cpu`). Units
of one version can be compared between hosts, whatever they are.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from buildnet.pool.resources import CpuResources, ResourceModel

VERSION = 1
"""Of the mix of work; what another version measured is not compared."""
_MOST = 1e9


class Benchmark(ResourceModel):
    """``cpu_units``: of one core; ``read_mib_s``, ``write_mib_s``: of files one after the other, to
    the device; ``writes_per_s``: small ones that are on the device, one after the other; None: it
    could not be measured. ``cpu_model``: what it was measured on."""

    version: int = VERSION
    cpu_units: float = Field(gt=0, le=_MOST, allow_inf_nan=False)
    read_mib_s: float | None = Field(default=None, gt=0, le=_MOST, allow_inf_nan=False)
    write_mib_s: float | None = Field(default=None, gt=0, le=_MOST, allow_inf_nan=False)
    writes_per_s: float | None = Field(default=None, gt=0, le=_MOST, allow_inf_nan=False)
    cpu_model: str | None = Field(default=None, max_length=256)
    measured_at: datetime

    def units_per_slot(self, slots: int, cpu: CpuResources | None) -> float | None:
        """Return how fast a command runs where ``slots`` of them run at once; None: it was measured
        by another version."""
        if self.version != VERSION:
            return None
        cores = slots if cpu is None else cpu.cores
        return self.cpu_units * min(1.0, cores / max(1, slots))
