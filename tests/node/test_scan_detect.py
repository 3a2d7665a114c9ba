from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from buildnet.node.config import ToolOverride
from buildnet.node.scan.capabilities import matching
from buildnet.node.scan.catalogue import CapabilityProbe, FoundProgram, ProgramRow
from buildnet.node.scan.detect import ProgramDetector, default_search_path
from buildnet.node.scan.probe import Prober
from buildnet.node.scan.runtimes import RUNTIMES
from buildnet.node.scan.shims import file_state
from buildnet.node.scan.tools import TOOLS
from buildnet.pool.resources import Program

P = ParamSpec("P")
R = TypeVar("R")

ROW = ProgramRow("demo", ("demo",), identified_by=r"^demo ", timeout_s=60)
IMPATIENT = ProgramRow("demo", ("demo",), identified_by=r"^demo ", timeout_s=0.5)
PYTHON = next(row for row in RUNTIMES if row.name == "python")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    return await asyncio.to_thread(function, *args, **kwargs)


class Bench:
    """A search path of two directories with programs made of shell lines."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls = root / "calls"
        self.calls.touch()
        self.detector = ProgramDetector()
        for name in ("first", "second"):
            (root / name).mkdir()

    def program(self, place: str, body: str, *, counted: bool = False) -> Path:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        count = f"echo $0 $* >> {self.calls}\n" if counted else ""
        path.write_text(f"#!/bin/sh\n{count}{body}\n")
        path.chmod(0o755)
        return path

    def detect(
        self, row: ProgramRow = ROW, override: ToolOverride | None = None, *extra: str
    ) -> tuple[Program, ...]:
        path = ":".join([str(self.root / "first"), str(self.root / "second"), *extra])
        prober = Prober.of_process(f"{path}:/usr/bin:/bin")
        return asyncio.run(self.detector.detect(row, override, prober, in_thread))

    def times_called(self) -> int:
        return len(self.calls.read_text().splitlines())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_program_with_version_and_path(bench: Bench) -> None:
    path = bench.program("first/demo", "echo demo 1.2.3")
    assert bench.detect() == (Program(name="demo", version="1.2.3", path=str(path)),)


def test_a_namesake_is_passed_over(bench: Bench) -> None:
    bench.program("first/demo", "echo another 9.9")
    path = bench.program("second/demo", "echo demo 1.2.3")
    assert [one.path for one in bench.detect()] == [str(path)]


def test_colours_are_not_part_of_a_version(bench: Bench) -> None:
    coloured = bench.program("first/demo", r"printf '\033[1mdemo 1.2.3\033[m\n'")
    assert bench.detect() == (Program(name="demo", version="1.2.3", path=str(coloured)),)


def test_a_hanging_program_is_listed_with_its_problem(bench: Bench) -> None:
    path = bench.program("first/demo", "exec sleep 1000")
    problem = "did not answer within 0.5 s"
    assert bench.detect(IMPATIENT) == (Program(name="demo", path=str(path), problem=problem),)


def test_a_working_program_counts_before_a_broken_one(bench: Bench) -> None:
    bench.program("first/demo", "kill -SEGV $$")
    path = bench.program("second/demo", "echo demo 2.0")
    assert bench.detect() == (Program(name="demo", version="2.0", path=str(path)),)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("yes", "printed more than 256 KiB"),
        ("kill -SEGV $$", "was ended by SIGSEGV"),
        ("echo demo of something", "printed no version"),
    ],
)
def test_broken_programs_say_how(bench: Bench, body: str, problem: str) -> None:
    path = bench.program("first/demo", body)
    row = ProgramRow("demo", ("demo",), identified_by="demo|y", timeout_s=60)
    assert bench.detect(row) == (Program(name="demo", path=str(path), problem=problem),)


@pytest.mark.parametrize(
    "body", ["echo demo: command not found >&2; exit 127", "exit 1", r"printf '\377\376'", "true"]
)
def test_what_cannot_run_or_is_something_else_is_left_out(bench: Bench, body: str) -> None:
    bench.program("first/demo", body)
    assert bench.detect() == ()


def test_files_without_the_right_to_run_directories_and_dead_links_are_no_programs(
    bench: Bench,
) -> None:
    bench.program("first/demo", "echo demo 1.0").chmod(0o644)
    (bench.root / "second/demo").symlink_to("nowhere")
    (bench.root / "third/demo").mkdir(parents=True)
    assert bench.detect(ROW, None, str(bench.root / "third")) == ()


def test_a_version_counts_although_the_exit_code_says_failure(bench: Bench) -> None:
    bench.program("first/demo", "echo demo 1.5; exit 2")
    assert bench.detect()[0].version == "1.5"


def test_capabilities_are_asked_and_read(bench: Bench) -> None:
    probe = CapabilityProbe(matching(r"^can (\w+)$"), ("{program}", "--abilities"))
    row = ProgramRow("demo", ("demo",), capabilities=(probe,))
    bench.program(
        "first/demo",
        'if [ "$1" = --abilities ]; then echo can webp; echo can avif; else echo demo 1.0; fi',
    )
    assert bench.detect(row)[0].capabilities == ("avif", "webp")


def test_a_failing_capability_probe_leaves_the_version(bench: Bench) -> None:
    probe = CapabilityProbe(matching(r"(.*)"), ("{program}", "--abilities"), timeout_s=0.3)
    row = ProgramRow("demo", ("demo",), capabilities=(probe,))
    bench.program("first/demo", '[ "$1" = --abilities ] && exec sleep 1000; echo demo 1.0')
    assert bench.detect(row) == (
        Program(name="demo", version="1.0", path=str(bench.root / "first/demo")),
    )


def test_answers_are_remembered_until_the_file_changes(bench: Bench) -> None:
    path = bench.program("first/demo", "echo demo 1.0", counted=True)
    assert bench.detect() == bench.detect()
    assert bench.times_called() == 1
    bench.program("first/demo", "echo demo 1.10", counted=True)
    assert bench.detect()[0].version == "1.10"
    assert bench.times_called() == 2
    bench.detector.forget()
    bench.detect()
    assert bench.times_called() == 3
    assert path.exists()


def test_a_hang_is_not_remembered(bench: Bench) -> None:
    gate = bench.root / "gate"
    bench.program("first/demo", f"[ -e {gate} ] || exec sleep 1000; echo demo 1.0")
    assert bench.detect(IMPATIENT)[0].version is None
    gate.touch()
    assert bench.detect()[0].version == "1.0"


def test_what_changes_by_itself_is_asked_every_time(bench: Bench) -> None:
    service = bench.root / "service"
    probe = CapabilityProbe(matching(r"^(running)$"), ("{program}", "state"), volatile=True)
    row = ProgramRow("demo", ("demo",), capabilities=(probe,))
    bench.program("first/demo", f'[ "$1" = state ] && cat {service} || echo demo 1.0')
    assert bench.detect(row)[0].capabilities == ()
    service.write_text("running\n")
    assert bench.detect(row)[0].capabilities == ("running",)


def test_an_override_disables(bench: Bench) -> None:
    bench.program("first/demo", "echo demo 1.0", counted=True)
    assert bench.detect(ROW, ToolOverride(enabled=False)) == ()
    assert bench.times_called() == 0


def test_an_override_names_another_file(bench: Bench) -> None:
    bench.program("first/demo", "echo demo 1.0")
    other = bench.program("elsewhere/my-demo", "echo demo 7.0")
    found = bench.detect(ROW, ToolOverride(path=other))
    assert found == (Program(name="demo", version="7.0", path=str(other)),)


def test_an_override_that_does_not_work_is_listed_with_the_reason(bench: Bench) -> None:
    missing = bench.root / "missing"
    (found,) = bench.detect(ROW, ToolOverride(path=missing))
    assert (found.path, found.problem) == (str(missing), "the configured file is missing")
    plain = bench.root / "plain"
    plain.touch()
    (found,) = bench.detect(ROW, ToolOverride(path=plain))
    assert found.problem == "the configured file is not executable"
    other = bench.program("elsewhere/other", "echo other 3.0")
    (found,) = bench.detect(ROW, ToolOverride(path=other))
    assert (found.version, found.problem) == (None, "does not answer as demo does")


def test_every_python_version_is_listed_once(bench: Bench) -> None:
    bench.program("first/python3", "echo Python 3.11.7")
    bench.program("first/python3.12", "echo Python 3.12.1")
    bench.program("second/python3.11", "echo Python 3.11.7")
    bench.program("second/python3.9", "echo pyenv: python3.9: command not found >&2; exit 127")
    row = ProgramRow(
        "python", PYTHON.binaries[:-1], version=PYTHON.version, every_binary=PYTHON.every_binary
    )
    found = asyncio.run(
        bench.detector.detect(
            row,
            None,
            Prober.of_process(f"{bench.root}/first:{bench.root}/second"),
            in_thread,
        )
    )
    assert [(one.version, Path(one.path).name) for one in found] == [
        ("3.11.7", "python3"),
        ("3.12.1", "python3.12"),
    ]


def test_a_shim_is_remembered_by_its_managers_settings(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bench.root / ".pyenv"
    (root / "versions").mkdir(parents=True)
    chosen = root / "version"
    chosen.write_text("1.0\n")
    monkeypatch.setenv("PYENV_ROOT", str(root))
    shims = str(root / "shims")
    bench.program(".pyenv/shims/demo", f"echo demo $(cat {chosen})", counted=True)
    assert bench.detect(ROW, None, shims)[0].version == "1.0"
    assert bench.detect(ROW, None, shims)[0].version == "1.0"
    assert bench.times_called() == 1
    chosen.write_text("2.0.1\n")
    assert bench.detect(ROW, None, shims)[0].version == "2.0.1"


def test_a_shim_of_an_unknown_manager_is_never_remembered(bench: Bench) -> None:
    path = bench.program("strange/shims/demo", "echo demo 1.0")
    assert file_state(FoundProgram("demo", str(path))) is None


def test_builds_own_environment_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/opt/buildnet/venv")
    monkeypatch.setenv("PATH", os.pathsep.join(["/opt/buildnet/venv/bin", "", ".", "/usr/bin"]))
    directories = default_search_path().split(os.pathsep)
    assert directories[0] == "/usr/bin"
    assert not {"", ".", "/opt/buildnet/venv/bin"}.intersection(directories)
    assert len(directories) == len(set(directories))


def test_the_tables_name_nothing_twice() -> None:
    names = [row.name for row in (*TOOLS, *RUNTIMES)]
    assert len(names) == len(set(names))
    assert all(row.binaries for row in (*TOOLS, *RUNTIMES))
