"""The runtimes that builds ask for; rows as in :mod:`buildnet.node.scan.tools`."""

from __future__ import annotations

from buildnet.node.scan.capabilities import (
    PYTHON_QUESTION,
    dotnet_kits,
    matching,
    python_abilities,
    recognised,
)
from buildnet.node.scan.catalogue import CapabilityProbe, ProgramRow

_PYTHON_MINORS = range(30, 5, -1)

RUNTIMES: tuple[ProgramRow, ...] = (
    ProgramRow(
        "node",
        ("node", "nodejs"),
        version=r"^v(\d+\.\d+\.\S+)",
        capabilities=(
            CapabilityProbe(
                matching(r"^(v8 \S+|modules \S+|[a-z0-9]+-[a-z0-9]+)$"),
                (
                    "{program}",
                    "-p",
                    "[`${process.platform}-${process.arch}`, `v8 ${process.versions.v8}`,"
                    " `modules ${process.versions.modules}`].join('\\n')",
                ),
            ),
        ),
    ),
    ProgramRow("bun", ("bun",), version=r"^(\d+\.\d+\.\S+)"),
    ProgramRow("deno", ("deno",), version=r"^deno (\S+)", identified_by=r"^deno "),
    ProgramRow(
        "python",
        ("python3", "python", *(f"python3.{minor}" for minor in _PYTHON_MINORS), "pypy3"),
        version=r"^Python (\d+\.\d+\.\S+)",
        capabilities=(
            CapabilityProbe(python_abilities, ("{program}", "-I", "-c", PYTHON_QUESTION)),
        ),
        every_binary=True,
    ),
    ProgramRow(
        "rust",
        ("rustc",),
        ("-vV",),
        version=r"^release: (\S+)",
        capabilities=(CapabilityProbe(matching(r"^host: (\S+)$")),),
    ),
    ProgramRow(
        "go",
        ("go",),
        ("version",),
        version=r"^go version go(\S+)",
        capabilities=(CapabilityProbe(matching(r"^go version \S+ (\S+/\S+)$")),),
    ),
    ProgramRow(
        "java",
        ("java",),
        ("-version",),
        version=r'version "([^"]+)"',
        capabilities=(
            CapabilityProbe(
                recognised(openjdk=r"^OpenJDK|^openjdk", graalvm="GraalVM", hotspot="HotSpot")
            ),
        ),
    ),
    ProgramRow(
        "jdk",
        ("javac",),
        ("-version",),
        version=r"^javac (\S+)",
    ),
    ProgramRow(
        "dotnet",
        ("dotnet",),
        # --version fails where only the runtime is installed; --info tells of both.
        ("--info",),
        version=r"(?:^\.NET SDK[^\n]*\n\s*Version:\s+|^Host[^\n]*:\s*\n\s*Version:\s+)(\S+)",
        capabilities=(CapabilityProbe(dotnet_kits),),
    ),
    ProgramRow(
        "ruby",
        ("ruby",),
        version=r"^(?:ruby|jruby|truffleruby) (\d+(?:\.\d+)+(?:p\d+)?)",
        capabilities=(CapabilityProbe(matching(r"\[([a-z0-9_]+-[a-z0-9_.-]+)\]")),),
    ),
    ProgramRow(
        "php",
        ("php",),
        version=r"^PHP (\d+(?:\.\d+)+\S*)",
        capabilities=(
            CapabilityProbe(matching(r"^([A-Za-z][A-Za-z0-9_]*)$"), ("{program}", "-m")),
        ),
    ),
    ProgramRow(
        "perl",
        ("perl",),
        version=r"\(v(\d+(?:\.\d+)+)\)",
        capabilities=(CapabilityProbe(matching(r" built for (\S+)$")),),
    ),
    ProgramRow("lua", ("lua",), ("-v",), version=r"^Lua (\d+(?:\.\d+)+)"),
    ProgramRow("r", ("Rscript",), version=r"version (\d+(?:\.\d+)+)", identified_by="Rscript|R "),
    ProgramRow("julia", ("julia",), version=r"^julia version (\S+)"),
    ProgramRow(
        "erlang",
        ("erl",),
        ("-noshell", "-eval", 'io:format("otp ~s~n", [erlang:system_info(otp_release)]), halt().'),
        version=r"^otp (\d+)",
    ),
    ProgramRow("elixir", ("elixir",), version=r"^Elixir (\S+)"),
    ProgramRow("wasmtime", ("wasmtime",), identified_by=r"^wasmtime"),
)
