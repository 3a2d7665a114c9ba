"""Each setting of a node: its value now, where that comes from, and when a change of it counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from buildnet.mesh.errors import BuildNetError
from buildnet.node.config import NodeConfig, load_config
from buildnet.node.config_values import with_unit
from buildnet.node.in_force import InForce, is_live
from buildnet.node.setting_help import SETTING_HELP
from buildnet.pool.yaml_document import YamlDocument, load_yaml


@dataclass(frozen=True, slots=True)
class SettingView:
    """One setting; values are plain data of JSON. ``origin``: ``default``, ``node.yaml:LINE``,
    ``start option`` or ``server update``. ``next_start``: what counts then, if that is something
    else, in a list of one; else empty. ``text``, ``next_text``: durations and sizes with their
    unit, as ``node.yaml`` takes them; of others None."""

    key: str
    value: Any
    origin: str
    live: bool
    next_start: tuple[Any, ...] = ()
    text: str | None = None
    next_text: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        then = {"next_start": self.next_start[0]} if self.next_start else {}
        return {
            "key": self.key,
            "value": self.value,
            "origin": self.origin,
            "live": self.live,
            "help": SETTING_HELP[self.key],
            "text": self.text,
            **then,
            **({} if self.next_text is None else {"next_start_text": self.next_text}),
        }


def settings_view(in_force: InForce) -> tuple[SettingView, ...]:
    """Return all settings, in the order of the reference. Blocks."""
    path, options = in_force.config_file, in_force.options
    document, read = _file(path)
    now, written = dict(_leaves(in_force.config)), dict(_leaves(in_force.written))
    later = now if read is None else dict(_leaves(read))
    found = []
    for key, value in now.items():
        steps = tuple(key.split("."))
        field = _field(in_force.config, steps)
        origin, live = "default", is_live(key)
        if document is not None and _is_given(document, steps):
            origin = f"{path.name}:{document.line(steps)}"
        if value != written[key]:
            origin = "server update"
        then: tuple[Any, ...] = ()
        if key in options:
            value, origin = options[key], "start option"
        elif later[key] != written[key]:
            then = (later[key],)
        text = with_unit(field, value)
        next_text = with_unit(field, then[0]) if then else None
        found.append(SettingView(key, value, origin, live, then, text, next_text))
    return tuple(found)


def _leaves(section: BaseModel, above: str = "") -> Iterator[tuple[str, Any]]:
    plain = section.model_dump(mode="json")
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", plain[name]


def _field(section: BaseModel, steps: Sequence[str]) -> FieldInfo:
    *above, last = steps
    for step in above:
        section = getattr(section, step)
    return type(section).model_fields[last]


def _file(path: Path) -> tuple[YamlDocument | None, NodeConfig | None]:
    try:
        return load_yaml(path.read_text("utf-8-sig"), str(path)), load_config(path)
    except (OSError, ValueError, BuildNetError):  # the node's status tells of it
        return None, None


def _is_given(document: YamlDocument, steps: tuple[str, ...]) -> bool:
    here = document.data
    for step in steps:
        if not isinstance(here, dict) or here.get(step) is None:
            return False
        here = here[step]
    return True
