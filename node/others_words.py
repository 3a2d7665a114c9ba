"""What another node answers of its builds, before anybody uses it: it may be anything. Pure."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter

from buildnet.node.api.answers.builds import BuildReport, RecordedBuild
from buildnet.pool.few_values import require_few

MOST_CHARACTERS = 500
"""Of words of another node."""
MOST_VALUES = 1_000_000
"""Of JSON in an answer, about: a record has one in 17 bytes, and what has one in two takes two
hundred times its own size of memory once it is looked at."""
MOST_OF_PART = 100_000
"""Of these, in one item of what may be long, and in all that is none."""
_LISTS = {"packages", "tasks", "statements"}
"""What may be long in an answer."""
Json = dict[str, Any]


def words(body: bytes) -> tuple[str, str | None]:
    """Return what a problem document says, and its hint."""
    try:
        said = json.loads(body[: 64 * 1024])
        detail, hint = said["detail"], said.get("hint")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return "it gives no reason", None
    return _plain(detail) or "it gives no reason", _plain(hint)


def _plain(text: object) -> str | None:
    if not isinstance(text, str):
        return None
    return "".join(one if one.isprintable() else " " for one in text[:MOST_CHARACTERS])


@lru_cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def checked(body: bytes, model: type[BaseModel] | None) -> tuple[bytes, Json]:
    """Return the JSON of a ``model``, as text and as values; None: of a build's record. Blocks;
    what is long is looked at piece by piece, so that other threads have their turn.

    Raises:
        ValueError, RecursionError: it is none.
    """
    require_few(body, MOST_VALUES)
    said = json.loads(body)
    if not isinstance(said, dict):
        raise ValueError("it is no object")
    if model is None:
        model = RecordedBuild if "completed_at" in said else BuildReport
    names = model.model_fields.keys() & _LISTS
    lists = {name: said[name] for name in names if isinstance(said.get(name), list)}
    whole = _read(model, said | dict.fromkeys(lists, ()))
    for name, items in lists.items():
        (item, *_) = get_args(model.model_fields[name].annotation)
        whole[name] = [_read(item, each) for each in items]
    return json.dumps(whole, allow_nan=False).encode(), whole


def _read(model: Any, said: object) -> Json:
    text = json.dumps(said).encode()
    require_few(text, MOST_OF_PART)
    found = _adapter(model).validate_json(text, strict=True)
    dumped: Json = found.model_dump(mode="json")
    return dumped
