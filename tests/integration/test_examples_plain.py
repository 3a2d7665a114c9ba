"""The example workspaces, built by a few lines of plain Python instead of BuildNet.

Every command runs in a fresh directory that holds its declared inputs and nothing else, with the
environment that BuildNet gives. So these tests prove that the declarations are complete, that the
outputs are the same byte for byte wherever they are built, and that the artifacts work.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
import wave
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
SOURCE_EPOCH_S = 315_532_800  # 1980-01-01
PERIODS_IN_DAYS = {
    "Algol": 2.8673,
    "Delta Cephei": 5.3663,
    "Eta Aquilae": 7.1768,
    "RR Lyrae": 0.56687,
}
NATIVE = ("alphabet", "libmorse", "telegraph", "keyer")
NETWORK_ERROR = re.compile("ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH")


@dataclass(frozen=True, slots=True)
class Task:
    """A package's build, or another of its tasks (`library#test`)."""

    path: str
    command: str
    depends_on: tuple[str, ...]
    sources: tuple[str, ...]
    exports: tuple[str, ...]
    outputs: tuple[str, ...]
    tools: tuple[str, ...]
    env: Mapping[str, str]
    path_prepend: tuple[str, ...]
    dependencies_tree: bool


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a task made."""

    content: bytes
    executable: bool


class CommandError(Exception):
    """A command failed, or did not make what it declares."""


def read_tasks(workspace: Path) -> dict[str, Task]:
    """All tasks of `buildnet.yaml` by name, in dependency order."""
    definition = yaml.safe_load((workspace / "buildnet.yaml").read_text("utf-8"))
    tasks: dict[str, Task] = {}
    for package in definition["packages"]:
        tasks[package["name"]] = _task(package, package, package["build_cmd"], ())
        for name, settings in package.get("tasks", {}).items():
            own = {"build": package["name"]}
            after = tuple(own[task] for task in settings.get("depends_on", ()))
            tasks[f"{package['name']}#{name}"] = _task(package, settings, settings["cmd"], after)
    order = TopologicalSorter({name: task.depends_on for name, task in tasks.items()})
    return {name: tasks[name] for name in order.static_order()}


def _task(
    package: dict[str, Any], settings: dict[str, Any], command: str, after: tuple[str, ...]
) -> Task:
    outputs = settings.get("outputs", ())
    if "output_dir" in settings:
        outputs = (*outputs, settings["output_dir"])
    return Task(
        path=package["path"],
        command=command,
        depends_on=(*package.get("dependencies", ()), *after),
        sources=tuple(settings["sources"]),
        exports=tuple(settings.get("exports", ())),
        outputs=tuple(outputs),
        tools=tuple(package["tools"]),
        env=settings.get("env", {}),
        path_prepend=tuple(package.get("path_prepend", ())),
        dependencies_tree=package.get("dependencies_tree", True),
    )


def tool_path(tools: Iterable[str]) -> str:
    """PATH with the declared tools and the system's defaults."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    directories = []
    for tool in tools:
        found = shutil.which(tool, path=search)
        if found is None:
            pytest.skip(f"{tool} is not installed")
        directories.append(str(Path(found).parent))
    return os.pathsep.join([*dict.fromkeys(directories), "/usr/local/bin", "/usr/bin", "/bin"])


def environment(task: Task, stage: Path, private: Path) -> dict[str, str]:
    """All that a command is given: nothing of this process's own environment."""
    private.mkdir(parents=True)
    first = [str(stage / directory) for directory in task.path_prepend]
    return {
        "PATH": os.pathsep.join([*first, tool_path(task.tools)]),
        "HOME": str(private),
        "TMPDIR": str(private),
        "SOURCE_DATE_EPOCH": str(SOURCE_EPOCH_S),
        "LANG": "C.UTF-8",
        **task.env,
    }


def files_below(directory: Path) -> dict[str, Path]:
    """Every file but those of node_modules, by its sorted relative name."""
    found = {
        (Path(parent) / name).relative_to(directory).as_posix(): Path(parent) / name
        for parent, _, names in os.walk(directory)
        for name in names
    }
    return {name: found[name] for name in sorted(found) if not name.startswith("node_modules/")}


def build(
    workspace: Path, place: Path, only: Iterable[str] = (), node_modules: Path | None = None
) -> dict[str, dict[str, Output]]:
    """Build in stages below `place`; return the outputs of each task, by their names.

    Raises:
        CommandError: a command failed, made too little, or wrote what it does not declare.
    """
    built: dict[str, dict[str, Output]] = {}
    tasks = read_tasks(workspace)
    wanted = set(only) or set(tasks)
    for name, task in tasks.items():
        if name in wanted:
            built[name] = _run(workspace, place / name, task, tasks, built, node_modules)
    return built


