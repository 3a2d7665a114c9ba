"""``buildnet config create`` on a terminal: a configuration, question by question.

Follows section 7.2 of the source document 002: template, cores, memory, storage, tools, all of them
offered as the pool has them now; then what it comes to, and whether to keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from buildnet.cli.output import bytes_text, printable
from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.configuration import identifier_of
from buildnet.pool.quantity import GIB, QuantityError, parse_bytes

Document = dict[str, Any]
_FRESH = "nothing: a fresh configuration"
_SHOWN_TOOLS = 40


class Terminal(Protocol):
    """Where a person is asked."""

    def say(self, text: str) -> None:
        """Print a line."""

    def ask(self, question: str, default: str) -> str:
        """Return what they type; an empty line means the default."""

    def confirm(self, question: str, default: bool) -> bool:
        """Return whether they say yes."""


@dataclass(slots=True)
class Creator:
    """Asks for a configuration. ``pool`` is the answer of ``/api/pool``, ``templates`` those that
    there are, ``taken`` the ids that are in use; ``fill`` makes a document of a template and values
    for its variables; ``check`` tells what of a document has no effect, or is more than there is;
    ``estimate`` says how long a build would
    take with it, in lines."""

    terminal: Terminal
    pool: Mapping[str, Any]
    templates: Sequence[Mapping[str, Any]]
    taken: frozenset[str]
    fill: Callable[[str, Mapping[str, Any]], Document]
    check: Callable[[Document], Sequence[str]]
    estimate: Callable[[Document], Sequence[str]]
    _document: Document = field(default_factory=dict)

    def create(self, name: str | None = None) -> Document | None:
        """Return what is to be kept; None: they did not want it after all.

        Raises:
            BuildNetError: the node can't be asked.
        """
        self._template()
        resources = self._document.setdefault("resources", {})
        self._cores(resources.setdefault("cpu", {}))
        self._memory(resources.setdefault("memory", {}))
        self._storage(resources.setdefault("storage", {}))
        self._tools(resources)
        document = _without_empty({"id": self._name(name), **self._document})
        self._show(document)
        return document if self.terminal.confirm("Keep this configuration?", True) else None

    # --- the questions -------------------------------------------------------------------------

    def _template(self) -> None:
        names = [
            f"{one['id']}: {one.get('description') or one.get('name') or ''}".rstrip(": ")
            for one in self.templates
        ]
        number = self._one_of("Start from", [_FRESH, *names])
        if number == 0:
            return
        template = self.templates[number - 1]
        values: dict[str, Any] = {}
        for variable in template.get("variables", ()):
            self._variable(template["id"], variable, values)
        self._document = dict(self.fill(template["id"], values))
        self._document.pop("id", None)

    def _variable(self, template: str, variable: Mapping[str, Any], values: Document) -> None:
        """Ask for one variable until the template takes it."""
        from buildnet.pool.template import Variable

        default = variable.get("default")
        question = variable.get("description") or variable["name"]
        reader = Variable.model_validate(dict(variable))
        while True:
            answer = self.terminal.ask(question, "" if default is None else _text(default))
            try:
                values[variable["name"]] = reader.value(answer)
            except ValueError as error:
                self.terminal.say(f"  {error}")
            else:
                return

    def _cores(self, cpu: Document) -> None:
        aggregate, nodes = self.pool["aggregate"], self.pool["nodes"]
        self._head("CPU")
        self.terminal.say(
            f"Available: {aggregate['available_cpu_cores']} of {aggregate['total_cpu_cores']} "
            f"cores across {_count(len(nodes), 'node')}"
        )
        most = int(aggregate["total_cpu_cores"])
        cores = self._number("How many CPU cores? (0: all)", int(cpu.get("cores", 0)), most)
        if cores:
            cpu["cores"] = cores
        else:
            cpu.pop("cores", None)
        execution = self._document.setdefault("execution", {})
        if execution.get("local_only") or len(nodes) < 2:
            return
        if self.terminal.confirm("Prefer this host's cores?", bool(execution.get("prefer_local"))):
            execution["prefer_local"] = True
        else:
            execution.pop("prefer_local", None)

    def _memory(self, memory: Document) -> None:
        aggregate, nodes = self.pool["aggregate"], self.pool["nodes"]
        self._head("Memory")
        self.terminal.say(
            f"Available: {bytes_text(aggregate['available_memory_bytes'])} across "
            f"{_count(len(nodes), 'node')}"
        )
        most = aggregate["total_memory_bytes"] / GIB
        default = float(memory.get("gb", 0))
        gib = self._size("How much memory (GiB)? (0: all)", default, most)
        if gib:
            memory["gb"] = gib
        else:
            memory.pop("gb", None)

    def _storage(self, storage: Document) -> None:
        """Ask on which other node results are kept as well; each has one place for them."""
        room: dict[str, tuple[float, str]] = {}
        me = {one["id"] for one in self.pool["nodes"] if one.get("this_node")}
        for one in self.pool["aggregate"]["storage_volumes"]:
            if not one["problem"] and one["node_id"] not in me:
                here = (one["available_bytes"], f"{one['path']}, {one['storage_class']}")
                room[one["node_name"]] = max(room.get(one["node_name"], (0.0, "")), here)
        self._head("Storage")
        if not room:
            self.terminal.say("There is no other node to keep results on.")
            return
        names = sorted(room)
        offered = [f"{name} ({bytes_text(room[name][0])} free: {room[name][1]})" for name in names]
        number = self._one_of("Keep what builds make also on", ["no other node", *offered])
        if number == 0:
            return
        volume: Document = {"node_id": names[number - 1], "purpose": "output"}
        most = room[names[number - 1]][0] / GIB
        size = self._size("How much of one build at most (GiB)? (0: no bound)", 0.0, most)
        if size:
            volume["size_gb"] = size
        storage["volumes"] = [*storage.get("volumes", ()), volume]

    def _tools(self, resources: Document) -> None:
        aggregate = self.pool["aggregate"]
        self._head("Tools")
        kinds = dict.fromkeys(aggregate["tools"], "tools")
        kinds |= dict.fromkeys(aggregate["runtimes"], "runtimes")
        self.terminal.say(f"In the pool: {_some(sorted(kinds))}")
        before = [
            _program_text(one) for key in ("tools", "runtimes") for one in resources.get(key, ())
        ]
        while True:
            answer = self.terminal.ask(
                "Which must be there? (names, such as: git, node >=20; empty: none)",
                ", ".join(before),
            )
            wanted = [one.strip() for one in answer.split(",") if one.strip()]
            unknown = [one for one in wanted if one.split()[0] not in kinds]
            if not unknown:
                break
            name = unknown[0].split()[0]
            hint = did_you_mean(name, kinds) or "buildnet pool resources lists them"
            self.terminal.say(f"  no node has {printable(name)}: {hint}")
            before = []
        for key in ("tools", "runtimes"):
            chosen = [one for one in wanted if kinds[one.split()[0]] == key]
            if chosen:
                resources[key] = chosen
            else:
                resources.pop(key, None)

    def _name(self, name: str | None) -> str:
        while True:
            found = name or self.terminal.ask("Name of the configuration", "")
            identity = found if found == identifier_of(found) else identifier_of(found)
            if found and identity != found and identity:
                self.terminal.say(f"  it is kept under the id {identity}")
            if not identity:
                self.terminal.say("  letters, digits, '.', '_' and '-', please")
            elif identity in self.taken:
                self.terminal.say(f"  there is one called {identity}: another name, please")
            else:
                return identity
            name = None

    def _show(self, document: Document) -> None:
        from buildnet.cli.saved import yaml_text

        self._head("The configuration")
        self.terminal.say(yaml_text(document).rstrip())
        for warning in self.check(document):
            self.terminal.say(f"warning: {warning}")
        for line in self.estimate(document):
            self.terminal.say(line)

    # --- asking --------------------------------------------------------------------------------

    def _head(self, text: str) -> None:
        self.terminal.say(f"\n{text}")

    def _one_of(self, question: str, choices: Sequence[str]) -> int:
        """Return which of the choices they take, from 0 on: the default."""
        for number, choice in enumerate(choices):
            self.terminal.say(f"  {number}  {printable(choice)}")
        return self._number(f"{question} (number)", 0, len(choices) - 1)

    def _number(self, question: str, default: int, most: int) -> int:
        while True:
            answer = self.terminal.ask(question, str(default)).strip()
            if answer.isascii() and answer.isdigit() and len(answer) <= 9 and int(answer) <= most:
                return int(answer)
            self.terminal.say(f"  a number from 0 to {most}, please")

    def _size(self, question: str, default: float, most_gib: float) -> float:
        """Return so many GiB; a unit may be written."""
        while True:
            answer = self.terminal.ask(question, f"{default:g}").strip()
            try:
                plain = answer.replace(".", "", 1).isdigit()
                found = float(answer) if plain else parse_bytes(answer) / GIB
            except (QuantityError, ValueError):
                found = -1.0
            if 0 <= found <= most_gib:
                return round(found, 3)
            self.terminal.say(f"  a size from 0 to {most_gib:.1f} GiB, please, such as 4 or 512 MB")


def _program_text(one: object) -> str:
    if isinstance(one, Mapping):
        return f"{one['name']} {one.get('version') or ''}".strip()
    return str(one)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_TOOLS} more" if len(names) > _SHOWN_TOOLS else ""
    return ", ".join(map(printable, names[:_SHOWN_TOOLS])) + more if names else "none"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without_empty(document: Document) -> Document:
    """Return a document without mappings that say nothing."""
    found: Document = {}
    for key, value in document.items():
        inner = _without_empty(value) if isinstance(value, dict) else value
        if inner not in ({}, []):
            found[key] = inner
    return found
