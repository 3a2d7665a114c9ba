"""Changing ``node.yaml`` a key at a time: what people wrote around it stays, and nothing is written
that the node could not start with."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from buildnet.ledger.store.vault import load_key
from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.node.certificate import require_usable
from buildnet.node.config import ConfigError, NodeConfig, check_key, load_config, parse_config

_LINE_WIDTH = 4096  # lines stay as they were written
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""Some editors write it before a text (a byte order mark)."""
_NULL = re.compile(r"^(?:---[ \t]*)?(?:null|Null|NULL|~)?[ \t]*(?=#|$)", re.MULTILINE)
"""What stands in a file that says nothing: no value, said in so many words."""


class ConfigWriteError(BuildNetError):
    """The configuration can't be written; it is as it was."""

    code = "CONFIG_KEPT"


def change(path: Path, key: str, value: Any) -> NodeConfig:
    """Give ``key``, dotted, such as ``workers.max``, another value in the file at ``path``; None
    takes it out. Return what the file says now; it is on the disk when this returns.

    Raises:
        UsageError: ``key`` is none, or lies in what has no keys.
        ConfigError, YamlError: with it, or already before, the file could not be used; nothing was
            written.
        CertificateError: with it, the certificate could not be used; nothing was written.
        VaultError: with it, the ledger's key could not; nothing was written.
        ConfigWriteError: it can't be written.
    """
    steps = key.split(".")
    if not all(steps):
        raise UsageError(f"{key!r} is no key", hint="write it with dots, such as workers.max")
    now = load_config(path)  # what is wrong already is told as that
    if value is None:
        check_key(tuple(steps))
    target = path.resolve()
    form, before = _read(target)
    after = _changed(before, steps, value)
    try:
        config = parse_config(after, str(path))
    except ConfigError as error:
        problem = error.problems[0]
        raise ConfigError(
            f"{problem.message}; nothing was changed", error.problems, hint=problem.hint
        ) from error
    if config.network.tls is not None and config.network.tls != now.network.tls:
        require_usable(config.network.tls)
    key_file = config.ledger.encryption.key_file
    if key_file is not None and key_file != now.ledger.encryption.key_file:
        load_key(key_file)
    if after != before:
        _write(target, form.written(after))
    return config


@dataclass(frozen=True, slots=True)
class _Form:
    """How an editor wrote a file: what stands before the text, and how its lines end."""

    mark: str = ""
    newline: str = "\n"

    def written(self, text: str) -> bytes:
        return (self.mark + text.replace("\n", self.newline)).encode()


def _read(target: Path) -> tuple[_Form, str]:
    """Return the form and the text of a file, whose lines end in ``\\n`` there."""
    try:
        whole = target.read_bytes().decode()
    except FileNotFoundError:
        return _Form(), ""
    text = whole.removeprefix(_MARK)
    with_return = text.count("\r\n")
    newline = "\r\n" if 2 * with_return > text.count("\n") else "\n"
    return _Form(whole[: len(whole) - len(text)], newline), text.replace("\r\n", "\n")


def _changed(text: str, steps: list[str], value: Any) -> str:
    plain = _json_object(text)
    if plain is not None:
        _put(plain, steps, value, dict)
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _LINE_WIDTH
    try:
        loaded = yaml.load(text)
    except YAMLError as error:
        raise ConfigError(
            "node.yaml can't be changed by a program", hint="change it in an editor"
        ) from error
    data = yaml.map() if loaded is None else loaded
    _put(data, steps, value, yaml.map)
    if not data:
        return text if loaded is None else ""
    written = io.StringIO()
    yaml.dump(data, written)
    if loaded is not None:
        return written.getvalue()
    # Comments without anything else are no part of what was loaded.
    above = _NULL.sub("", text)
    if not above.strip():
        return written.getvalue()
    return above + ("" if above.endswith("\n") else "\n") + written.getvalue()


def _json_object(text: str) -> dict[str, Any] | None:
    """Return what a text says; None: it is YAML, which may begin with a brace, too."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _put(data: MutableMapping[str, Any], steps: list[str], value: Any, new: Any) -> None:
    *above, last = steps
    here, passed = data, [data]
    for step in above:
        below = here.get(step)
        if below is None:
            if value is None:
                return
            below = here[step] = new()
        if not isinstance(below, MutableMapping):
            raise UsageError(
                f"{step} in {'.'.join(steps)} has no keys in it",
                hint="buildnet node config show lists all keys",
            )
        here = below
        passed.append(here)
    if value is not None:
        here[last] = value
        return
    here.pop(last, None)
    for inside, step in zip(reversed(passed[1:]), reversed(above), strict=True):
        if inside:
            return
        passed.pop()
        passed[-1].pop(step)


def _write(target: Path, content: bytes) -> None:
    partial = target.with_name(f".{target.name}.part")
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise ConfigWriteError(
            f"{target.name} can't be written",
            cause=error.strerror or str(error),
            hint="check the room and the permissions of its directory",
        ) from error
