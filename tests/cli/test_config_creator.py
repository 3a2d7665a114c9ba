"""``config create`` on a terminal: every question, what is refused, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from buildnet.cli.config_creator import Creator, Document
from buildnet.pool.builtin_templates import TEMPLATES
from buildnet.pool.configuration import read_configuration

GIB = 1 << 30


def volume(node: str, free: int) -> dict[str, Any]:
    return {
        "node_id": f"{node}-id",
        "node_name": node,
        "path": "/data",
        "available_bytes": free * GIB,
        "storage_class": "ssd",
        "problem": None,
    }


POOL: dict[str, Any] = {
    "nodes": [{"id": "here-id", "name": "here", "this_node": True}, {"id": "berta-id"}],
    "aggregate": {
        "total_cpu_cores": 12,
        "available_cpu_cores": 10,
        "total_memory_bytes": 32 * GIB,
        "available_memory_bytes": 20 * GIB,
        "storage_volumes": [volume("here", 500), volume("berta", 100), volume("berta", 40)],
        "tools": {"git": [], "make": []},
        "runtimes": {"node": []},
    },
}
ALONE = {
    "nodes": POOL["nodes"][:1],
    "aggregate": {**POOL["aggregate"], "storage_volumes": [volume("here", 500)]},
}


class Scripted:
    """Answers in order; an empty answer takes the default. ``said``: all that was shown."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def ask(self, question: str, default: str) -> str:
        self.said.append(question)
        return self.answers.pop(0) or default

    def confirm(self, question: str, default: bool) -> bool:
        self.said.append(question)
        answer = self.answers.pop(0)
        return default if not answer else answer == "y"


def asked(
    *answers: str, pool: Mapping[str, Any] = POOL, name: str | None = None
) -> tuple[Document | None, str]:
    """Return what was made of the answers, and all that was said."""
    terminal = Scripted(*answers)
    templates = [one.model_dump(mode="json") for one in TEMPLATES.values()]

    def fill(template: str, values: Mapping[str, Any]) -> Document:
        return TEMPLATES[template].fill(values, template).document()

    creator = Creator(
        terminal,
        pool,
        templates,
        frozenset({"taken"}),
        fill,
        lambda document: ["something has no effect"],
        lambda document: ["Estimated time: ~3 s"],
    )
    made = creator.create(name)
    assert not terminal.answers
    if made is not None:
        read_configuration(made, "what was made")
    return made, "\n".join(terminal.said)


def test_nothing_but_defaults_makes_a_configuration_that_takes_all() -> None:
    made, said = asked("", "", "", "", "", "", "plain", "")
    assert made == {"id": "plain"}
    assert "10 of 12 cores across 2 nodes" in said
    assert "20.0 GiB" in said
    assert "berta (100.0 GiB free: /data, ssd)" in said  # its largest, and not this node
    assert "here (" not in said
    assert "warning: something has no effect" in said
    assert "Estimated time: ~3 s" in said


def test_what_is_chosen_stands_in_it() -> None:
    made, _ = asked("0", "4", "y", "1.5 GB", "1", "20", "git, node >=20", "My Fast Build", "y")
    assert made == {
        "id": "my-fast-build",
        "resources": {
            "cpu": {"cores": 4},
            "memory": {"gb": 1.5},
            "storage": {"volumes": [{"node_id": "berta", "purpose": "output", "size_gb": 20.0}]},
            "tools": ["git"],
            "runtimes": ["node >=20"],
        },
        "execution": {"prefer_local": True},
    }


def test_a_template_asks_for_its_variables_and_its_values_are_the_defaults() -> None:
    number = str(list(TEMPLATES).index("quick") + 1)
    made, said = asked(number, "many", "0", "3", "", "n", "", "", "", "quick-one", "")
    assert made is not None
    assert made["resources"]["cpu"] == {"cores": 3, "priority": "high"}
    assert made["execution"] == {"strategy": "locality", "max_nodes": 1}
    assert said.count("expected a whole number from 1") == 2


def test_what_can_t_be_is_asked_for_again() -> None:
    made, said = asked(
        *("x", "-1", "99", "0"),  # the template
        *("13", "1.5", "2"),  # cores
        "",
        *("a lot", "33", "4"),  # memory
        "0",
        *("gti", "git"),  # tools
        *("!!", "taken", "mine"),
        "n",
    )
    assert made is None  # they did not want it
    assert "a number from 0 to 5" in said
    assert "a number from 0 to 12" in said
    assert "a size from 0 to 32.0 GiB" in said
    assert "no node has gti: did you mean 'git'?" in said
    assert "letters, digits" in said
    assert "there is one called taken" in said


def test_alone_there_is_less_to_ask() -> None:
    made, said = asked("", "", "", "", "", pool=ALONE, name="alone")
    assert made == {"id": "alone"}
    assert "no other node" in said
    assert "Prefer this host" not in said
