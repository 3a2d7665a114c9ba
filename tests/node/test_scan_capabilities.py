"""The tables' patterns against what the programs really print, recorded."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.node.scan.capabilities import (
    LIMIT,
    cmake_generators,
    curl_abilities,
    docker_daemon,
    dotnet_kits,
    encoders,
    image_formats,
    listed,
    python_abilities,
    target,
)
from buildnet.node.scan.runtimes import RUNTIMES
from buildnet.node.scan.tools import TOOLS

ROWS = {row.name: row for row in (*TOOLS, *RUNTIMES)}

VERSIONS = [
    ("imagemagick", "Version: ImageMagick 7.1.1-15 Q16-HDRI x86_64 21298 https://x", "7.1.1-15"),
    ("imagemagick", "Version: ImageMagick 6.9.11-60 Q16 x86_64 2021-01-25", "6.9.11-60"),
    ("ffmpeg", "ffmpeg version n6.1.1 Copyright (c) 2000-2023", "6.1.1"),
    ("ffmpeg", "ffmpeg version 5.1.6-0+deb12u1 Copyright (c)", "5.1.6-0+deb12u1"),
    ("ffmpeg", "ffmpeg version N-112-g1234 Copyright", "N-112-g1234"),
    ("docker", "Docker version 28.2.2, build e6534b4", "28.2.2"),
    ("podman", "podman version 4.3.1", "4.3.1"),
    ("bubblewrap", "bubblewrap 0.8.0", "0.8.0"),
    ("git", "git version 2.39.5 (Apple Git-154)", "2.39.5"),
    ("gcc", "gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nFree Software", "12.2.0"),
    ("gcc", "gcc (GCC) 8.5.0 20210514 (Red Hat 8.5.0-4)", "8.5.0"),
    ("gcc", "gcc-13 (Homebrew GCC 13.2.0) 13.2.0", "13.2.0"),
    ("g++", "g++ (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0", "11.4.0"),
    ("clang", "Debian clang version 14.0.6\nTarget: x86_64-pc-linux-gnu", "14.0.6"),
    ("clang++", "Apple clang version 15.0.0 (clang-1500.3.9.4)", "15.0.0"),
    ("cc", "cc (Debian 12.2.0-14) 12.2.0", "12.2.0"),
    ("cc", "Apple clang version 15.0.0 (clang-1500.3.9.4)", "15.0.0"),
    ("c++", "c++ (Debian 12.2.0-14) 12.2.0", "12.2.0"),
    ("ld", "GNU ld (GNU Binutils for Debian) 2.40", "2.40"),
    ("ld", "GNU gold (GNU Binutils 2.38) 1.16", "1.16"),
    ("ld", "LLD 15.0.7 (compatible with GNU linkers)", "15.0.7"),
    ("ld", "@(#)PROGRAM:ld PROJECT:ld-1053.12\nBUILD 10:15:51 Mar 29 2024", "1053.12"),
    ("make", "GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu", "4.3"),
    ("cmake", "cmake version 3.25.1\n\nCMake suite", "3.25.1"),
    ("cmake", "cmake version 3.30.0-rc1", "3.30.0-rc1"),
    ("ninja", "1.11.1.git.kitware.jobserver-1", "1.11.1.git.kitware.jobserver-1"),
    ("bazel", "bazel 7.1.0", "7.1.0"),
    ("ccache", "ccache version 4.8\nFeatures: http-storage", "4.8"),
    ("sccache", "sccache 0.7.4", "0.7.4"),
    ("pkg-config", "1.8.1", "1.8.1"),
    ("autoconf", "autoconf (GNU Autoconf) 2.71", "2.71"),
    ("meson", "1.0.1", "1.0.1"),
    ("gradle", "\nWelcome\n------\nGradle 8.5\n------\n\nKotlin: 1.9.20", "8.5"),
    ("maven", "Apache Maven 3.8.7\nJava version: 17.0.15, vendor: Debian", "3.8.7"),
    ("protoc", "libprotoc 25.1", "25.1"),
    ("tar", "tar (GNU tar) 1.34", "1.34"),
    ("tar", "bsdtar 3.5.3 - libarchive 3.7.4 zlib/1.2.12", "3.5.3"),
    ("zstd", "*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***", "1.5.4"),
    ("zstd", "*** zstd command line interface 64-bits v1.4.8, by Yann Collet ***", "1.4.8"),
    ("rsync", "rsync  version 3.2.7  protocol version 31", "3.2.7"),
    ("rsync", "openrsync: protocol version 29\nrsync version 2.6.9 compatible", "2.6.9"),
    ("curl", "curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1", "7.88.1"),
    ("turbo", "2.3.3", "2.3.3"),
    ("pnpm", "9.15.0", "9.15.0"),
    ("tsc", "Version 5.6.3", "5.6.3"),
    ("cargo", "cargo 1.95.0 (f2d3ce0bd 2026-03-21)", "1.95.0"),
    ("uv", "uv 0.13.8 (x86_64-unknown-linux-gnu)", "0.13.8"),
    ("nvcc", "nvcc: NVIDIA (R) Cuda compiler driver\nrelease 13.0, V13.0.88", "13.0.88"),
    ("zip", "Copyright (c) Info-ZIP\nThis is Zip 3.0 (July 5th 2008)", "3.0"),
    ("node", "v20.20.2", "20.20.2"),
    ("bun", "1.1.38", "1.1.38"),
    ("deno", "deno 2.1.2 (stable, release, x86_64-unknown-linux-gnu)\nv8 13.0", "2.1.2"),
    ("python", "Python 3.13.0rc2", "3.13.0rc2"),
    ("rust", "rustc 1.95.0 (5980)\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0", "1.95.0"),
    ("go", "go version go1.22.1 linux/amd64", "1.22.1"),
    ("java", 'openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime', "17.0.15"),
    ("java", 'java version "1.8.0_391"\nJava(TM) SE Runtime', "1.8.0_391"),
    ("jdk", "javac 21.0.2", "21.0.2"),
    (
        "dotnet",
        ".NET SDK:\n Version:           8.0.100\n Commit: x\nHost:\n  Version: 8.0.0",
        "8.0.100",
    ),
    ("dotnet", "Host:\n  Version:      8.0.4\n  Architecture: x64", "8.0.4"),
    ("ruby", "ruby 3.1.2p20 (2022-04-12 revision 4491bb740a) [x86_64-linux-gnu]", "3.1.2p20"),
    ("php", "PHP 8.2.28 (cli) (built: Mar 13 2025)", "8.2.28"),
    ("perl", "\nThis is perl 5, version 36, subversion 0 (v5.36.0) built for x", "5.36.0"),
]


@pytest.mark.parametrize(("name", "answer", "version"), VERSIONS)
def test_versions(name: str, answer: str, version: str) -> None:
    assert ROWS[name].is_meant(answer)
    assert ROWS[name].read_version(answer) == version


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("gcc", "Apple clang version 15.0.0 (clang-1500.3.9.4)"),
        ("imagemagick", "convert: a disk tool 1.2.3"),
        ("make", "usage: make [-BeikNnqrSstWwX] 1.2"),
        ("clang", "gcc (Debian 12.2.0-14) 12.2.0"),
        ("tsc", "error: unknown option 1.2.3"),
        ("docker", "Emulate Docker CLI using podman. podman version 4.3.1"),
    ],
)
def test_namesakes_are_recognised(name: str, answer: str) -> None:
    assert not ROWS[name].is_meant(answer)


def test_imagemagicks_formats() -> None:
    answer = (
        "   Format  Module    Mode  Description\n"
        "-------------------------------------------\n"
        "      3FR  DNG       r--   Hasselblad CFV/H3D39II\n"
        "     AVIF  HEIC      rw+   AV1 Image File Format (1.15.1)\n"
        "     HEIC* HEIC      rw+   High Efficiency Image Format\n"
        "     WEBP* rw-   WebP Image Format (libwebp 1.2.4[020E])\n"
        "     INFO  INFO      -w+   The image format and characteristics\n"
        "\n* native blob support\nr read support\n"
    )
    assert image_formats(answer) == ("3fr:read", "avif", "heic", "info:write", "webp")


def test_ffmpegs_encoders() -> None:
    answer = (
        "Encoders:\n V..... = Video\n A..... = Audio\n ------\n"
        " V....D libx264              libx264 H.264 / AVC (codec h264)\n"
        " A....D aac                  AAC (Advanced Audio Coding)\n"
    )
    assert encoders(answer) == ("aac", "libx264")


def test_dockers_daemon() -> None:
    running = {"Client": {"Version": "28"}, "Server": {"Os": "linux", "Arch": "amd64"}}
    assert docker_daemon(json.dumps(running)) == ("daemon", "linux/amd64")
    stopped = json.dumps({"Client": {"Version": "28"}, "Server": None})
    assert docker_daemon(f"{stopped}\nCannot connect to the Docker daemon") == ()
    assert docker_daemon("permission denied") == ()


def test_others() -> None:
    assert target("x86_64-linux-gnu\n") == ("x86_64-linux-gnu",)
    assert target("arm64-apple-darwin23.4.0\n") == ("arm64-apple-darwin23.4.0",)
    assert target("gcc: error: no input files") == ()
    assert cmake_generators('{"generators": [{"name": "Ninja"}, {"name": "Xcode"}]}') == (
        "Ninja",
        "Xcode",
    )
    assert curl_abilities("curl 8\nProtocols: http https\nFeatures: HTTP2 SSL\n") == (
        "HTTP2",
        "SSL",
        "http",
        "https",
    )
    assert python_abilities("warning\nbuildnet: cpython pip venv\n") == ("cpython", "pip", "venv")
    dotnet = (
        ".NET SDKs installed:\n  8.0.100 [/usr/share/dotnet/sdk]\n\n.NET runtimes installed:\n"
        "  Microsoft.NETCore.App 8.0.0 [/usr/share/dotnet/shared]\n"
    )
    assert dotnet_kits(dotnet) == ("Microsoft.NETCore.App 8.0.0", "sdk 8.0.100")
    assert len(listed([str(number) for number in range(2 * LIMIT)])) == LIMIT


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
@given(st.text(max_size=200))
def test_every_row_takes_any_text(row: object, text: str) -> None:
    program = ROWS[row.name]  # type: ignore[attr-defined]
    program.read_version(text)
    program.is_meant(text)
    for probe in program.capabilities:
        assert all(probe.parse(text))
