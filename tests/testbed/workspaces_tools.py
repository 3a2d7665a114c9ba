"""Build tools that a benchmark runs side by side, each on a generated workspace of its own."""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from testbed.workspaces_generated import COMMAND, Generated

_PATIENCE_S = 600.0
_PEERS = ("turbo", "nx")


class Run(NamedTuple):
    """What a command took: wall time, and processor time of it and of the tool's daemon."""

    wall_ms: float
    processor_ms: float


class Tool:
    """A tool and its workspace below ``directory``; use it as a context."""

    name = ""

    def __init__(self, directory: Path, generated: Generated) -> None:
        self.root = directory / "workspace"
        self.generated = generated
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "LANG": "C.UTF-8",
        }
        self._directory = directory

    def __enter__(self) -> Tool:
        self.root.mkdir(parents=True)
        self.generated.write(self.root)
        return self

    def __exit__(self, *_: object) -> None:
        return

    @property
    def command(self) -> list[str]:
        """The command line that builds all packages."""
        raise NotImplementedError

    def build(self) -> Run:
        """Build all packages."""
        return self.run(self.command)

    def remove_outputs(self) -> None:
        """Remove what was built; what the tool keeps of it stays."""
        for number in range(self.generated.packages):
            shutil.rmtree(self.root / f"packages/p{number}/dist", ignore_errors=True)

    def forget(self) -> None:
        """Remove what was built and all that the tool remembers of it."""
        self.remove_outputs()

    def daemon_ms(self) -> float:
        """Return the processor time that the tool's daemon has used so far."""
        return 0.0

    def edit(self, package: int, text: str) -> None:
        """Add to a source of a package."""
        with (self.root / f"packages/p{package}/src/f0.js").open("a") as file:
            file.write(text)

    def run(self, command: list[str]) -> Run:
        """Run a command in the workspace, whose output nobody reads."""
        log = self._directory / "log"
        daemon_ms, own_ms = self.daemon_ms(), _children_ms()
        began = time.perf_counter()
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            code = _ended(process)
        wall_ms = (time.perf_counter() - began) * 1000
        if code != 0:
            raise RuntimeError(f"{self.name} failed: {log.read_text()[-2000:]}")
        used_ms = _children_ms() - own_ms + self.daemon_ms() - daemon_ms
        return Run(wall_ms, used_ms)


class BuildNet(Tool):
    """This one, with a node of its own. ``settings`` go into its ``node.yaml``; ``bare``: it looks
    for no tools, so that its scan costs nothing worth mentioning."""

    name = "buildnet"

    def __init__(
        self,
        directory: Path,
        generated: Generated,
        settings: Mapping[str, Any] | None = None,
        *,
        bare: bool = True,
    ) -> None:
        super().__init__(directory, generated)
        self._home = directory / "home"
        self.environment = {**self.environment, "BUILDNET_HOME": str(self._home)}
        if bare:
            self.environment["PATH"] = "/nonexistent"
        self._program = str(Path(sys.executable).with_name("buildnet"))
        self._settings = settings
        self._process: psutil.Process | None = None

    def __enter__(self) -> BuildNet:
        super().__enter__()
        if self._settings is not None:
            self._home.mkdir()
            (self._home / "node.yaml").write_text(json.dumps(self._settings))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the node and wait for its first scan, which would disturb the figures."""
        listen = ("--listen", "127.0.0.1:0")
        told = self.ask("node", "start", "--detach", *listen, "--json")
        self._process = psutil.Process(json.loads(told)["pid"])
        self.ask("pool", "status")

    def stop(self) -> None:
        """Stop the node."""
        self._process = None
        self.ask("node", "stop")

    def ask(self, *arguments: str) -> str:
        """Run a command and return what it prints."""
        done = subprocess.run(
            [self._program, *arguments],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"buildnet {arguments[0]} failed: {done.stderr}{done.stdout}")
        return done.stdout

    @property
    def command(self) -> list[str]:
        return [self._program, "build"]

    def report(self) -> dict[str, Any]:
        """Build and return the report."""
        report: dict[str, Any] = json.loads(self.ask("build", "--json"))
        return report

    def forget(self) -> None:
        super().forget()
        self.ask("cache", "clear", "--yes")

    def memory_mb(self) -> float:
        """Return the memory of the node's process."""
        assert self._process is not None
        return float(self._process.memory_info().rss) / 1e6

    def daemon_ms(self) -> float:
        if self._process is None:
            return 0.0
        used = 0.0
        for process in (self._process, *self._process.children(recursive=True)):
            times = process.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
        return used * 1000


class Ninja(Tool):
    """Ninja: no cache, no daemon."""

    name = "ninja"

    @property
    def command(self) -> list[str]:
        return ["ninja", "--quiet"]

    def forget(self) -> None:
        super().forget()
        for left in self.root.glob(".ninja_*"):
            left.unlink()


