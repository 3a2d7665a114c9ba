"""The documentation says what is true: pages, examples, commands, links and error codes."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml

import buildnet
from buildnet.cli.commands import app
from buildnet.cli.reference import GENERAL_OPTIONS, PAGES, commands
from buildnet.cli.settings import split_arguments
from buildnet.cli.testing import CommandLine
from buildnet.mesh.errors import BuildNetError
from buildnet.node.config import parse_config
from buildnet.pool.configuration import parse_configuration
from buildnet.pool.detect.install import LOCK_FILES
from buildnet.pool.profile import parse_profile
from buildnet.pool.template import parse_template
from buildnet.pool.workspace import load_workspace

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
DOCUMENTS = sorted(DOCS.rglob("*.md"))
_FENCE = re.compile(r"^ *```(?P<info>[^\n]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_CODE_IN_SOURCE = re.compile(r"\bcode(?:\"\s*:|\s*=)\s*(\"[A-Z_]+\"[^,\n]*)")
_COMMANDS: dict[str, Any] = dict(commands(typer.main.get_command(app)))


class Block(NamedTuple):
    """A fenced block: where it stands (``page:line``), its info string, its text."""

    where: str
    info: str
    text: str


def blocks(kind: str) -> list[Block]:
    """Return the blocks of all pages whose info string is ``kind``."""
    found: list[Block] = []
    for page in DOCUMENTS:
        text = page.read_text()
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(f"{page.relative_to(DOCS)}:{line}", match["info"], match["text"]))
    return [block for block in found if block.info == kind]


def shown_commands() -> list[tuple[str, str]]:
    """Return where and which ``buildnet …`` commands stand after a ``$`` in console blocks."""
    found: list[tuple[str, str]] = []
    for block in blocks("console"):
        for line in block.text.splitlines():
            if line.startswith("$ "):
                parts = re.split(r"\s(?:&&|\|\|?|;|>)\s", line.removeprefix("$ "))
                found += [(block.where, one.strip()) for one in parts if "buildnet " in one]
    return found


def without_code(page: Path) -> str:
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text()))


def ids(cases: list[Any]) -> list[str]:
    return [case[0] for case in cases]


@pytest.mark.parametrize("page", sorted(PAGES))
def test_generated_pages_are_current(page: str) -> None:
    update = f"uv run python -m buildnet.cli.reference {page} > docs/reference/{page}.md"
    text = (DOCS / f"reference/{page}.md").read_text()
    assert text == PAGES[page](), f"docs/reference/{page}.md is old; update it with: {update}"


YAML_BLOCKS = blocks("yaml buildnet.yaml")
NODE_BLOCKS = blocks("yaml node.yaml")
SAVED: dict[str, Callable[[str, str], object]] = {
    "configuration": parse_configuration,
    "template": parse_template,
    "profile": parse_profile,
}


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=ids(YAML_BLOCKS))
def test_examples_of_buildnet_yaml_load(block: Block, tmp_path: Path) -> None:
    (tmp_path / "buildnet.yaml").write_text(block.text)
    data = yaml.safe_load(block.text)
    for package in data["packages"]:
        (tmp_path / package["path"]).mkdir(parents=True, exist_ok=True)
    if "install" in data:
        manager = data["install"]
        manager = manager if isinstance(manager, str) else manager["manager"]
        (tmp_path / "package.json").write_text("{}")
        (tmp_path / LOCK_FILES[manager][0]).write_text("{}")
    assert load_workspace(tmp_path).file == tmp_path.resolve() / "buildnet.yaml"


@pytest.mark.parametrize("block", NODE_BLOCKS, ids=ids(NODE_BLOCKS))
def test_examples_of_node_yaml_load(block: Block) -> None:
    said = yaml.safe_load(block.text)
    assert parse_config(block.text, block.where).model_fields_set >= said.keys()


@pytest.mark.parametrize("kind", SAVED)
def test_examples_of_what_is_kept_for_all_are_good(kind: str) -> None:
    shown = blocks(f"yaml {kind}")
    assert shown
    for block in shown:
        assert SAVED[kind](block.text, block.where) is not None


def test_yaml_is_marked_with_what_it_is() -> None:
    kinds = {match["info"] for page in DOCUMENTS for match in _FENCE.finditer(page.read_text())}
    known = {"console", "json", "python", "yaml buildnet.yaml", "yaml node.yaml"}
    known.add("yaml prometheus.yml")
    assert kinds <= known | {f"yaml {kind}" for kind in SAVED}
    assert len(YAML_BLOCKS) >= 5
    assert NODE_BLOCKS


JSON_BLOCKS = blocks("json")


@pytest.mark.parametrize("block", JSON_BLOCKS, ids=ids(JSON_BLOCKS))
def test_examples_of_json_are_json(block: Block) -> None:
    assert isinstance(json.loads(block.text), dict | list)


COMMANDS = shown_commands()


@pytest.mark.parametrize(("where", "line"), COMMANDS, ids=ids(COMMANDS))
def test_shown_commands_exist(where: str, line: str) -> None:
    words = shlex.split(line)
    if "buildnet" not in words:
        return  # a path or a name that ends so
    before, given = words[: words.index("buildnet")], words[words.index("buildnet") + 1 :]
    if before and before != ["uv", "run"]:
        return  # another program's argument: pipx uninstall buildnet
    _, left = split_arguments(given, {})
    if left == ["--help"]:
        return
    begins = (" ".join(left[:count]) for count in (3, 2, 1))
    name = next((known for known in begins if known in _COMMANDS), None)
    assert name is not None, f"{where}: no command begins so: {line}"
    known = {option for one in _COMMANDS[name].params for option in one.opts} | {"--help"}
    options = {word.partition("=")[0] for word in left if re.match("-+[a-z]", word)}
    assert options <= known, f"{where}: unknown options in: {line}"
    # The real parser has the last word: values, missing arguments.
    values = left[len(name.split()) :]
    if "--help" not in values:
        _COMMANDS[name].make_context(name, list(values))


def test_there_are_commands_to_look_at() -> None:
    shown = {line.removeprefix("uv run ") for _, line in COMMANDS}
    assert {"buildnet build", "buildnet demo", "buildnet cache verify"} <= shown
    missing = [name for name in _COMMANDS if not any(f"buildnet {name}" in one for one in shown)]
    assert missing == [], "show every command somewhere"


def test_the_general_options_are_those_of_the_program() -> None:
    for option in GENERAL_OPTIONS:
        value = {"--node": "http://x", "--format": "json", "--progress": "plain"}.get(option)
        assert split_arguments([option, value or "always"], {})[1] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.replace(" ", "-") for text in kept}


@pytest.mark.parametrize(
    "page",
    [*DOCUMENTS, REPOSITORY / "README.md"],
    ids=lambda page: str(page.relative_to(REPOSITORY)),
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(without_code(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        leads_to = (page.parent / path).resolve() if path else page
        assert leads_to.exists(), f"{page.name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(leads_to), f"{page.name}: no heading for {target}"


def test_pictures_are_there_and_told_in_words_and_none_is_left_over() -> None:
    shown: set[Path] = set()
    for page in [*DOCUMENTS, REPOSITORY / "README.md"]:
        for words, target in _PICTURE.findall(without_code(page)):
            picture = (page.parent / target).resolve()
            assert picture.exists(), f"{page.name} shows {target}, which is not there"
            assert words, f"{page.name} shows {target} without words for who can't see it"
            shown.add(picture)
    assert shown == set((DOCS / "screens").iterdir())


def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = (one.partition("#")[0] for one in _LINK.findall(without_code(page)))
        waiting += [(page.parent / one).resolve() for one in targets if one.endswith(".md")]
    assert seen == set(DOCUMENTS)


def plain(text: str) -> list[str]:
    """Return the lines without what differs from run to run: durations and ids."""
    text = re.sub(r"\b\d+(?:\.\d+)? (?:ms|s)\b", "<time>", text)
    return re.sub(r"build [0-9a-f]{12}\b", "build <id>", text).splitlines()


def test_the_quickstart_does_what_it_shows(equipped: CommandLine, tmp_path: Path) -> None:
    """The workspace of one's own, step by step, up to where the reader is asked to edit."""
    equipped.start()
    text = (DOCS / "quickstart.md").read_text()
    begin = text.index("## A workspace of your own")
    steps: list[str] = []
    expected: list[str] = []
    for match in _FENCE.finditer(text, begin, text.index("Now let `page` read", begin)):
        if match["info"] == "console":
            for line in match["text"].splitlines():
                if line.startswith("$ "):
                    steps.append(line.removeprefix("$ "))
                else:
                    expected += plain(line)
        else:
            steps.append(f"cat > buildnet.yaml <<'END'\n{match['text']}END")
    path = f"{Path(sys.executable).parent}{os.pathsep}{equipped.environment['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", "\n".join(steps)],
        cwd=tmp_path,
        env={**equipped.environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )
    assert plain(done.stdout) == expected
    assert done.returncode == 0