def _run(
    workspace: Path,
    place: Path,
    task: Task,
    tasks: Mapping[str, Task],
    built: Mapping[str, Mapping[str, Output]],
    node_modules: Path | None,
) -> dict[str, Output]:
    stage = place / "stage"
    patterns = [*task.sources]
    for dependency in task.depends_on:
        patterns += tasks[dependency].exports
        for name, file in built[dependency].items():
            write(stage / name, file)
    for pattern in patterns:
        matches = sorted(workspace.glob(pattern))
        assert matches, f"{pattern} matches nothing"
        for source in matches:
            target = stage / source.relative_to(workspace)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    for path in files_below(stage).values():
        os.utime(path, (SOURCE_EPOCH_S, SOURCE_EPOCH_S))
    if node_modules is not None and task.dependencies_tree:
        shutil.copytree(node_modules, stage / "node_modules", symlinks=True, copy_function=os.link)

    given = set(files_below(stage))
    ended = subprocess.run(
        ["/bin/sh", "-c", task.command],
        cwd=stage / task.path,
        env=environment(task, stage, place / "private"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise CommandError(f"{task.command}\n{ended.stdout}{ended.stderr}")

    made = {name: path for name, path in files_below(stage).items() if name not in given}
    for output in task.outputs:
        if not (stage / output).exists():
            raise CommandError(f"{output} was not made")
    for name in made:
        if not any(name == output or name.startswith(f"{output}/") for output in task.outputs):
            raise CommandError(f"{name} is not declared")
    return {
        name: Output(path.read_bytes(), os.access(path, os.X_OK)) for name, path in made.items()
    }


def write(path: Path, output: Output) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(output.content)
    path.chmod(0o755 if output.executable else 0o644)


def workspace_copy(workspace: Path, target: Path) -> Path:
    """The sources of an example, to change them."""
    shutil.copytree(workspace, target, ignore=shutil.ignore_patterns("dist", "node_modules"))
    return target


def output_of(*command: str | Path, text: str | None = None, **env: str) -> str:
    """Run a program with no environment but PATH and `env`; return what it prints."""
    path = tool_path(["python3"])
    return subprocess.run(
        command,
        env={"PATH": path, **env},
        input=text,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


@dataclass(frozen=True, slots=True)
class Builds:
    """An example built twice, in two places; `root` has all outputs where they belong."""

    root: Path
    first: Mapping[str, Mapping[str, Output]]
    second: Mapping[str, Mapping[str, Output]]


def build_twice(
    workspace: Path, place: Path, only: Iterable[str] = (), node_modules: Path | None = None
) -> Builds:
    first = build(workspace, place / "first", only, node_modules)
    second = build(workspace, place / "the second, in a longer path", only, node_modules)
    for outputs in first.values():
        for name, output in outputs.items():
            write(place / "root" / name, output)
    return Builds(place / "root", first, second)


@pytest.fixture(scope="module")
def observatory(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    return build_twice(EXAMPLES / "observatory", tmp_path_factory.mktemp("observatory"))


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    """What the polyglot example builds without npm."""
    return build_twice(EXAMPLES / "polyglot", tmp_path_factory.mktemp("native"), NATIVE)


@pytest.fixture(scope="module")
def polyglot(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    place = tmp_path_factory.mktemp("polyglot")
    return build_twice(
        EXAMPLES / "polyglot", place, node_modules=install_npm(EXAMPLES / "polyglot", place)
    )


def install_npm(workspace: Path, place: Path) -> Path:
    """Install from the lock file, beside nothing but the manifests."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    installed = place / "installed"
    manifests = sorted(workspace.glob("*/package.json"))
    for manifest in [workspace / "package.json", workspace / "package-lock.json", *manifests]:
        target = installed / manifest.relative_to(workspace)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(manifest, target)
    ended = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"],
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        if error := NETWORK_ERROR.search(ended.stderr):
            pytest.skip(f"npm does not reach its registry ({error[0]})")
        pytest.fail(f"npm ci failed\n{ended.stderr}")
    return installed / "node_modules"


@pytest.mark.parametrize("name", ["observatory", "polyglot", "fractal"])
def test_a_workspace_has_at_least_six_packages_and_says_all(name: str) -> None:
    definition = yaml.safe_load((EXAMPLES / name / "buildnet.yaml").read_text("utf-8"))
    assert definition["workspace"] == name
    assert len(definition["packages"]) >= 6
    for package in definition["packages"]:
        assert {"name", "path", "build_cmd", "sources", "tools"} <= package.keys()
        assert {"outputs", "output_dir"} & package.keys()


@pytest.mark.parametrize(
    ("text", "replacement", "error"),
    [
        (", tools/archive.py]", "]", "No module named 'archive'"),
        ("build_cmd: python3", "build_cmd: touch x; python3", "schema/x is not declared"),
    ],
)
def test_what_is_not_declared_fails(
    tmp_path: Path, text: str, replacement: str, error: str
) -> None:
    workspace = workspace_copy(EXAMPLES / "observatory", tmp_path / "workspace")
    definition = workspace / "buildnet.yaml"
    definition.write_text(definition.read_text("utf-8").replace(text, replacement), "utf-8")
    with pytest.raises(CommandError, match=error):
        build(workspace, tmp_path / "place", ["schema", "library"])


class TestObservatory:
    def test_outputs_are_the_same_in_two_places(self, observatory: Builds) -> None:
        assert observatory.first == observatory.second
        assert all(observatory.first[name] for name in ("schema", "library", "report", "release"))

    def test_the_program_finds_the_periods(self, observatory: Builds) -> None:
        program = observatory.root / "program/dist/lightcurve.pyz"
        data = observatory.root / "observations/dist/observations.csv"
        lines = output_of(program, "summary", data).splitlines()[1:]
        found = {}
        for line in lines:
            match = re.fullmatch(r"(.+?) {2,}\d+ +([\d.]+) +([\d.]+)  (\w+)", line)
            assert match is not None, line
            found[match[1]] = float(match[2])
            assert match[4] == ("eclipsing" if match[1] == "Algol" else "pulsating")
        assert found == pytest.approx(PERIODS_IN_DAYS, rel=2e-3)

    def test_the_program_holds_byte_code_that_is_not_checked(self, observatory: Builds) -> None:
        with zipfile.ZipFile(observatory.root / "program/dist/lightcurve.pyz") as archive:
            names = archive.namelist()
            modules = [name for name in names if name.endswith(".py")]
            assert "lightcurve/observation.py" in modules
            assert sorted(names) == sorted(modules + [f"{name}c" for name in modules])
            for name in modules:
                flags = int.from_bytes(archive.read(f"{name}c")[4:8], "little")
                assert flags == 0b01, "hash-based, and not checked against the source"

    def test_the_data_are_clean(self, observatory: Builds) -> None:
        with (observatory.root / "observations/dist/observations.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["star"] for row in rows} == set(PERIODS_IN_DAYS)
        assert {row["instrument"] for row in rows} == {"camera", "photometer"}
        assert len({tuple(row.values()) for row in rows}) == len(rows) > 500
        assert rows == sorted(rows, key=lambda row: (row["star"], float(row["time"])))
        assert all(-2 < float(row["magnitude"]) < 10 for row in rows)

    def test_the_report_draws_every_star(self, observatory: Builds) -> None:
        page = (observatory.root / "report/dist/report.html").read_text("utf-8")
        charts = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.S)]
        assert len(charts) == len(PERIODS_IN_DAYS)
        for chart in charts:
            assert len(chart.findall("circle")) > 200
            assert len(chart.findall("polyline")) == 1

    def test_pages_of_the_manual_link_to_each_other(self, observatory: Builds) -> None:
        manual = observatory.root / "manual/dist/manual"
        pages = {path.name: path.read_text("utf-8") for path in manual.iterdir()}
        for page in pages.values():
            assert set(re.findall(r'href="([^"]+)"', page)) == set(pages)
            assert "{{" not in page
        assert "<td><code>magnitude</code></td><td>float</td><td>mag</td>" in pages["data.html"]

    def test_the_wheel_records_its_files(self, observatory: Builds) -> None:
        (wheel,) = (observatory.root / "library/dist").iterdir()
        with zipfile.ZipFile(wheel) as archive:
            record = archive.read("lightcurve-1.0.0.dist-info/RECORD").decode().splitlines()
            listed = {name: (digest, size) for name, digest, size in csv.reader(record)}
            assert list(listed) == archive.namelist()
            assert listed.pop("lightcurve-1.0.0.dist-info/RECORD") == ("", "")
            for name, (digest, size) in listed.items():
                content = archive.read(name)
                encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
                assert digest == f"sha256={encoded.decode().rstrip('=')}"
                assert int(size) == len(content)

    def test_the_wheel_installs_with_pip(self, observatory: Builds, tmp_path: Path) -> None:
        (wheel,) = (observatory.root / "library/dist").iterdir()
        python = python_with_pip()
        target = tmp_path / "target"
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--no-index", "--target", target, wheel],
            check=True,
            capture_output=True,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )
        script = "import lightcurve; print(lightcurve.phase(7.5, 5.0), lightcurve.__file__)"
        printed = output_of(python, "-c", script, PYTHONPATH=str(target))
        assert printed == f"0.5 {target}/lightcurve/__init__.py\n"
        assert (target / "lightcurve-1.0.0.dist-info/METADATA").is_file()

    def test_the_release_holds_every_artifact_and_its_checksum(self, observatory: Builds) -> None:
        release = observatory.root / "release/dist"
        sums = {}
        for line in (release / "SHA256SUMS").read_text("utf-8").splitlines():
            digest, name = line.split("  ")
            sums[name] = digest
        files = files_below(release)
        del files["SHA256SUMS"]
        assert sums == {
            name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()
        }
        assert os.access(release / "lightcurve.pyz", os.X_OK)
        assert {"report.html", "observations.csv", "manual/index.html"} <= sums.keys()

    def test_a_new_measurement_changes_what_the_readme_says(
        self, observatory: Builds, tmp_path: Path
    ) -> None:
        workspace = workspace_copy(EXAMPLES / "observatory", tmp_path / "workspace")
        with (workspace / "observations/raw/camera.csv").open("a") as file:
            file.write("algol,2024-03-28T20:00:00Z,2.130,0.030\n")
        changed = build(workspace, tmp_path / "place")
        different = {name for name in changed if changed[name] != observatory.first[name]}
        assert different == {"observations", "report", "release"}


def python_with_pip() -> str:
    """A Python that has pip; environments made by uv have none, what they are made from has."""
    base = Path(sys.base_prefix) / "bin" / "python3"
    for python in (sys.executable, str(base)):
        found = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False)
        if found.returncode == 0:
            return python
    pytest.skip("pip is not installed")


class TestPolyglot:
    def test_the_lock_file_names_no_address(self) -> None:
        assert "://" not in (EXAMPLES / "polyglot/package-lock.json").read_text("utf-8")

    def test_native_outputs_are_the_same_in_two_places(self, native: Builds) -> None:
        assert native.first == native.second
        assert set(native.first["libmorse"]) == {
            "libmorse/dist/libmorse.a",
            "libmorse/dist/morse.h",
        }

    def test_the_c_program_sends_and_reads(self, native: Builds) -> None:
        telegraph = native.root / "telegraph/dist/telegraph"
        assert output_of(telegraph, "encode", text="sos\n") == "... --- ...\n"
        assert output_of(telegraph, "decode", text="... --- ... / .-\n") == "SOS A\n"
        with pytest.raises(subprocess.CalledProcessError):
            output_of(telegraph, "decode", text="........\n")

    def test_the_python_program_reads_what_the_c_program_sends(self, native: Builds) -> None:
        code = output_of(native.root / "telegraph/dist/telegraph", "encode", text="Hello, world\n")
        keyer = native.root / "keyer/dist/keyer.pyz"
        assert output_of(keyer, "decode", text=code) == "HELLO, WORLD\n"

    def test_a_changed_table_reaches_every_language(self, tmp_path: Path) -> None:
        workspace = workspace_copy(EXAMPLES / "polyglot", tmp_path / "workspace")
        table = workspace / "alphabet/morse.csv"
        table.write_text(table.read_text("ascii").replace("S,...\n", "S,.......\n"), "ascii")
        built = build(workspace, tmp_path / "place", NATIVE)
        for name in ("telegraph/dist/telegraph", "keyer/dist/keyer.pyz"):
            write(tmp_path / name, built[name.split("/")[0]][name])
            assert output_of(tmp_path / name, "encode", text="s\n") == ".......\n"
        assert b'["S", "......."]' in built["alphabet"]["alphabet/dist/table.js"].content

    def test_all_outputs_are_the_same_in_two_places(self, polyglot: Builds) -> None:
        assert polyglot.first == polyglot.second
        assert set(polyglot.first["codec"]) == {"codec/dist/index.js", "codec/dist/index.d.ts"}

    def test_the_three_languages_agree(self, polyglot: Builds) -> None:
        agreement = polyglot.root / "agreement/dist"
        text = (agreement / "agreement.txt").read_text("utf-8")
        assert text.startswith("C, TypeScript, Python agree on 4 messages.\n")
        assert "\nSOS SOS: 41.46 N, 50.14 W\n... --- ... / ... --- ..." in text
        with wave.open(str(agreement / "message.wav"), "rb") as sound:
            assert sound.getframerate() == 8000
            assert sound.getnframes() == 190 * 480  # units of time, samples in each

    def test_a_difference_fails_the_build(self, polyglot: Builds) -> None:
        stage = polyglot.root.parent / "first" / "agreement" / "stage"
        (stage / "wrong.py").write_text("import sys\nsys.stdout.write('.-\\n')\n", "utf-8")
        command = read_tasks(EXAMPLES / "polyglot")["agreement"].command
        checked = subprocess.run(
            ["/bin/sh", "-c", command.replace("../keyer/dist/keyer.pyz", "../wrong.py")],
            cwd=stage / "agreement",
            env={"PATH": tool_path(["node", "python3"])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 1
        assert "code of Python differs" in checked.stderr