class Turbo(Tool):
    """Turbo, its native binary. ``plain``: npm, which it starts for each package, is a shell script
    that runs the command at once."""

    name = "turbo"

    def __init__(
        self, directory: Path, generated: Generated, program: Path, *, plain: bool = True
    ) -> None:
        super().__init__(directory, generated)
        self.environment = {
            **self.environment,
            "TURBO_TELEMETRY_DISABLED": "1",
            "TURBO_NO_UPDATE_NOTIFIER": "1",
            "DO_NOT_TRACK": "1",
        }
        self._program = program
        if plain:
            _put_plain_npm(directory / "bin")
            self.environment["PATH"] = f"{directory / 'bin'}:{self.environment['PATH']}"

    @property
    def command(self) -> list[str]:
        return [str(self._program), "run", "build", "--output-logs=none", "--log-order=stream"]

    def forget(self) -> None:
        super().forget()
        shutil.rmtree(self.root / ".turbo", ignore_errors=True)
        shutil.rmtree(self.root / "node_modules", ignore_errors=True)


class Nx(Tool):
    """Nx with its daemon, which needs its modules in the workspace. npm as for :class:`Turbo`."""

    name = "nx"

    def __init__(self, directory: Path, generated: Generated, modules: Path) -> None:
        super().__init__(directory, generated)
        _put_plain_npm(directory / "bin")
        self.environment = {
            **self.environment,
            "PATH": f"{directory / 'bin'}:{self.environment['PATH']}",
            "NX_NO_CLOUD": "true",
            "NX_TUI": "false",
            "NX_DAEMON": "true",
            "CI": "false",
        }
        self._modules = modules

    def __enter__(self) -> Nx:
        super().__enter__()
        (self.root / "node_modules").symlink_to(self._modules)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(
            [str(self._modules / ".bin" / "nx"), "daemon", "--stop"],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            check=False,
        )

    @property
    def command(self) -> list[str]:
        program = str(self._modules / ".bin" / "nx")
        return [program, "run-many", "-t", "build", "--output-style=static"]

    def forget(self) -> None:
        super().forget()
        subprocess.run(
            [str(self._modules / ".bin" / "nx"), "reset", "--only-cache"],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            check=True,
        )


@dataclass(frozen=True, slots=True)
class Peers:
    """The other tools, as far as they are there. ``directory`` is where npm installed some."""

    directory: Path

    def install(self) -> None:
        """Install the newest turbo and nx by npm."""
        self.directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(self.directory)]
            + [f"{name}@latest" for name in _PEERS],
            stdout=sys.stderr,
            check=True,
        )

    @property
    def modules(self) -> Path:
        """Where they are installed."""
        return self.directory / "node_modules"

    @property
    def turbo(self) -> Path | None:
        """Turbo's native binary for this host."""
        return next(iter(self.modules.glob("@turbo/*/bin/turbo")), None)

    def make(self, name: str, directory: Path, generated: Generated) -> Tool | None:
        """Return a tool for a new workspace; None: it is not there."""
        if name == "ninja" and shutil.which("ninja"):
            return Ninja(directory, generated)
        if name == "turbo" and self.turbo is not None:
            return Turbo(directory, generated, self.turbo)
        if name == "nx" and (self.modules / ".bin" / "nx").exists() and shutil.which("node"):
            return Nx(directory, generated, self.modules)
        return None

    def versions(self) -> dict[str, str]:
        """Return the versions of those that are there."""
        found = {}
        for name in _PEERS:
            manifest = self.modules / name / "package.json"
            if manifest.exists():
                found[name] = str(json.loads(manifest.read_text())["version"])
        if shutil.which("ninja"):
            done = subprocess.run(
                ["ninja", "--version"], capture_output=True, text=True, check=True
            )
            found["ninja"] = done.stdout.strip()
        return found


def _put_plain_npm(directory: Path) -> None:
    directory.mkdir(parents=True)
    script = directory / "npm"
    script.write_text(f'#!/bin/sh\ncase "$1" in run*) {COMMAND} ;; *) echo 10.0.0 ;; esac\n')
    script.chmod(0o755)


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process and return how it ended. ``subprocess`` looks every 50 ms where
    it is given a time-out, and would measure that.

    Raises:
        TimeoutExpired: it was given up and killed.
    """
    poll = select.poll()
    file = os.pidfd_open(process.pid)
    try:
        poll.register(file, select.POLLIN)
        if not poll.poll(_PATIENCE_S * 1000):
            process.kill()
            raise subprocess.TimeoutExpired(process.args, _PATIENCE_S)
    finally:
        os.close(file)
    return process.wait()


def _children_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1000