def error_codes() -> Iterator[str]:
    """Yield the codes of all error classes, and those that are written without a class."""
    for module in pkgutil.walk_packages(buildnet.__path__, "buildnet."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting: list[type[BuildNetError]] = [BuildNetError]
    while waiting:
        error = waiting.pop()
        if error.__module__.startswith("buildnet."):
            yield error.code
        waiting += error.__subclasses__()
    for room in ("mesh", "ledger", "pool", "node", "cli"):
        for file in (REPOSITORY / room).rglob("*.py"):
            if "node_modules" in file.parts:
                continue
            for said in _CODE_IN_SOURCE.findall(file.read_text()):
                yield from re.findall(r"\"([A-Z_]+)\"", said)


def test_every_error_code_is_explained() -> None:
    page = (DOCS / "reference/errors.md").read_text()
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|", page, re.MULTILINE)
    explained = {code for row in rows for code in re.findall(r"`([A-Z_]+)`", row)}
    in_code = set(error_codes())
    assert in_code - explained == set(), "add these to docs/reference/errors.md"
    assert explained - in_code == set(), "no code gives these any more"
    assert {"COMMAND_FAILED", "NOT_ALLOWED", "WORKSPACE"} <= in_code


def test_error_codes_in_other_pages_exist() -> None:
    known = set(error_codes())
    for page in DOCUMENTS:
        shown = re.findall(r"error\[([A-Z_]+)\]", page.read_text())
        assert set(shown) <= known, page


@pytest.mark.parametrize(
    ("page", "model"),
    [
        ("buildnet-yaml", "buildnet.pool.schema.FileKeys"),
        ("buildnet-yaml", "buildnet.pool.schema.PackageKeys"),
        ("buildnet-yaml", "buildnet.pool.schema.TaskKeys"),
        ("buildnet-yaml", "buildnet.pool.schema.HookKeys"),
        ("buildnet-yaml", "buildnet.pool.schema.InstallKeys"),
        ("node-yaml", "buildnet.node.config.NodeConfig"),
        ("node-yaml", "buildnet.node.config.NetworkSettings"),
        ("node-yaml", "buildnet.node.config.CacheSettings"),
        ("node-yaml", "buildnet.node.config.WorkerSettings"),
        ("node-yaml", "buildnet.node.config.SchedulingSettings"),
        ("node-yaml", "buildnet.node.config.LogSettings"),
        ("node-yaml", "buildnet.node.config.ResourceLimits"),
        ("node-yaml", "buildnet.node.config.CpuLimitSettings"),
        ("node-yaml", "buildnet.node.config.MemoryLimitSettings"),
        ("node-yaml", "buildnet.node.config.StorageLimitSettings"),
        *(
            ("configurations", f"buildnet.pool.{model}")
            for model in (
                *("configuration.BuildConfiguration", "configuration.ResourceSelection"),
                *("configuration.CpuSelection", "configuration.NodeCores"),
                *("configuration.MemorySelection", "configuration.NodeMemory"),
                *("configuration.StorageSelection", "configuration.StorageVolumeSelection"),
                *("configuration.ProgramRequirement", "configuration.BuildSettings"),
                *("configuration.ExecutionSettings", "template.Template", "template.Variable"),
                *("profile.Profile", "profile.Weights"),
            )
        ),
    ],
)
def test_every_key_is_explained(page: str, model: str) -> None:
    module, _, name = model.rpartition(".")
    keys = getattr(importlib.import_module(module), name).model_fields
    text = (DOCS / f"reference/{page}.md").read_text()
    missing = [key for key in keys if not re.search(rf"`(?:[\w.]+\.)?{key}(?:\.\w+)*`", text)]
    assert missing == [], f"explain these keys of {name} in docs/reference/{page}.md"
