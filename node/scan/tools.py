"""The tools that builds ask for. A new tool is a new row; nothing else needs to know of it."""

from __future__ import annotations

from buildnet.node.scan.capabilities import (
    among,
    cmake_generators,
    curl_abilities,
    docker_daemon,
    encoders,
    image_formats,
    matching,
    recognised,
    target,
)
from buildnet.node.scan.catalogue import CapabilityProbe, ProgramRow

_GCC = r"^\S*(?:gcc|g\+\+|cc|c\+\+)\S* \([^\n]*?\) (\d+(?:\.\d+)+)"
_CLANG = r"clang version (\d+(?:\.\d+)+)"

_TARGET = CapabilityProbe(target, ("{program}", "-dumpmachine"))
_COMPILER_KIND = CapabilityProbe(
    recognised(clang=r"clang version", gcc=r"Free Software Foundation")
)


def _compiler(name: str, *binaries: str, version: str) -> ProgramRow:
    return ProgramRow(
        name,
        binaries,
        version=version,
        identified_by=version,
        capabilities=(_COMPILER_KIND, _TARGET),
    )


def _plain(name: str, *binaries: str, identified_by: str | None = None) -> ProgramRow:
    return ProgramRow(name, binaries or (name,), identified_by=identified_by)


TOOLS: tuple[ProgramRow, ...] = (
    # Media and documents
    ProgramRow(
        "imagemagick",
        ("magick", "convert"),
        ("-version",),
        version=r"^Version: ImageMagick (\d+(?:\.\d+)+(?:-\d+)?)",
        identified_by="ImageMagick",
        capabilities=(CapabilityProbe(image_formats, ("{program}", "-list", "format")),),
    ),
    ProgramRow(
        "ffmpeg",
        ("ffmpeg",),
        ("-version",),
        version=r"^ffmpeg version n?(\S+)",
        capabilities=(CapabilityProbe(encoders, ("{program}", "-hide_banner", "-encoders")),),
    ),
    ProgramRow("inkscape", ("inkscape",), ("--version",), version=r"^Inkscape (\d+(?:\.\d+)+)"),
    ProgramRow("ghostscript", ("gs",), version=r"^(\d+(?:\.\d+)+)"),
    _plain("pandoc"),
    ProgramRow("graphviz", ("dot",), ("-V",), identified_by="graphviz"),
    _plain("optipng", identified_by="OptiPNG"),
    _plain("pngquant"),
    ProgramRow("cwebp", ("cwebp",), ("-version",), version=r"^(\d+(?:\.\d+)+)"),
    # Containers and sandboxes
    ProgramRow(
        "docker",
        ("docker",),
        identified_by=r"^Docker version",
        capabilities=(
            CapabilityProbe(
                docker_daemon,
                ("{program}", "version", "--format", "{{json .}}"),
                volatile=True,
                timeout_s=2.0,
            ),
        ),
    ),
    _plain("podman", identified_by="podman"),
    _plain("buildah", identified_by="buildah"),
    ProgramRow("bubblewrap", ("bwrap",), identified_by="bubblewrap"),
    # Sources
    ProgramRow(
        "git",
        ("git",),
        identified_by=r"^git version",
        capabilities=(
            CapabilityProbe(
                among("clone", "pull", "push", "worktree", "sparse-checkout", "lfs", "svn"),
                ("{program}", "--list-cmds=main,others"),
            ),
        ),
    ),
    ProgramRow("git-lfs", ("git-lfs",), version=r"git-lfs/(\d+(?:\.\d+)+)"),
    _plain("hg", identified_by="Mercurial"),
    # Compilers and linkers
    _compiler("gcc", "gcc", version=_GCC),
    _compiler("g++", "g++", version=_GCC),
    _compiler("clang", "clang", version=_CLANG),
    _compiler("clang++", "clang++", version=_CLANG),
    ProgramRow(
        "cc",
        ("cc",),
        version=r"(?:^\S*cc\S* \([^\n]*?\)|clang version) (\d+(?:\.\d+)+)",
        capabilities=(_COMPILER_KIND, _TARGET),
    ),
    ProgramRow(
        "c++",
        ("c++",),
        version=r"(?:^\S*(?:c|g)\+\+\S* \([^\n]*?\)|clang version) (\d+(?:\.\d+)+)",
        capabilities=(_COMPILER_KIND, _TARGET),
    ),
    ProgramRow(
        "ld",
        ("ld",),
        # macOS's ld knows no --version; all of them know -v.
        ("-v",),
        version=r"(?:GNU (?:ld|gold) \([^\n]*?\)|LLD|mold|PROJECT:\w+-) ?(\d+(?:\.\d+)*)",
        capabilities=(
            CapabilityProbe(
                recognised(
                    bfd=r"GNU ld",
                    gold=r"GNU gold",
                    lld=r"\bLLD\b",
                    mold=r"\bmold\b",
                    apple="PROJECT:",
                )
            ),
        ),
    ),
    ProgramRow("lld", ("ld.lld",), version=r"LLD (\d+(?:\.\d+)+)"),
    ProgramRow("mold", ("mold",), identified_by="mold"),
    ProgramRow("gfortran", ("gfortran",), identified_by="GNU Fortran"),
    ProgramRow("swiftc", ("swiftc",), version=r"Swift version (\d+(?:\.\d+)+)"),
    ProgramRow("zig", ("zig",), ("version",), version=r"^(\d+\.\d+\.\S+)"),
    ProgramRow("nasm", ("nasm",), ("-v",), identified_by="NASM"),
    ProgramRow(
        "nvcc", ("nvcc",), version=r"release [\d.]+, V(\d+(?:\.\d+)+)", identified_by="Cuda"
    ),
    ProgramRow("emscripten", ("emcc",), identified_by="[Ee]mscripten"),
    ProgramRow("kotlinc", ("kotlinc",), ("-version",), identified_by="kotlinc"),
    ProgramRow("scalac", ("scalac",), ("-version",), identified_by="Scala"),
    ProgramRow("ghc", ("ghc",), identified_by="Glasgow"),
    # Build systems
    ProgramRow(
        "make",
        ("make", "gmake"),
        identified_by="GNU Make",
        capabilities=(CapabilityProbe(matching(r"^Built for (\S+)$")),),
    ),
    ProgramRow(
        "cmake",
        ("cmake",),
        identified_by=r"^cmake version",
        capabilities=(CapabilityProbe(cmake_generators, ("{program}", "-E", "capabilities")),),
    ),
    ProgramRow("ninja", ("ninja", "ninja-build"), version=r"^(\d+(?:\.\d+)+\S*)"),
    ProgramRow("bazel", ("bazel", "bazelisk"), identified_by=r"^bazel"),
    _plain("meson"),
    ProgramRow("scons", ("scons",), version=r"SCons: v(\d+(?:\.\d+)+)"),
    ProgramRow("gradle", ("gradle",), version=r"^Gradle (\d+\.\S+)", identified_by=r"^Gradle"),
    ProgramRow(
        "maven",
        ("mvn",),
        version=r"Apache Maven (\S+)",
        identified_by="Apache Maven",
        capabilities=(CapabilityProbe(matching(r"^Java version: ([\d.]+)", prefix="java ")),),
    ),
    ProgramRow("ant", ("ant",), ("-version",), identified_by="Apache Ant"),
    ProgramRow("sbt", ("sbt",), ("--script-version",)),
    ProgramRow("just", ("just",), identified_by=r"^just "),
    ProgramRow("task", ("task",), identified_by="Task version"),
    ProgramRow("autoconf", ("autoconf",), identified_by="GNU Autoconf"),
    ProgramRow("automake", ("automake",), identified_by="GNU automake"),
    ProgramRow("libtool", ("libtool", "glibtool"), identified_by="GNU libtool"),
    ProgramRow("pkg-config", ("pkg-config", "pkgconf"), version=r"^(\d+(?:\.\d+)+)"),
    ProgramRow("bison", ("bison",), identified_by="GNU Bison"),
    ProgramRow("flex", ("flex",), identified_by=r"^flex "),
    ProgramRow("protoc", ("protoc",), identified_by="libprotoc", version=r"libprotoc (\S+)"),
    _plain("ccache", identified_by="ccache"),
    _plain("sccache", identified_by="sccache"),
    # JavaScript and others' package managers
    _plain("npm"),
    _plain("yarn"),
    _plain("pnpm"),
    _plain("turbo"),
    ProgramRow("tsc", ("tsc",), identified_by=r"^Version \d"),
    _plain("esbuild"),
    ProgramRow("cargo", ("cargo",), identified_by=r"^cargo "),
    ProgramRow("uv", ("uv",), identified_by=r"^uv "),
    ProgramRow("pip", ("pip3", "pip"), identified_by=r"^pip "),
    ProgramRow("poetry", ("poetry",), identified_by="Poetry"),
    ProgramRow("composer", ("composer",), identified_by="Composer"),
    ProgramRow("bundler", ("bundle",), version=r"(\d+(?:\.\d+)+)"),
    # Files and transfer
    ProgramRow(
        "tar",
        ("tar",),
        capabilities=(CapabilityProbe(recognised(gnu="GNU tar", bsd="bsdtar")),),
    ),
    _plain("zstd"),
    ProgramRow("xz", ("xz",), version=r"\(XZ Utils\) (\S+)"),
    ProgramRow("gzip", ("gzip",), version=r"gzip (\d+(?:\.\d+)+)"),
    ProgramRow("zip", ("zip",), ("-v",), version=r"This is Zip (\d+\.\d+)", identified_by="Zip"),
    ProgramRow("unzip", ("unzip",), ("-v",), version=r"^UnZip (\d+\.\d+)", identified_by="UnZip"),
    ProgramRow("rsync", ("rsync",), version=r"version v?(\d+(?:\.\d+)+)"),
    ProgramRow(
        "curl",
        ("curl",),
        version=r"^curl (\S+)",
        identified_by=r"^curl ",
        capabilities=(CapabilityProbe(curl_abilities),),
    ),
    ProgramRow("wget", ("wget",), version=r"GNU Wget2? (\S+)"),
    ProgramRow("jq", ("jq",), version=r"^jq-(\S+)"),
    ProgramRow("sqlite", ("sqlite3",), version=r"^(\d+(?:\.\d+)+)"),
)
