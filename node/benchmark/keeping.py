"""This host's benchmark: run when there is nothing else to do, kept on disk, run again when what it
was measured on is another one."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from buildnet.mesh.errors import BuildNetError
from buildnet.pool.benchmark import VERSION, Benchmark

LOOK_EVERY_S = 15.0
"""So long after the start, and then so often, it is looked whether it is to be run."""
_AGAIN_S = 600.0
"""So long after it failed it is tried again."""
_MOST_S = 60.0
_log = logging.getLogger("buildnet.node")


class BenchmarkError(BuildNetError):
    """The host could not be measured."""

    code = "BENCHMARK_FAILED"
    http_status = 503


@dataclass(slots=True)
class Benchmarks:
    """See the module's text. ``file``: where it is kept; ``directory``: lies on the volume that is
    measured; ``cpu_model``: what this host has now; ``is_idle``: whether it has nothing to do."""

    file: Path
    directory: Path
    cpu_model: Callable[[], str | None]
    is_idle: Callable[[], bool]
    latest: Benchmark | None = None
    _running: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        with suppress(OSError, ValidationError, ValueError):
            self.latest = Benchmark.model_validate_json(self.file.read_bytes(), extra="ignore")

    @property
    def is_due(self) -> bool:
        """Whether there is none of this version, or it is of another processor."""
        known = self.latest
        if known is None or known.version != VERSION:
            return True
        return known.cpu_model is not None and known.cpu_model != self.cpu_model()

    async def run_when_due(self) -> None:
        """Measure when that is due and the host has nothing to do, as long as the node runs."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.is_due and self.is_idle() and not self._running.locked():
                try:
                    await self.run()
                except BenchmarkError as error:
                    _log.warning("%s: %s", error.message, error.cause)
                    await asyncio.sleep(_AGAIN_S)

    async def run(self) -> Benchmark:
        """Measure now, in a process of its own at the lowest priority; two seconds at most where
        nothing else runs.

        Raises:
            BenchmarkError: that failed; what was measured before stays in use.
        """
        async with self._running:
            said = await self._measured()
            try:
                self.latest = Benchmark.model_validate(
                    {
                        **json.loads(said),
                        "version": VERSION,
                        "cpu_model": self.cpu_model(),
                        "measured_at": datetime.now(UTC),
                    }
                )
            except ValueError as error:
                raise _failed(f"it says {said[:200]!r}") from error
            await asyncio.to_thread(self._keep, self.latest)
            return self.latest

    async def _measured(self) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "buildnet.node.benchmark", str(self.directory)),
                stdin=asyncio.subprocess.PIPE,  # which ends with the node, and the process with it
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd="/",
            )
        except (OSError, RuntimeError) as error:  # the host has no room for a process, or a thread
            raise _failed(f"no process can be started: {error}") from error
        try:
            async with asyncio.timeout(_MOST_S):
                assert process.stdout is not None
                assert process.stderr is not None
                said = await process.stdout.read()
                wrong = await process.stderr.read()
                code = await process.wait()
        except TimeoutError:
            raise _failed(f"it took more than {_MOST_S:.0f} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if code:
            raise _failed(wrong.decode(errors="replace").strip()[-400:] or f"exit code {code}")
        return said

    def _keep(self, found: Benchmark) -> None:
        temporary = self.file.with_suffix(".new")
        try:
            temporary.touch(0o600)
            temporary.write_text(found.model_dump_json(indent=2) + "\n")
            os.replace(temporary, self.file)
        except OSError as error:  # a full volume: it is measured again at the next start
            _log.warning("the benchmark can't be kept: %s", error)


def _failed(cause: str) -> BenchmarkError:
    return BenchmarkError(
        "this host could not be measured",
        cause=cause,
        hint="try again: buildnet node benchmark",
    )
