"""``KEY=VALUE`` as people give it on a command line, and changes of documents by path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from buildnet.mesh.errors import UsageError
from buildnet.pool.yaml_document import YamlError, load_yaml


def assignments(texts: Iterable[str]) -> dict[str, str]:
    """Return values by key; of one key the last counts.

    Raises:
        UsageError: one is no ``KEY=VALUE``.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(
                f"{text!r:.80} is no KEY=VALUE", hint="write --set resources.cpu.cores=4"
            )
        found[key.strip()] = value.strip()
    return found


def patch_of(values: Mapping[str, str]) -> dict[str, Any]:
    """Return a merge patch that sets each path (``resources.cpu.cores``) to its value, read as YAML
    (``8``, ``true``, ``[node, git]``); an empty value takes the key away.

    Raises:
        UsageError: a path leads through another one's value, or a value is no YAML.
    """
    patch: dict[str, Any] = {}
    for path, text in values.items():
        *above, last = path.split(".")
        here = patch
        for step in above:
            below = here.setdefault(step, {})
            if not isinstance(below, dict):
                raise UsageError(f"{path} and {step} can't both be set", hint="leave one away")
            here = below
        if not all((*above, last)) or isinstance(here.get(last), dict):
            raise UsageError(
                f"{path!r:.80} is no path of a key", hint="such as resources.cpu.cores"
            )
        try:
            here[last] = load_yaml(text, path).data
        except YamlError as error:
            raise UsageError(
                f"the value of {path} can't be read: {text!r:.80}", hint=error.hint
            ) from error
    return patch


def merged(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document changed by a merge patch (RFC 7396): mappings are merged, null takes a key
    away, anything else replaces what was there."""
    result = dict(document)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            before = result.get(key)
            result[key] = merged(before if isinstance(before, Mapping) else {}, value)
        else:
            result[key] = value
    return result
